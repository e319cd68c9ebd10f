from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]


SMALLEST = 1e-12
"""Least probability whose logarithm is taken."""


def scale(proba: Float, temperature: float) -> Float:
    """Return softmax(log(proba) / temperature), row by row (Guo et al. 2017).

    Temperatures above 1 make probabilities less certain, those below 1 more.
    """
    logits = np.log(np.clip(proba, SMALLEST, None)) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    scaled = np.exp(logits)
    return scaled / scaled.sum(axis=1, keepdims=True)


def fit_temperature(proba: Float, labels: NDArray[np.integer]) -> float:
    """Return the temperature with which held-out cells have the least log loss, between 0.1 and 10.

    It was .74 to .84 on bone marrow and cortex, .3 to .6 on simulated cells and between studies, and .1 on four cell
    lines, whose held-out cells are all right, so that only the lower bound keeps some doubt.

    Parameters
    ----------
    proba
        (n_cells, n_classes) predicted probabilities of cells that were held out.
    labels
        (n_cells,) codes of the true classes.
    """
    from scipy.optimize import minimize_scalar

    logits = np.log(np.clip(proba, SMALLEST, None))
    logits -= logits.max(axis=1, keepdims=True)
    of_truth, scaled = logits[np.arange(len(labels)), labels], np.empty_like(logits)

    def log_loss(log_temperature: float) -> float:
        temperature = np.exp(log_temperature)
        np.exp(np.divide(logits, temperature, out=scaled), out=scaled)
        log_proba = of_truth / temperature - np.log(scaled.sum(axis=1))
        return float(-np.maximum(log_proba, np.log(SMALLEST)).mean())

    return float(np.exp(minimize_scalar(log_loss, bounds=(np.log(0.1), np.log(10)), method="bounded").x))
