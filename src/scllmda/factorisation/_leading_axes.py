from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Float = NDArray[np.floating]


def leading_axes(counts: sp.csr_matrix, k: int) -> Float:
    """Return where cells (n_cells, k) lie along the axes in which they differ most, largest first.

    Eigenvectors of the products of cells' Pearson residuals, (counts − expected) / √expected, each cell's with itself
    left out: those are large for cells with rare peaks open, and drown what sets types apart (Zhang et al. 2022). Cells
    without an open peak lie at zero.

    Parameters
    ----------
    counts
        (n_cells, n_peaks), binary.
    k
        Axes, fewer than there are cells.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    depth = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    total = np.asarray(counts.sum(axis=0, dtype=np.float64)).ravel()
    if not total.any():
        return np.zeros((len(depth), k))
    root = np.sqrt(depth)
    over_root = np.divide(1, root, out=np.zeros_like(root), where=depth > 0)
    X = sp.csr_matrix(counts[:, total > 0], dtype=np.float64)
    root_rate = np.sqrt(total[total > 0] / total.sum())
    X = sp.csr_matrix(sp.diags_array(over_root) @ X @ sp.diags_array(1 / root_rate))
    X_t = sp.csr_matrix(X.T)
    # Each cell's product with itself: Σ (x − e)² / e = Σ x² / e − Σ x, as expected counts e add up to depths.
    own = np.asarray(X.multiply(X).sum(axis=1)).ravel() - depth

    def products(cells: Float) -> Float:
        cells = cells.ravel()
        of_peaks = X_t @ cells - root_rate * (root @ cells)
        return X @ of_peaks - root * (root_rate @ of_peaks) - own * cells

    n_cells = len(depth)
    operator = LinearOperator((n_cells, n_cells), matvec=products, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(n_cells)
    # Signs and the last digits are of no account to what is asked of the axes.
    _, axes = eigsh(operator, k, which="LA", v0=start, tol=1e-5)
    return axes[:, ::-1] * (depth > 0)[:, None]
