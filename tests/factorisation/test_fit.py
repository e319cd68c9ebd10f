from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from scllmda.factorisation import Factorisation, evident_peaks, fit
from scllmda.factorisation._sequence_prior import SequencePriorFitter

N_CELLS, N_PEAKS, N_DIMS = 120, 400, 6


def binary(proba: np.ndarray, rng: np.random.Generator) -> sp.csr_matrix:
    return sp.csr_matrix((rng.random(proba.shape) < proba).astype(np.float32))


@pytest.fixture(scope="module")
def embeddings() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N_PEAKS, N_DIMS)).astype(np.float32)


@pytest.fixture(scope="module")
def logits(embeddings: np.ndarray) -> np.ndarray:
    """Cells that ask for three directions of the embedding, and nothing else."""
    rng = np.random.default_rng(1)
    return rng.standard_normal((N_CELLS, 3)) @ rng.standard_normal((3, N_DIMS)) @ embeddings.T * 0.5 - 1.5


@pytest.fixture(scope="module")
def X(logits: np.ndarray) -> sp.csr_matrix:
    return binary(1 / (1 + np.exp(-logits)), np.random.default_rng(2))


def run(X: sp.csr_matrix, n_components: int = 4, **kwargs: object) -> Factorisation:
    return fit(X, n_components, rng=np.random.default_rng(0), **kwargs)


def dense_residuals(X: sp.csr_matrix) -> np.ndarray:
    counts = X.toarray().astype(float)
    mu = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / counts.sum()
    return np.divide(counts - mu, np.sqrt(mu * counts.sum()), out=np.zeros_like(mu), where=mu > 0)


def peakwise_ridge(X: sp.csr_matrix, n_components: int, expected: np.ndarray) -> np.ndarray:
    """Return cells @ peaks.T after one alternation, each peak and dimension a Bayesian regression of its own.

    Residual r_ji = (u_jk σ_k √m_i) e_ik + noise of variance 1/n, e_ik ~ N(expected_ik, 1), the first prior.
    """
    R, n = dense_residuals(X), float(X.sum())
    U, S, _ = np.linalg.svd(R, full_matrices=False)
    root_mass = np.sqrt(np.asarray(X.sum(axis=0)).ravel() / n)
    loadings = np.zeros((X.shape[1], n_components))
    for k in range(n_components):
        design = [U[:, k] * S[k] * m for m in root_mass]
        for i, x in enumerate(design):
            mean = (x @ R[:, i] * n + expected[i, k]) / (x @ x * n + 1)
            loadings[i, k] = root_mass[i] * mean
    return np.linalg.lstsq(loadings, R.T, rcond=None)[0].T @ loadings.T


@pytest.mark.parametrize("n_components", [4, 70], ids=["few", "most"])
def test_no_alternation_is_the_svd(X: sp.csr_matrix, n_components: int) -> None:
    U, S, Vt = np.linalg.svd(dense_residuals(X), full_matrices=False)
    fitted = run(X, n_components, n_iterations=0)
    expected = (U[:, :n_components] * S[:n_components]) @ Vt[:n_components]
    np.testing.assert_allclose(fitted.cells @ fitted.peaks.T, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(fitted.cells, axis=0), S[:n_components], rtol=1e-4)


def test_one_alternation_is_a_bayesian_regression_per_peak(X: sp.csr_matrix) -> None:
    zero = np.zeros((N_PEAKS, 3))
    fitted = run(X, 3, n_iterations=1)
    np.testing.assert_allclose(fitted.cells @ fitted.peaks.T, peakwise_ridge(X, 3, zero), atol=2e-5)


def test_one_alternation_with_sequence_as_prior_mean(X: sp.csr_matrix, embeddings: np.ndarray) -> None:
    embeddings = embeddings[:, :4]  # what is left out is the peaks' own
    R, counts = dense_residuals(X), np.asarray(X.sum(axis=0)).ravel().astype(float)
    U, S, _ = np.linalg.svd(R, full_matrices=False)
    effects = (R.T @ U[:, :3] / S[:3]) / np.sqrt(counts / counts.sum())[:, None]
    rng = np.random.default_rng(0)
    _, expected = SequencePriorFitter(embeddings, counts, rng)(effects)
    assert np.abs(expected).max() > 0
    fitted = run(X, 3, n_iterations=1, embeddings=embeddings)
    np.testing.assert_allclose(fitted.cells @ fitted.peaks.T, peakwise_ridge(X, 3, expected), atol=2e-5)


