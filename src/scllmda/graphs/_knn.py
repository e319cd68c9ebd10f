from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._neighbors import NearestCells


def knn_graph(X: NDArray[np.floating], domain: NDArray[np.integer], n_neighbors: int) -> sp.csr_matrix:
    """Return the symmetric k-nearest-neighbour graph within each domain, without edges across.

    Parameters
    ----------
    X
        (n_cells, d) representation; distances are those of the cells scaled to unit length, so that depth does not
        count.
    domain
        (n_cells,) domain of each cell; neighbours within large ones are found by :class:`NearestCells` approximately.
    n_neighbors
        Neighbours per cell, itself not counted; fewer in domains of fewer cells.

    Returns
    -------
    (n_cells, n_cells) CSR float32 of ones: an edge where either cell is among the other's neighbours, no self-loops.
    """
    from sklearn.preprocessing import normalize

    X = normalize(X)
    rows, columns = [], []
    for d in np.unique(domain):
        cells = np.flatnonzero(domain == d)
        _, neighbors = NearestCells(X[cells], n_neighbors).among()
        rows.append(np.repeat(cells, neighbors.shape[1]))
        columns.append(cells[neighbors.ravel()])
    n = len(domain)
    i, j = np.concatenate(rows), np.concatenate(columns)
    directed = sp.csr_matrix((np.ones(len(i), dtype=np.float32), (i, j)), shape=(n, n))
    graph = sp.csr_matrix(directed.maximum(directed.T))
    graph.sort_indices()
    return graph
