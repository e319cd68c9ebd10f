from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from scllmda.factorisation import leading_axes


def two_kinds(n_cells: int = 200) -> tuple[sp.csr_matrix, np.ndarray]:
    """Return counts of two kinds of cells that differ in half of the peaks; a last cell has no open peak."""
    rng = np.random.default_rng(0)
    kind = np.arange(n_cells) % 2
    rate = np.stack([np.full(1000, 0.05), np.repeat([0.01, 0.09], 500)])
    counts = sp.csr_matrix((rng.random((n_cells, 1000)) < rate[kind]).astype(np.float32))
    return sp.csr_matrix(sp.vstack([counts, sp.csr_matrix((1, 1000), dtype=np.float32)])), kind


def test_are_eigenvectors_of_the_products_of_residuals_without_their_diagonal() -> None:
    counts, _ = two_kinds(60)
    X = counts.toarray().astype(float)
    expected = X.sum(axis=1, keepdims=True) * X.sum(axis=0) / X.sum()
    residuals = np.divide(X - expected, np.sqrt(expected), out=np.zeros_like(X), where=expected > 0)
    products = residuals @ residuals.T
    np.fill_diagonal(products, 0)
    values, vectors = np.linalg.eigh(products)
    found = leading_axes(counts, 3)
    np.testing.assert_allclose(abs(np.sum(found * vectors[:, :-4:-1], axis=0)), 1, atol=1e-3)
    assert (np.diff(values) >= 0).all()


def test_kinds_lie_along_the_first() -> None:
    counts, kind = two_kinds()
    axes = leading_axes(counts, 5)
    assert axes.shape == (201, 5)
    assert not axes[-1].any()
    assert abs(np.corrcoef(axes[:-1, 0], kind)[0, 1]) > 0.9


def test_no_counts_have_no_axes() -> None:
    assert not leading_axes(sp.csr_matrix((30, 9), dtype=np.float32), 5).any()
