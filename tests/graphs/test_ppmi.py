from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from scllmda.graphs import _ppmi, knn_graph, ppmi_graph


def csr(dense: np.ndarray) -> sp.csr_matrix:
    return sp.csr_matrix(np.asarray(dense, dtype=np.float32))


def ppmi_of_visits(C: np.ndarray, n_cells: np.ndarray, walk_length: int) -> np.ndarray:
    """scLLMDA eq. 5-8, one pair of cells at a time; ``n_cells`` is each cell's |V|."""
    n = len(C)
    conditional = np.zeros((n, n))
    for u in range(n):
        if C[u].sum() > 0:
            conditional[u] = C[u] / C[u].sum()
    ppmi = np.zeros((n, n))
    for u in range(n):
        for v in range(n):
            if conditional[u, v] > 0:
                ppmi[u, v] = max(0, np.log(conditional[u, v] / conditional[:, v].sum() * n_cells[v] / walk_length))
    return ppmi


def expected_visits(A: np.ndarray, walk_length: int) -> np.ndarray:
    """E[C(u, v)] per walk: Σ_t P(length ≥ t) (D^-1 A)^t, with lengths uniform on 1 … L."""
    degree = A.sum(axis=1, keepdims=True)
    step = np.divide(A, degree, out=np.zeros(A.shape), where=degree > 0)
    still_going = 1 - np.arange(walk_length) / walk_length
    return sum(p * np.linalg.matrix_power(step, t + 1) for t, p in enumerate(still_going))


def test_directed_ring_where_every_walk_is_known() -> None:
    # One way out of each cell: walks of length one visit the next cell only, whatever is drawn.
    n = 12
    ring = np.roll(np.eye(n), 1, axis=1)
    ppmi = ppmi_graph(csr(ring), np.zeros(n, dtype=int), walk_length=1, n_walks=7, rng=np.random.default_rng(0))
    np.testing.assert_allclose(ppmi.toarray(), ring * np.log(n), rtol=1e-6)


def test_directed_ring_equals_the_formula_on_the_same_walks() -> None:
    n, walk_length, n_walks = 9, 3, 40
    ring = np.roll(np.eye(n), 1, axis=1)
    # On a ring a walk is its length, and the lengths are the first thing drawn.
    length = np.random.default_rng(5).integers(1, walk_length + 1, size=n * n_walks).reshape(n, n_walks)
    C = np.zeros((n, n))
    for u in range(n):
        for steps in length[u]:
            for t in range(1, steps + 1):
                C[u, (u + t) % n] += 1
    ppmi = ppmi_graph(
        csr(ring), np.zeros(n, dtype=int), walk_length=walk_length, n_walks=n_walks, rng=np.random.default_rng(5)
    )
    np.testing.assert_allclose(ppmi.toarray(), ppmi_of_visits(C, np.full(n, n), walk_length), rtol=1e-5, atol=1e-6)


def test_blocks_of_cells_equal_the_formula_on_the_same_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    n, walk_length, n_walks, block = 10, 3, 6, 4
    monkeypatch.setattr(_ppmi, "CELLS_AT_ONCE", block)
    lone = 5
    ring = np.roll(np.eye(n), 1, axis=1)
    ring[lone] = 0
    ring[lone - 1] = np.eye(n)[lone + 1]
    rng = np.random.default_rng(8)
    C = np.zeros((n, n))
    for start in range(0, n, block):
        walkers = np.repeat([u for u in range(start, min(start + block, n)) if u != lone], n_walks)
        length = rng.integers(1, walk_length + 1, size=len(walkers))
        at = walkers.copy()
        for t in range(walk_length):
            # One way out of each cell: what is drawn does not matter, only how much is.
            rng.random((length > t).sum())
            for walker in np.flatnonzero(length > t):
                at[walker] = ring[at[walker]].argmax()
                C[walkers[walker], at[walker]] += 1
    ppmi = ppmi_graph(
        csr(ring), np.zeros(n, dtype=int), walk_length=walk_length, n_walks=n_walks, rng=np.random.default_rng(8)
    )
    np.testing.assert_allclose(ppmi.toarray(), ppmi_of_visits(C, np.full(n, n), walk_length), rtol=1e-5, atol=1e-6)
    assert ppmi.has_sorted_indices
    assert ppmi.dtype == np.float32