def test_rare_peaks_shrink_most(logits: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    rate = np.where(np.arange(N_PEAKS) % 2, 1, 0.1)
    X = binary(rate / (1 + np.exp(-logits)), rng)
    X = X[:, np.asarray(X.sum(axis=0)).ravel() > 0]
    plain, shrunk = run(X, 3, n_iterations=0), run(X, 3, n_iterations=1)
    kept = np.linalg.norm(shrunk.peaks, axis=1) / np.linalg.norm(plain.peaks, axis=1)
    assert np.corrcoef(plain.peak_mass, kept)[0, 1] > 0.5


@pytest.mark.parametrize("with_sequence", [False, True])
def test_canonical_form(X: sp.csr_matrix, embeddings: np.ndarray, with_sequence: bool) -> None:
    fitted = run(X, 5, embeddings=embeddings if with_sequence else None)
    assert fitted.cells.shape == (N_CELLS, 5)
    assert fitted.peaks.shape == (N_PEAKS, 5)
    assert fitted.cells.dtype == fitted.peaks.dtype == fitted.peak_mass.dtype == np.float32
    assert (fitted.prior is not None) == with_sequence
    np.testing.assert_allclose(fitted.peaks.T @ fitted.peaks, np.eye(5), atol=1e-5)
    gram = fitted.cells.T @ fitted.cells
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-5)
    assert (np.diff(np.diag(gram)) <= 0).all()
    assert (fitted.cells[np.abs(fitted.cells).argmax(axis=0), np.arange(5)] > 0).all()
    np.testing.assert_allclose(fitted.peak_mass, np.asarray(X.sum(axis=0)).ravel() / X.sum(), rtol=1e-5)


def test_order_of_cells_and_peaks_does_not_matter(X: sp.csr_matrix) -> None:
    rng = np.random.default_rng(4)
    cells, peaks = rng.permutation(N_CELLS), rng.permutation(N_PEAKS)
    fitted, permuted = run(X, 3), run(X[cells][:, peaks], 3)
    np.testing.assert_allclose(permuted.cells, fitted.cells[cells], atol=1e-3)
    np.testing.assert_allclose(permuted.peaks, fitted.peaks[peaks], atol=1e-3)


def test_same_rng_same_bytes(X: sp.csr_matrix, embeddings: np.ndarray) -> None:
    first, again = run(X, embeddings=embeddings), run(X, embeddings=embeddings)
    np.testing.assert_array_equal(first.cells, again.cells)
    np.testing.assert_array_equal(first.peaks, again.peaks)
    np.testing.assert_array_equal(first.prior.weights, again.prior.weights)


def test_empty_cells_and_peaks_are_zero_and_change_nothing(X: sp.csr_matrix) -> None:
    padded = sp.csr_matrix(sp.block_diag([X, sp.csr_matrix((2, 3), dtype=np.float32)]))
    fitted, larger = run(X), run(padded)
    assert not larger.cells[-2:].any()
    assert not larger.peaks[-3:].any()
    assert not larger.peak_mass[-3:].any()
    np.testing.assert_allclose(larger.cells[:-2], fitted.cells, atol=1e-3)


def test_more_components_than_there_is_to_explain() -> None:
    # Three separate blocks of cells and peaks: rank two after the depth is taken out.
    blocks = sp.csr_matrix(np.kron(np.eye(3), np.ones((10, 8))), dtype=np.float32)
    fitted = run(blocks, 100)
    assert fitted.cells.shape == (30, 24)
    np.testing.assert_allclose(np.linalg.norm(fitted.cells, axis=0), [1, 1] + [0] * 22, atol=1e-5)
    assert np.isfinite(fitted.peaks).all()


