from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


def personalized_propagation(
    graph: sp.csr_matrix, signal: NDArray[np.floating], *, restart: float, n_iterations: int = 10
) -> NDArray[np.floating]:
    """Smooth a signal over a graph by personalized PageRank (APPNP, Gasteiger 2019, eq. 5).

    H ← restart · signal + (1 − restart) · D^-1 A H. Cells without neighbors keep their own signal; rows that sum to
    one go on doing so.

    Parameters
    ----------
    graph
        (n_cells, n_cells) adjacency.
    signal
        (n_cells, k).
    restart
        Weight of a cell's own signal, 0-1.
    n_iterations
        Steps; what is left out shrinks as (1 − restart)^n_iterations.
    """
    degree = np.asarray(graph.sum(axis=1, dtype=np.float64)).ravel()
    lone = degree == 0
    step = np.divide(1 - restart, degree, out=np.zeros_like(degree), where=~lone)
    weights = graph.data * np.repeat(step, np.diff(graph.indptr))
    walk = sp.csr_matrix((weights, graph.indices, graph.indptr), shape=graph.shape)
    smoothed, own = signal, restart * signal
    own[lone] = signal[lone]
    for _ in range(n_iterations):
        smoothed = walk @ smoothed
        smoothed += own
    return smoothed