def test_pairs_of_cells() -> None:
    # P(v|u) with L = 1 is 1 for the partner, P(v) = 1, |V| = 6: ln 6.
    pairs = np.kron(np.eye(3), [[0, 1], [1, 0]])
    ppmi = ppmi_graph(csr(pairs), np.zeros(6, dtype=int), walk_length=1, rng=np.random.default_rng(0))
    np.testing.assert_allclose(ppmi.toarray(), pairs * np.log(6), rtol=1e-6)


@pytest.mark.parametrize("block", [1, 5, 12, 100])
def test_many_walks_approach_the_exact_visit_distribution(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ppmi, "CELLS_AT_ONCE", block)
    rng = np.random.default_rng(2)
    A = np.triu(rng.random((12, 12)) < 0.25, 1).astype(float)
    A = A + A.T
    A[3], A[:, 3] = 0, 0
    exact = ppmi_of_visits(expected_visits(A, 3), np.full(12, 12), 3)
    ppmi = ppmi_graph(csr(A), np.zeros(12, dtype=int), n_walks=20_000, rng=rng).toarray()
    np.testing.assert_allclose(ppmi, exact, atol=0.05)
    assert not ppmi[3].any()
    assert not ppmi[:, 3].any()


def test_size_is_that_of_the_cell_s_own_domain() -> None:
    # Complete graphs of 3 and 8 cells: every visit probability is known in the limit.
    domain = np.repeat([0, 1], [3, 8])
    A = ((domain[:, None] == domain) & ~np.eye(11, dtype=bool)).astype(float)
    exact = ppmi_of_visits(expected_visits(A, 2), np.bincount(domain)[domain], 2)
    ppmi = ppmi_graph(csr(A), domain, walk_length=2, n_walks=20_000, rng=np.random.default_rng(3)).toarray()
    np.testing.assert_allclose(ppmi, exact, atol=0.05)


def test_two_domains_are_two_graphs() -> None:
    rng = np.random.default_rng(4)
    domain = np.repeat([0, 1], [20, 35])
    graph = knn_graph(rng.standard_normal((55, 3)), domain, 4)
    together = ppmi_graph(graph, domain, n_walks=4000, rng=np.random.default_rng(0)).toarray()
    assert not together[:20, 20:].any()
    assert not together[20:, :20].any()
    for cells in (np.arange(20), np.arange(20, 55)):
        alone = ppmi_graph(
            graph[cells][:, cells], np.zeros(len(cells), dtype=int), n_walks=4000, rng=np.random.default_rng(1)
        )
        # Rare visits vary more: what is compared is weighted by how sure it is.
        np.testing.assert_allclose(together[np.ix_(cells, cells)], alone.toarray(), atol=0.25)
        assert np.abs(together[np.ix_(cells, cells)] - alone.toarray()).mean() < 0.01


def test_determined_by_rng() -> None:
    graph = knn_graph(np.random.default_rng(0).standard_normal((50, 3)), np.zeros(50, dtype=int), 5)
    first, again, other = (
        ppmi_graph(graph, np.zeros(50, dtype=int), rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(first, part), getattr(again, part))
    assert (first != other).nnz > 0


def test_reach_and_form() -> None:
    n = 400
    path = np.eye(n, k=1) + np.eye(n, k=-1)
    ppmi = ppmi_graph(csr(path), np.zeros(n, dtype=int), walk_length=3, rng=np.random.default_rng(0))
    i, j = ppmi.nonzero()
    assert np.abs(i - j).max() == 3
    assert ppmi.format == "csr"
    assert ppmi.dtype == np.float32
    assert ppmi.has_sorted_indices
    assert (ppmi.data > 0).all()


def test_cells_without_neighbors_alone() -> None:
    ppmi = ppmi_graph(csr(np.zeros((4, 4))), np.zeros(4, dtype=int), rng=np.random.default_rng(0))
    assert ppmi.shape == (4, 4)
    assert ppmi.nnz == 0
