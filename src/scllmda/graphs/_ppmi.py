from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


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
        L; 3 in the scLLMDA release (10 in its UDAGCN ancestor).
    n_walks
        Walks per cell; 40 in both.
    rng
        Draws the walks.

    Returns
    -------
    (n_cells, n_cells) CSR float32; not symmetric; rows of cells without neighbours are empty.
    """
    n = graph.shape[0]
    degree = np.diff(graph.indptr)
    start = np.repeat(np.flatnonzero(degree), n_walks)
    length = rng.integers(1, walk_length + 1, size=len(start))
    visits = sp.csr_matrix((n, n), dtype=np.float32)
    current = start
    for step in range(walk_length):
        going = length > step
        start, current, length = start[going], current[going], length[going]
        pick = np.minimum((rng.random(len(current)) * degree[current]).astype(np.int64), degree[current] - 1)
        current = graph.indices[graph.indptr[current] + pick]
        ones = np.ones(len(start), dtype=np.float32)
        visits = visits + sp.csr_matrix((ones, (start, current)), shape=(n, n))

    total = np.asarray(visits.sum(axis=1, dtype=np.float64)).ravel()
    conditional = sp.csr_matrix(sp.diags_array(np.divide(1, total, out=np.zeros(n), where=total > 0)) @ visits)
    marginal = np.asarray(conditional.sum(axis=0)).ravel()
    _, member, size = np.unique(domain, return_inverse=True, return_counts=True)
    ratio = conditional.data / marginal[conditional.indices] * size[member][conditional.indices] / walk_length
    ppmi = sp.csr_matrix((np.maximum(np.log(ratio), 0), conditional.indices, conditional.indptr), shape=(n, n))
    ppmi.eliminate_zeros()
    ppmi.sort_indices()
    return ppmi.astype(np.float32)