def test_peaks_closed_in_one_domain_are_no_evidence(X: sp.csr_matrix) -> None:
    domain = np.repeat([0, 1], N_CELLS // 2)
    dense = X.toarray()
    dense[domain == 1, :40] = 0
    first = run(sp.csr_matrix(dense), domain=domain)
    assert not first.peaks[:40].any()
    assert not first.peak_mass[:40].any()
    assert first.peak_mass.sum() == pytest.approx(1)
    dense[domain == 0, :40] = np.random.default_rng(5).integers(0, 2, (N_CELLS // 2, 40))
    second = run(sp.csr_matrix(dense), domain=domain)
    np.testing.assert_array_equal(first.cells, second.cells)
    np.testing.assert_array_equal(first.cells, run(sp.csr_matrix(dense[:, 40:])).cells)


def test_evident_peaks() -> None:
    X = sp.csr_matrix(np.array([[1, 0, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]], dtype=np.float32))
    np.testing.assert_array_equal(evident_peaks(X, None), [0, 2, 3])
    np.testing.assert_array_equal(evident_peaks(X, np.array([0, 0, 1])), [0, 3])
    assert len(evident_peaks(X, np.array([0, 1, 2]))) == 0


def test_sequence_of_pure_noise_is_not_used(X: sp.csr_matrix) -> None:
    noise = np.random.default_rng(6).standard_normal((N_PEAKS, 20)).astype(np.float32)
    plain, fitted = run(X, 3), run(X, 3, embeddings=noise)
    assert fitted.prior.held_out_r2.max() < 0.06
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(plain.cells.T, fitted.cells.T, strict=True)]
    assert min(correlation) > 0.995


def test_informative_sequence_predicts_peaks_never_seen(logits: np.ndarray, embeddings: np.ndarray) -> None:
    seen = np.arange(N_PEAKS) < 300
    X = binary(1 / (1 + np.exp(-logits[:, seen])), np.random.default_rng(7))
    fitted = run(X, 3, embeddings=embeddings[seen])
    assert fitted.prior.held_out_r2.min() > 0.5
    predicted = fitted.cells @ fitted.prior(embeddings[~seen]).T
    truth = logits[:, ~seen] - logits[:, ~seen].mean(axis=1, keepdims=True)
    assert np.corrcoef(predicted.ravel(), truth.ravel())[0, 1] > 0.9


def test_informative_sequence_helps_when_counts_are_few(logits: np.ndarray, embeddings: np.ndarray) -> None:
    X = binary(0.05 / (1 + np.exp(-logits)), np.random.default_rng(8))
    centred = logits - logits.mean(axis=1, keepdims=True)

    def explained(fitted: Factorisation) -> float:
        """Share of the true logits' variance in the span of the cell embedding."""
        basis = np.linalg.qr(fitted.cells.astype(float))[0]
        return float(np.linalg.norm(basis.T @ centred) ** 2 / np.linalg.norm(centred) ** 2)

    assert explained(run(X, 3, embeddings=embeddings)) > explained(run(X, 3)) + 0.1


def test_peaks_without_sequence_keep_their_evidence(X: sp.csr_matrix, embeddings: np.ndarray) -> None:
    known = embeddings.copy()
    known[::4] = np.nan
    fitted = run(X, 3, embeddings=known)
    assert np.isfinite(fitted.cells).all()
    assert np.isfinite(fitted.prior.weights).all()
    assert fitted.peaks[::4].any(axis=1).all()
    assert fitted.prior.held_out_r2.min() > 0.4


def test_no_evident_peak_with_a_sequence_is_no_sequence(X: sp.csr_matrix) -> None:
    fitted, plain = run(X, embeddings=np.full((N_PEAKS, 3), np.nan, dtype=np.float32)), run(X)
    assert fitted.prior is None
    np.testing.assert_array_equal(fitted.cells, plain.cells)


def test_embeddings_all_alike_are_not_used(X: sp.csr_matrix) -> None:
    fitted, plain = run(X, embeddings=np.ones((N_PEAKS, 3), dtype=np.float32)), run(X)
    assert fitted.prior.held_out_r2.max() < 1e-6
    assert not fitted.prior.weights.any()
    np.testing.assert_array_equal(fitted.cells, plain.cells)
