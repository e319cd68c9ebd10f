from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from scllmda.factorisation import PearsonResiduals


def random_counts(n_cells: int, n_peaks: int, *, density: float = 0.2, seed: int = 0) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    return sp.csr_matrix((rng.random((n_cells, n_peaks)) < density).astype(np.float32))


def dense_residuals(X: sp.csr_matrix) -> np.ndarray:
    """(X − μ) / √(μ n), zero where μ is."""
    counts = X.toarray().astype(float)
    n = counts.sum()
    mu = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / n
    return np.divide(counts - mu, np.sqrt(mu * n), out=np.zeros_like(mu), where=mu > 0)


@pytest.fixture
def X() -> sp.csr_matrix:
    X = random_counts(30, 50).tolil()
    X[4], X[:, 7] = 0, 0
    return X.tocsr()


def test_products_equal_dense(X: sp.csr_matrix) -> None:
    rng = np.random.default_rng(1)
    residuals, dense = PearsonResiduals.of(X), dense_residuals(X)
    loadings, scores = rng.standard_normal((50, 3)), rng.standard_normal((30, 3))
    assert residuals.shape == (30, 50)
    np.testing.assert_allclose(residuals.times(loadings), dense @ loadings, atol=1e-6)
    np.testing.assert_allclose(residuals.transposed_times(scores), dense.T @ scores, atol=1e-6)


def test_masses_are_shares_of_all_counts(X: sp.csr_matrix) -> None:
    residuals = PearsonResiduals.of(X)
    assert residuals.total == X.sum()
    np.testing.assert_allclose(residuals.root_cell_mass**2, np.asarray(X.sum(axis=1)).ravel() / X.sum())
    np.testing.assert_allclose(residuals.root_peak_mass**2, np.asarray(X.sum(axis=0)).ravel() / X.sum())


def test_empty_cells_and_peaks_have_no_residuals(X: sp.csr_matrix) -> None:
    residuals = PearsonResiduals.of(X)
    full = residuals.times(np.eye(50))
    assert np.isfinite(full).all()
    assert not full[4].any()
    assert not full[:, 7].any()


def test_depth_is_taken_out(X: sp.csr_matrix) -> None:
    residuals = PearsonResiduals.of(X)
    np.testing.assert_allclose(residuals.times(residuals.root_peak_mass[:, None]), 0, atol=1e-6)
    np.testing.assert_allclose(residuals.transposed_times(residuals.root_cell_mass[:, None]), 0, atol=1e-6)


@pytest.mark.parametrize("shape", [(40, 90), (90, 40)])
@pytest.mark.parametrize("n_components", [5, 30], ids=["lanczos", "dense"])
@pytest.mark.parametrize("density", [0.05, 0.3])
def test_svd_equals_numpy(shape: tuple[int, int], n_components: int, density: float) -> None:
    X = random_counts(*shape, density=density, seed=2)
    U, S, _ = np.linalg.svd(dense_residuals(X), full_matrices=False)
    scores, singular = PearsonResiduals.of(X).svd(n_components, np.random.default_rng(0))
    np.testing.assert_allclose(singular, S[:n_components], rtol=1e-4)
    np.testing.assert_allclose(np.abs((scores * U[:, :n_components]).sum(axis=0)), 1, atol=1e-3)


def test_subspace_iteration_converges_to_the_svd() -> None:
    X = random_counts(150, 20_000, density=0.02, seed=4)
    X[:40, :8000] += random_counts(40, 8000, density=0.2, seed=5)
    U, S, _ = np.linalg.svd(dense_residuals(X), full_matrices=False)
    residuals = PearsonResiduals.of(X)
    scores, singular = residuals.svd(3, np.random.default_rng(0), n_passes=60)
    np.testing.assert_allclose(singular, S[:3], rtol=1e-4)
    np.testing.assert_allclose(np.abs((scores[:, 0] * U[:, 0]).sum()), 1, atol=1e-4)
    _, quick = residuals.svd(3, np.random.default_rng(0))
    np.testing.assert_allclose(quick, S[:3], rtol=0.05)


def test_svd_is_determined_by_rng() -> None:
    residuals = PearsonResiduals.of(random_counts(60, 80))
    first, again = (residuals.svd(4, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
