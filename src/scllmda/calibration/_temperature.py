from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]


def scale(proba: Float, temperature: float) -> Float:
    """Return softmax(log(proba) / temperature), row by row (Guo et al. 2017)."""
    logits = np.log(np.clip(proba, 1e-12, None)) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    scaled = np.exp(logits)
    return scaled / scaled.sum(axis=1, keepdims=True)


def fit_temperature(proba: Float, labels: NDArray[np.integer]) -> float:
    """Return the temperature (0.1-10) of least log loss on held-out cells.

    Parameters
    ----------
    proba
        (n_cells, n_classes) held-out probabilities.
    labels
        (n_cells,) codes of the known classes.
    """
    from scipy.optimize import minimize_scalar

    cells = np.arange(len(labels))

    def log_loss(log_temperature: float) -> float:
        of_truth = scale(proba, float(np.exp(log_temperature)))[cells, labels]
        return float(-np.log(np.clip(of_truth, 1e-12, None)).mean())

    return float(np.exp(minimize_scalar(log_loss, bounds=(np.log(0.1), np.log(10)), method="bounded").x))
