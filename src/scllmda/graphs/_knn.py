from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._neighbors import NearestCells

SHARE = 0.1
"""Of the cells of a domain, that a cell's neighbors are at most: a type that is a tenth of the domain has as many."""


def neighbors_among(n_cells: int, n_neighbors: int) -> int:
    """Return how many neighbors a cell gets that is to have ``n_neighbors``: at most a tenth of the ``n_cells``.

    Among ten cells of several types, most of a cell's fifteen neighbors would be of other types.
    """
    return min(n_neighbors, int(SHARE * n_cells))


def nearest_graph(X: NDArray[np.floating], n_neighbors: int) -> sp.csr_matrix:
    """Return the directed graph from each cell to its nearest neighbors.

    Parameters
    ----------
    X
        (n_cells, d) representation; distances are those of the cells scaled to unit length, so that depth does not
        count. Among many cells neighbors are found by :class:`NearestCells` approximately.
    n_neighbors
        Neighbors per cell, itself not counted; fewer among fewer cells.

    Returns
    -------
    (n_cells, n_cells) CSR float32 of ones.
    """
    return nearest_graphs(X, [n_neighbors])[0]


def nearest_graphs(X: NDArray[np.floating], sizes: Sequence[int]) -> list[sp.csr_matrix]:
    """Return :func:`nearest_graph` for several numbers of neighbors, by one search."""
    from sklearn.preprocessing import normalize

    n, most = len(X), max(sizes)
    if most == 0 or n == 0:
        return [sp.csr_matrix((n, n), dtype=np.float32) for _ in sizes]
    _, nearest = NearestCells(normalize(X), most).among()
    return [_graph_to(nearest[:, :size]) for size in sizes]


def _graph_to(neighbors: NDArray[np.integer]) -> sp.csr_matrix:
    """Return the graph (n, n) of ones from each cell to its ``neighbors`` (n, k)."""
    n, k = neighbors.shape
    ones = np.ones(neighbors.size, dtype=np.float32)
    graph = sp.csr_matrix((ones, neighbors.ravel().astype(np.int32), np.arange(n + 1) * k), shape=(n, n))
    graph.sort_indices()
    return graph


def within_domains(graphs: list[sp.csr_matrix], cells: list[NDArray[np.intp]]) -> sp.csr_matrix:
    """Return one graph of all cells from a graph of each domain, whose cells have the positions ``cells``."""
    n = sum(map(len, cells))
    parts = [graph.tocoo() for graph in graphs]
    rows = np.concatenate([mine[part.row] for part, mine in zip(parts, cells, strict=True)])
    columns = np.concatenate([mine[part.col] for part, mine in zip(parts, cells, strict=True)])
    graph = sp.csr_matrix((np.concatenate([part.data for part in parts]), (rows, columns)), shape=(n, n))
    graph.sort_indices()
    return graph


def symmetrize(graph: sp.csr_matrix) -> sp.csr_matrix:
    """Return the graph with an edge where either cell is among the other's neighbors."""
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
        Neighbors per cell, itself not counted; fewer in domains of fewer cells.

    Returns
    -------
    (n_cells, n_cells) CSR float32 of ones: an edge where either cell is among the other's neighbors, no self-loops.
    """
    cells = [np.flatnonzero(domain == d) for d in np.unique(domain)]
    return symmetrize(within_domains([nearest_graph(X[mine], n_neighbors) for mine in cells], cells))
