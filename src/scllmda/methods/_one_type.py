"""Whether a query is of a single type: then its labels by shared peaks have nothing to do with its other peaks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]

CHANCE = 0.001
"""Probability with which labels go with axes by chance, below which they are taken to go with them. In queries of one
type of bone marrow (NK, B; 500 to 5,000 shared peaks, 3 draws each) it was .003 or more, in queries of several types
2e-4 or less (weakest: 150 NK and 163 CD8 T cells), mostly below 1e-20."""


def go_together(proba: Float, axes: Float) -> bool:
    r"""Return whether probabilities have to do with where cells lie along axes that were made of other evidence.

    Let V (n_cells, k) be orthonormal axes, and P (n_cells, C) the centered probabilities. If they have nothing to do
    with one another, ‖Vᵀ P‖² is a sum of squares of normal numbers of mean k tr S and variance 2 k tr S², where
    S = Pᵀ P / n_cells; that is nearly a multiple of χ² (Satterthwaite 1946). Asked are the first axis, and all of them.

    Parameters
    ----------
    proba
        (n_cells, n_classes).
    axes
        (n_cells, k): the leading ones, largest first. Cells with NaN are not looked at, nor are those at zero.
    """
    from scipy.stats import chi2

    chosen = axes.any(axis=1) & np.isfinite(axes).all(axis=1)
    if not chosen.any():
        return False
    P, axes = proba[chosen] - proba[chosen].mean(axis=0), axes[chosen] - axes[chosen].mean(axis=0)
    S = P.T @ P / len(P)
    mean, square = np.trace(S), np.square(S).sum()
    if square == 0:
        return False
    for k in {1, axes.shape[1]}:
        found = np.square(np.linalg.qr(axes[:, :k])[0].T @ P).sum()
        # A multiple a χ²(f) has mean a f = k tr S and variance 2 a² f = 2 k tr S².
        if chi2.sf(found * mean / square, k * mean**2 / square) < CHANCE:
            return True
    return False
