from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from scllmda.graphs import knn_graph, personalized_propagation


@pytest.fixture
def graph() -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    return knn_graph(rng.standard_normal((25, 3)), np.repeat([0, 1, 2], [14, 10, 1]), 3)


@pytest.mark.parametrize("restart", [0.1, 0.5, 1.0])
def test_many_iterations_reach_the_closed_form(graph: sp.csr_matrix, restart: float) -> None:
    signal = np.random.default_rng(1).standard_normal((25, 4))
    A = graph.toarray().astype(float)
    A[-1, -1] = 1
    walk = A / A.sum(axis=1, keepdims=True)
    expected = restart * np.linalg.solve(np.eye(25) - (1 - restart) * walk, signal)
    smoothed = personalized_propagation(graph, signal, restart=restart, n_iterations=300)
    np.testing.assert_allclose(smoothed, expected, atol=1e-10)


def test_error_shrinks_as_documented(graph: sp.csr_matrix) -> None:
    signal = np.random.default_rng(1).random((25, 2))
    limit = personalized_propagation(graph, signal, restart=0.5, n_iterations=200)
    for n_iterations in (1, 5, 10):
        error = np.abs(personalized_propagation(graph, signal, restart=0.5, n_iterations=n_iterations) - limit).max()
        assert error <= 0.5**n_iterations


def test_rows_go_on_summing_to_one_and_the_signal_is_untouched(graph: sp.csr_matrix) -> None:
    signal = np.random.default_rng(2).dirichlet(np.ones(5), 25)
    before = signal.copy()
    smoothed = personalized_propagation(graph, signal, restart=0.3)
    np.testing.assert_allclose(smoothed.sum(axis=1), 1)
    assert (smoothed >= 0).all()
    np.testing.assert_array_equal(signal, before)


def test_cells_without_neighbors_keep_their_signal(graph: sp.csr_matrix) -> None:
    assert graph[24].nnz == 0
    signal = np.random.default_rng(3).random((25, 3))
    np.testing.assert_allclose(personalized_propagation(graph, signal, restart=0.2)[24], signal[24])


def test_no_iterations_is_the_signal(graph: sp.csr_matrix) -> None:
    signal = np.random.default_rng(3).random((25, 3))
    np.testing.assert_array_equal(personalized_propagation(graph, signal, restart=0.2, n_iterations=0), signal)
