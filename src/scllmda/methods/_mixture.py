from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

Float = NDArray[np.floating]
Codes = NDArray[np.integer]


def fit_mixture(posteriors: Mapping[str, Float], labels: Codes, *, worth: float) -> dict[str, float]:
    """Choose posteriors and their weights in a log-linear mixture, by the log loss on cells that were held out.

    log p = Σ_m weight_m log p_m + const (logarithmic opinion pool, Genest & Zidek 1986, eq. 3.9). The first is in it;
    of the others, whichever lowers the loss most joins, as long as it takes off a share ``worth`` of what is left.

    Parameters
    ----------
    posteriors
        Logarithms, (n_cells, n_classes) each, by name.
    labels
        (n_cells,) codes.
    worth
        0-1. What fits held-out cells of the same study a little better need not hold in another one.

    Returns
    -------
    Weights, not negative, of those that were chosen.
    """
    names = list(posteriors)
    chosen, left = names[:1], names[1:]
    weights, loss = _weights([posteriors[name] for name in chosen], labels)
    while left:
        tried = {name: _weights([posteriors[m] for m in [*chosen, name]], labels) for name in left}
        best = min(left, key=lambda name: tried[name][1])
        if tried[best][1] >= (1 - worth) * loss:
            break
        chosen.append(best)
        left.remove(best)
        weights, loss = tried[best]
    return dict(zip(chosen, weights.tolist(), strict=True))


def mix(posteriors: Mapping[str, Float], weights: Mapping[str, float]) -> Float:
    """Return the mixture's probabilities (n_cells, n_classes)."""
    return np.exp(log_softmax(sum(weight * posteriors[name] for name, weight in weights.items()), axis=1))


def _weights(members: list[Float], labels: Codes) -> tuple[Float, float]:
    """Return the weights of least log loss, and that loss."""
    from scipy.optimize import minimize

    logs, cells = np.stack(members).astype(np.float64), np.arange(len(labels))

    def loss(weights: Float) -> tuple[float, Float]:
        log_proba = log_softmax(np.tensordot(weights, logs, 1), axis=1)
        expected = (np.exp(log_proba) * logs).sum(axis=2)
        slope = -(logs[:, cells, labels] - expected).mean(axis=1)
        return float(-log_proba[cells, labels].mean()), slope

    start = np.full(len(logs), 1 / len(logs))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(logs))
    return found.x, float(found.fun)
