from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from scllmda.graphs import gcn_normalize, knn_graph, symmetric_normalize


@pytest.fixture
def graph() -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    return knn_graph(rng.standard_normal((30, 4)), np.repeat([0, 1, 2], [19, 10, 1]), 3)


def test_gcn_normalize_equals_dense(graph: sp.csr_matrix) -> None:
    A = graph.toarray().astype(float) + np.eye(30)
    D = np.diag(A.sum(axis=1) ** -0.5)
    normalized = gcn_normalize(graph)
    assert normalized.dtype == np.float32
    np.testing.assert_allclose(normalized.toarray(), D @ A @ D, rtol=1e-6)


def test_gcn_normalize_equals_torch_geometric(graph: sp.csr_matrix) -> None:
    import torch
    from torch_geometric.nn.conv.gcn_conv import gcn_norm
    from torch_geometric.utils import from_scipy_sparse_matrix, to_dense_adj

    edges, weights = from_scipy_sparse_matrix(graph)
    edges, weights = gcn_norm(edges, weights.to(torch.float32), num_nodes=30)
    expected = to_dense_adj(edges, edge_attr=weights, max_num_nodes=30)[0].numpy()
    np.testing.assert_allclose(gcn_normalize(graph).toarray(), expected, rtol=1e-6)


def test_symmetric_normalize_takes_row_sums_as_degrees() -> None:
    rng = np.random.default_rng(1)
    P = rng.random((20, 20)) * (rng.random((20, 20)) < 0.3)
    P[4] = 0
    assert not np.allclose(P, P.T)
    degree = P.sum(axis=1)
    expected = np.zeros_like(P)
    for i, j in zip(*np.nonzero(P), strict=True):
        expected[i, j] = P[i, j] / np.sqrt(degree[i] * degree[j]) if degree[j] > 0 else 0
    normalized = symmetric_normalize(sp.csr_matrix(P, dtype=np.float32))
    np.testing.assert_allclose(normalized.toarray(), expected, rtol=1e-5)
    assert np.isfinite(normalized.data).all()


def test_inputs_are_left_as_they_were(graph: sp.csr_matrix) -> None:
    before = graph.copy()
    gcn_normalize(graph)
    symmetric_normalize(graph)
    np.testing.assert_array_equal(graph.toarray(), before.toarray())
