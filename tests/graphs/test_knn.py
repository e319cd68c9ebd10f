from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from scllmda.graphs import knn_graph


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def brute_force(X: np.ndarray, domain: np.ndarray, n_neighbors: int) -> np.ndarray:
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    similarity = np.where(domain[:, None] == domain, unit @ unit.T, -np.inf)
    np.fill_diagonal(similarity, -np.inf)
    edges = np.zeros(similarity.shape, dtype=bool)
    for cell, row in enumerate(similarity):
        nearest = np.argsort(-row)[:n_neighbors]
        edges[cell, nearest[np.isfinite(row[nearest])]] = True
    return (edges | edges.T).astype(np.float32)


def test_equals_brute_force_on_cosine_within_domains(rng: np.random.Generator) -> None:
    X, domain = rng.standard_normal((60, 5)), rng.integers(0, 2, 60)
    graph = knn_graph(X, domain, 4)
    assert sp.issparse(graph)
    assert graph.format == "csr"
    assert graph.dtype == np.float32
    np.testing.assert_array_equal(graph.toarray(), brute_force(X, domain, 4))


def test_symmetric_without_loops_or_edges_across_domains(rng: np.random.Generator) -> None:
    domain = rng.integers(0, 3, 90)
    graph = knn_graph(rng.standard_normal((90, 3)), domain, 7)
    i, j = graph.nonzero()
    np.testing.assert_array_equal(domain[i], domain[j])
    assert (i != j).all()
    assert (graph != graph.T).nnz == 0
    assert graph.has_sorted_indices
    assert np.diff(graph.indptr).min() >= 7
    np.testing.assert_array_equal(graph.data, 1)


def test_depth_does_not_count(rng: np.random.Generator) -> None:
    X, domain = rng.standard_normal((40, 6)), np.zeros(40, dtype=int)
    depth = rng.uniform(0.1, 10, (40, 1))
    assert (knn_graph(X, domain, 5) != knn_graph(X * depth, domain, 5)).nnz == 0


def test_fewer_cells_than_neighbors_and_domains_of_one_cell(rng: np.random.Generator) -> None:
    domain = np.array([0, 0, 0, 1, 2, 2])
    expected = (domain[:, None] == domain) & ~np.eye(6, dtype=bool)
    np.testing.assert_array_equal(knn_graph(rng.standard_normal((6, 4)), domain, 15).toarray(), expected)


def test_lone_cells_have_no_edges(rng: np.random.Generator) -> None:
    graph = knn_graph(rng.standard_normal((3, 4)), np.arange(3), 15)
    assert graph.shape == (3, 3)
    assert graph.nnz == 0


def test_identical_cells_are_neighbors_of_each_other_never_of_themselves() -> None:
    graph = knn_graph(np.ones((8, 3)), np.zeros(8, dtype=int), 2)
    assert graph.diagonal().sum() == 0
    assert np.diff(graph.indptr).min() >= 2
