from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

CELLS_AT_ONCE = 16_384
"""Number of cells whose walks are drawn together; memory grows with it. The draws depend on it, which is why it is a
constant and no parameter. For 65,536 cells, 4,096, 16,384 and 65,536 at once take 34, 94 and 239 MB, 30 of them for the
result, and .4, .6 and .8 s."""


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
    blocks = [slice(start, min(start + CELLS_AT_ONCE, n)) for start in range(0, n, CELLS_AT_ONCE)]
    # Room for visits to as many cells as there are steps, at most: memory is taken where it is written to. They are
    # kept as float32 counts, which take half the memory of float64 probabilities.
    most = np.count_nonzero(np.diff(graph.indptr)) * n_walks * walk_length
    data, indices, indptr = np.empty(most, np.float32), np.empty(most, np.int32), np.zeros(n + 1, np.int64)
    marginal = np.zeros(n)
    for block in blocks:
        visits = _visits(graph, np.arange(block.start, block.stop), walk_length, n_walks, rng)
        ends = indptr[block.start] + visits.indptr
        data[ends[0] : ends[-1]], indices[ends[0] : ends[-1]] = visits.data, visits.indices
        indptr[block.start + 1 : block.stop + 1] = ends[1:]
        marginal += np.bincount(visits.indices, weights=_conditional(visits.data, visits.indptr), minlength=n)
    _, member, size = np.unique(domain, return_inverse=True, return_counts=True)
    expected = np.divide(marginal * walk_length, size[member], out=np.ones(n), where=marginal > 0)
    for block in blocks:
        starts = indptr[block.start : block.stop + 1]
        mine = slice(starts[0], starts[-1])
        found = np.log(_conditional(data[mine], starts) / expected[indices[mine]])
        data[mine] = np.maximum(found, 0)
    for array in (data, indices):
        array.resize(indptr[-1], refcheck=False)
    ppmi = sp.csr_matrix((data, indices, indptr), shape=(n, n))
    ppmi.eliminate_zeros()
    return ppmi


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


def _conditional(counts: NDArray[np.float32], indptr: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return P(v|u) of each of the counts C(u, v), which lie row by row."""
    row = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return counts / np.bincount(row, weights=counts, minlength=len(indptr) - 1)[row]
