from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

CELLS_AT_ONCE = 16_384
"""Number of cells whose walks are drawn together; memory grows with it. The draws depend on it, which is why it is a
constant and no parameter. For 65,536 cells, 4,096, 16,384 and 65,536 at once take 66, 90 and 231 MB, and .4, .4 and .7
s."""


def ppmi_graph(
    graph: sp.csr_matrix,
    domain: NDArray[np.integer],
    *,
    walk_length: int = 3,
    n_walks: int = 40,
    rng: np.random.Generator,
) -> sp.csr_matrix:
    """Return the positive pointwise mutual information of cells met on short random walks.

    From every cell u start ``n_walks`` walks, each of a length drawn uniformly from 1 … ``walk_length``; C(u, v) counts
    the visits to v. Then P(v|u) = C(u, v) / Σ C(u, ·), P(v) = Σ_u P(v|u) and
    PPMI(u, v) = max(0, ln(P(v|u) / P(v) · |V| / L)) (scLLMDA eq. 5-8).

    Parameters
    ----------
    graph
        (n_cells, n_cells) unweighted adjacency, without edges between domains.
    domain
        (n_cells,) domain of each cell; |V| is the number of cells of the cell's own domain.
    walk_length
        L, the largest number of steps; 3 in the code of scLLMDA (10 in UDAGCN, which it builds on).
    n_walks
        Walks per cell; 40 in the code of both.
    rng
        Draws the walks.

    Returns
    -------
    (n_cells, n_cells) CSR float32; not symmetric; rows of cells without neighbors are empty.
    """
    n = graph.shape[0]
    # Visits are kept as float32 counts, which take half the memory of float64 probabilities.
    visits = [
        _visits(graph, np.arange(start, min(start + CELLS_AT_ONCE, n)), walk_length, n_walks, rng)
        for start in range(0, n, CELLS_AT_ONCE)
    ]
    marginal = np.zeros(n)
    for block in visits:
        marginal += np.bincount(block.indices, weights=_conditional(block), minlength=n)
    _, member, size = np.unique(domain, return_inverse=True, return_counts=True)
    expected = np.divide(marginal * walk_length, size[member], out=np.ones(n), where=marginal > 0)
    for i, block in enumerate(visits):
        ppmi = np.maximum(np.log(_conditional(block) / expected[block.indices]), 0)
        block = sp.csr_matrix((ppmi.astype(np.float32), block.indices, block.indptr), shape=block.shape)
        block.eliminate_zeros()
        visits[i] = block
    return sp.csr_matrix(sp.vstack(visits, format="csr"))


def _visits(
    graph: sp.csr_matrix, cells: NDArray[np.integer], walk_length: int, n_walks: int, rng: np.random.Generator
) -> sp.csr_matrix:
    """Return (n_starts, n_cells) float32 counts: how often walks from consecutive ``cells`` visit each cell."""
    degree = np.diff(graph.indptr)
    start = np.repeat(cells[degree[cells] > 0], n_walks)
    length = rng.integers(1, walk_length + 1, size=len(start))
    current, starts, visited = start, [], []
    for step in range(walk_length):
        going = length > step
        start, current, length = start[going], current[going], length[going]
        ways = degree[current]
        pick = np.minimum((rng.random(len(current)) * ways).astype(np.int64), ways - 1)
        current = graph.indices[graph.indptr[current] + pick]
        starts.append(start)
        visited.append(current)
    i, j = np.concatenate(starts) - cells[0], np.concatenate(visited)
    return sp.csr_matrix((np.ones(len(i), dtype=np.float32), (i, j)), shape=(len(cells), graph.shape[0]))


def _conditional(visits: sp.csr_matrix) -> NDArray[np.float64]:
    """Return P(v|u) of each non-zero of the visits C(u, v)."""
    total = np.asarray(visits.sum(axis=1, dtype=np.float64)).ravel()
    return visits.data / np.repeat(total, np.diff(visits.indptr))
