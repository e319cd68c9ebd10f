"""How many types there are among the neighbors of a cell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]

_TOLERANCE, _MOST_STEPS = 1e-5, 50
"""How closely the perplexity is met, as a logarithm, and how many steps are made at most: those of LISI's authors."""


def inverse_simpson(
    distances: Float, labels: npt.NDArray[np.intp], n_labels: int, perplexity: float
) -> npt.NDArray[np.float64]:
    """Return the local inverse Simpson index of each cell (Korsunsky et al. 2019, Nat Methods 16:1289), (n,).

    It is the number of types that one expects to be among a cell's neighbors: 1 where all are of one type. Nearer
    neighbors count for more, by ``exp(-beta * distance)``, where ``beta`` is such that the weights of each cell have
    the same perplexity.

    Parameters
    ----------
    distances
        From each cell to its neighbors, itself not among them, (n, k).
    labels
        Types of these neighbors, counted from 0, (n, k).
    n_labels
        Number of types.
    perplexity
        Effective number of neighbors.
    """
    n = len(distances)
    # What is taken from all distances of a cell changes no weight, and keeps the largest from being 0.
    nearer = distances - distances.min(axis=1, keepdims=True)
    beta, low, high = np.ones(n), np.zeros(n), np.full(n, np.inf)
    for _ in range(_MOST_STEPS):
        excess = _entropy(nearer, beta) - np.log(perplexity)
        if (np.abs(excess) < _TOLERANCE).all():
            break
        move = np.abs(excess) >= _TOLERANCE
        up, down = move & (excess > 0), move & (excess <= 0)
        low[up], high[down] = beta[up], beta[down]
        beta[up] = np.where(np.isinf(high[up]), 2 * beta[up], (beta[up] + high[up]) / 2)
        beta[down] = (beta[down] + low[down]) / 2
    weights = _weights(nearer, beta)
    flat = (np.arange(n)[:, None] * n_labels + labels).ravel()
    share = np.bincount(flat, weights.ravel(), minlength=n * n_labels).reshape(n, n_labels)
    return 1 / (share**2).sum(axis=1)


def _weights(distances: Float, beta: Float) -> Float:
    weights = np.exp(-distances * beta[:, None])
    return weights / weights.sum(axis=1, keepdims=True)


def _entropy(distances: Float, beta: Float) -> Float:
    weights = np.exp(-distances * beta[:, None])
    total = weights.sum(axis=1)
    return np.log(total) + beta * (distances * weights).sum(axis=1) / total
