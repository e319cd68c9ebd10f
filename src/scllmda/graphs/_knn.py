from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._neighbors import NearestCells

SHARE = 0.1
"""Largest share of a domain's cells that are made neighbors of one cell. A type that is a tenth of the domain can then
still fill the neighborhoods of its cells. Of draws of 60 cells of bone marrow .871 got the right coarse type with .05,
.1 and .2, and of draws of 120 cells .860, .867 and .852 (means of four draws)."""
ROUNDING = 1e-7
"""Share of the cells' squared lengths below which axes are left out where neighbors are looked for: single precision
knows no more of a distance."""


def neighbors_among(n_cells: int, n_neighbors: int) -> int:
    """Return the number of neighbors per cell in a domain: ``n_neighbors``, but at most a tenth of its ``n_cells``.

    Among twenty cells of several types, most of fifteen neighbors would be of other types.
    """
    return min(n_neighbors, int(SHARE * n_cells))


def nearest_graph(X: NDArray[np.floating], n_neighbors: int) -> sp.csr_matrix:
    """Return the directed graph from each cell to its nearest neighbors.

    Parameters
    ----------
    X
        (n_cells, d) representation. Rows are scaled to unit length before distances are taken, so that depth does not
        count. Among many cells :class:`NearestCells` finds neighbors approximately.
    n_neighbors
        Neighbors per cell, itself not counted; all others if there are fewer.

    Returns
    -------
    (n_cells, n_cells) CSR float32 of ones.
    """
    return nearest_graphs(X, [n_neighbors])[0]


def nearest_graphs(X: NDArray[np.floating], sizes: Sequence[int]) -> list[sp.csr_matrix]:
    """Return :func:`nearest_graph` for each of several numbers of neighbors, by a single search."""
    from sklearn.preprocessing import normalize

    n, most = len(X), max(sizes)
    if most == 0 or n == 0:
        return [sp.csr_matrix((n, n), dtype=np.float32) for _ in sizes]
    _, nearest = NearestCells(_leading_axes(normalize(X)), most).among()
    return [_graph_to(nearest[:, :size]) for size in sizes]


def _leading_axes(X: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return cells along the axes that hold more than rounding of their squared lengths: a third, on bone marrow.

    Distances are the same to the precision of single numbers, and found in half the time.
    """
    values, axes = np.linalg.eigh(X.T.astype(np.float64) @ X)
    leading = values.cumsum() > ROUNDING * values.sum()
    leading[-1] = True
    return X @ axes[:, leading].astype(X.dtype)


def _graph_to(neighbors: NDArray[np.integer]) -> sp.csr_matrix:
    """Return the directed graph (n, n) with an edge of weight 1 from each cell to each of its ``neighbors`` (n, k)."""
    n, k = neighbors.shape
    ones = np.ones(neighbors.size, dtype=np.float32)
    graph = sp.csr_matrix((ones, neighbors.ravel().astype(np.int32), np.arange(n + 1) * k), shape=(n, n))
    graph.sort_indices()
    return graph


def within_domains(graphs: list[sp.csr_matrix], cells: list[NDArray[np.intp]]) -> sp.csr_matrix:
    """Return one graph of all cells from a graph per domain; ``cells`` are the positions of each domain's cells."""
    n = sum(map(len, cells))
    parts = [graph.tocoo() for graph in graphs]
    rows = np.concatenate([positions[part.row] for part, positions in zip(parts, cells, strict=True)])
    columns = np.concatenate([positions[part.col] for part, positions in zip(parts, cells, strict=True)])
    graph = sp.csr_matrix((np.concatenate([part.data for part in parts]), (rows, columns)), shape=(n, n))
    graph.sort_indices()
    return graph


def symmetrize(graph: sp.csr_matrix) -> sp.csr_matrix:
    """Return the undirected graph with an edge where either cell is among the other's neighbors."""
    graph = sp.csr_matrix(graph.maximum(graph.T))
    graph.sort_indices()
    return graph


def knn_graph(X: NDArray[np.floating], domain: NDArray[np.integer], n_neighbors: int) -> sp.csr_matrix:
    """Return the symmetric k-nearest-neighbor graph within each domain, without edges across.

    Parameters
    ----------
    X
        (n_cells, d) representation, as in :func:`nearest_graph`.
    domain
        (n_cells,) domain of each cell.
    n_neighbors
        Neighbors per cell, itself not counted; all others in domains of fewer cells.

    Returns
    -------
    (n_cells, n_cells) CSR float32 of ones: an edge where either cell is among the other's neighbors, no self-loops.
    """
    cells = [np.flatnonzero(domain == d) for d in np.unique(domain)]
    return symmetrize(within_domains([nearest_graph(X[mine], n_neighbors) for mine in cells], cells))
