from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

Float = NDArray[np.floating]
Codes = NDArray[np.integer]


def fit_mixture(posteriors: Mapping[str, Float], labels: Codes, *, worth: float) -> dict[str, float]:
    """Weigh posteriors in a log-linear mixture, by the log loss on cells that were held out.

    log p = Σ_m weight_m log p_m + const (logarithmic opinion pool, Genest & Zidek 1986), with weights of 0 to 1 that
    minimize −Σ log p(label of the cell). The first classifier is used alone unless a mixture with the second has a loss
    that is smaller by the share ``worth``; then all of them are mixed.

    Parameters
    ----------
    posteriors
        Logarithms, (n_cells, n_classes) each, by name.
    labels
        (n_cells,) codes.
    worth
        Share (0-1) of the first one's loss. What fits held-out cells of the same study a little better need not hold in
        another one.

    Returns
    -------
    Weights by name.
    """
    names, members = list(posteriors), list(posteriors.values())
    if len(names) == 1 or _weights(members[:2], labels)[1] >= (1 - worth) * _weights(members[:1], labels)[1]:
        return {names[0]: 1.0}
    return dict(zip(names, _weights(members, labels)[0].tolist(), strict=True))


def mix(posteriors: Mapping[str, Float], weights: Mapping[str, float]) -> Float:
    """Return the mixture's probabilities (n_cells, n_classes)."""
    return np.exp(log_softmax(sum(weight * posteriors[name] for name, weight in weights.items()), axis=1))


def _weights(members: list[Float], labels: Codes) -> tuple[Float, float]:
    """Return the weights (n_members,) of least log loss, and that loss."""
    from scipy.optimize import minimize

    logs, cells = np.stack(members).astype(np.float64), np.arange(len(labels))

    def loss(weights: Float) -> tuple[float, Float]:
        log_proba = log_softmax(np.tensordot(weights, logs, 1), axis=1)
        expected = (np.exp(log_proba) * logs).sum(axis=2)
        slope = -(logs[:, cells, labels] - expected).mean(axis=1)
        return float(-log_proba[cells, labels].mean()), slope

    start = np.full(len(logs), 1 / len(logs))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, 1)] * len(logs))
    return found.x, float(found.fun)
