from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from tests.factorisation._dense import InBlocks, csr, run

from scllmda.factorisation import CellMapper, Decoder, InMemory, Margins, SequencePrior, fit, margins
from scllmda.factorisation._decoder import half_precision

N_CELLS, N_PEAKS, N_DIMS, K = 150, 90, 5, 9


@pytest.fixture(scope="module")
def embeddings() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N_PEAKS, N_DIMS)).astype(np.float32)


@pytest.fixture(scope="module")
def X(embeddings: np.ndarray) -> sp.csr_matrix:
    rng = np.random.default_rng(1)
    logits = rng.standard_normal((N_CELLS, N_DIMS)) @ embeddings.T * 0.5 + rng.normal(0, 0.5, (N_CELLS, 1)) - 1
    dense = rng.random(logits.shape) < 1 / (1 + np.exp(-logits))
    dense[[3, 80]] = 0
    return csr(dense)


@pytest.fixture(scope="module")
def decoder(X: sp.csr_matrix, embeddings: np.ndarray) -> Decoder:
    return run(X, K, embeddings=embeddings).decoder


def posterior(information: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return (information + prior⁻¹)⁻¹ without the inverse of a prior that may be singular."""
    return np.linalg.solve(np.eye(len(prior)) + prior @ information, prior)


def dense_gram(decoder: Decoder, expected: np.ndarray) -> np.ndarray:
    total = np.zeros_like(decoder.cell_gram)
    for b, evidence, e in zip(decoder.loadings.astype(float), decoder.evidence, expected, strict=True):
        spread = posterior(evidence * decoder.cell_gram, decoder.peak_covariance)
        total += e * (np.outer(b, b) + spread)
    return total


def dense_cells(decoder: Decoder, expected: np.ndarray, X: sp.csr_matrix) -> np.ndarray:
    used = expected > 0
    design = dense_gram(decoder, expected)
    cells = []
    for x in X.toarray() * used:
        exposure = x.sum() / expected.sum()
        pull = (x - exposure * expected) @ decoder.loadings
        cells.append(posterior(exposure * design, decoder.cell_covariance) @ pull)
    return np.array(cells)


class TestCellMapper:
    def test_equals_a_bayesian_regression_per_cell(self, X: sp.csr_matrix, decoder: Decoder) -> None:
        expected = np.where(np.arange(N_PEAKS) % 3 > 0, decoder.rate, 0).astype(float)
        np.testing.assert_allclose(decoder.gram(expected), dense_gram(decoder, expected), rtol=1e-4, atol=1e-6)
        exact = dense_cells(decoder, expected, X)
        found = CellMapper(decoder, expected)(X)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, exact, atol=5e-4 * np.abs(exact).max())
        np.testing.assert_array_equal(found, found.astype(np.float16))

    @pytest.mark.parametrize("size", [1, 7, 64, 4096])
    def test_gives_back_the_cells_of_the_fit(self, X: sp.csr_matrix, size: int) -> None:
        fitted = run(X, K)
        mapper = CellMapper(fitted.decoder, fitted.decoder.rate)
        found = np.concatenate([mapper(block) for block in InBlocks(X, size)])
        np.testing.assert_array_equal(found, fitted.cells)

    def test_gives_back_the_cells_of_a_fit_with_sequence(self, X: sp.csr_matrix, embeddings: np.ndarray) -> None:
        fitted = run(X, K, embeddings=embeddings)
        np.testing.assert_array_equal(CellMapper(fitted.decoder, fitted.decoder.rate)(X), fitted.cells)

    def test_gives_back_the_cells_of_a_fit_of_two_views(self, X: sp.csr_matrix) -> None:
        domain = np.arange(N_CELLS) % 2
        measured = np.ones((2, N_PEAKS), dtype=bool)
        measured[0, :10] = measured[1, -20:] = False
        counts = InMemory(csr(X.toarray() * measured[domain]))
        m = margins(counts, domain, measured=measured)
        fitted = fit(counts, m, K, rng=np.random.default_rng(0))
        for view in (0, 1):
            mapper = CellMapper(fitted.decoder, np.where(m.expected[view] > 0, fitted.decoder.rate, 0))
            mine = domain == view
            np.testing.assert_array_equal(mapper(counts.X[mine]), fitted.cells[mine])

    def test_a_cell_does_not_depend_on_its_neighbors(self, X: sp.csr_matrix, decoder: Decoder) -> None:
        mapper = CellMapper(decoder, decoder.rate)
        together, order = mapper(X), np.random.default_rng(2).permutation(N_CELLS)
        np.testing.assert_array_equal(mapper(X[order]), together[order])
        np.testing.assert_array_equal(np.vstack([mapper(X[j]) for j in range(N_CELLS)]), together)

    def test_cells_without_evidence_are_zero(self, X: sp.csr_matrix, decoder: Decoder) -> None:
        cells = CellMapper(decoder, decoder.rate)(X)
        assert not cells[[3, 80]].any()
        assert np.delete(cells, [3, 80], axis=0).any(axis=1).all()
        unseen = CellMapper(decoder, np.where(np.arange(N_PEAKS) < 60, decoder.rate, 0))
        assert not unseen(csr([[0] * 60 + [1] * 30])).any()
        assert not CellMapper(decoder, np.zeros(N_PEAKS))(X).any()
        assert CellMapper(decoder, decoder.rate)(X[:0]).shape == (0, K)

    def test_peaks_that_are_not_seen_are_no_evidence(self, X: sp.csr_matrix, decoder: Decoder) -> None:
        mapper = CellMapper(decoder, np.where(np.arange(N_PEAKS) < 60, decoder.rate, 0))
        changed = X.toarray()
        changed[:, 60:] = 1
        np.testing.assert_array_equal(mapper(csr(changed)), mapper(X))

    def test_units_of_the_base_rates_do_not_matter(self, X: sp.csr_matrix, decoder: Decoder) -> None:
        # Ten times the rate is a tenth of the exposure.
        found = CellMapper(decoder, decoder.rate * 8)(X)
        np.testing.assert_allclose(found, CellMapper(decoder, decoder.rate)(X), atol=1e-4)

    def test_shallow_cells_are_shrunk_most(self, X: sp.csr_matrix, decoder: Decoder) -> None:
        mapper = CellMapper(decoder, decoder.rate)
        once, ten_times = mapper(X), mapper(X * 10)
        depth = np.asarray(X.sum(axis=1)).ravel()
        norms = [np.linalg.norm(cells[depth > 0], axis=1) for cells in (once, ten_times)]
        assert (norms[1] > norms[0]).all()


class TestExtend:
    def test_new_peaks_follow_from_their_sequence(self, decoder: Decoder, embeddings: np.ndarray) -> None:
        new = np.random.default_rng(3).standard_normal((4, N_DIMS)).astype(np.float32)
        new[2] = np.nan
        larger = decoder.extend(new, np.full(4, 0.01))
        assert larger.loadings.shape == (N_PEAKS + 4, K)
        assert larger.loadings.dtype == larger.rate.dtype == larger.evidence.dtype == np.float32
        np.testing.assert_array_equal(larger.loadings[:N_PEAKS], decoder.loadings)
        np.testing.assert_allclose(larger.loadings[N_PEAKS:], decoder.prior(new), rtol=1e-5)
        assert larger.loadings[N_PEAKS].any()
        np.testing.assert_allclose(larger.rate[N_PEAKS:], [0.01, 0.01, 0, 0.01])
        np.testing.assert_array_equal(larger.rate[:N_PEAKS], decoder.rate)
        assert not larger.evidence[N_PEAKS:].any()
        np.testing.assert_array_equal(larger.cell_covariance, decoder.cell_covariance)

    def test_peaks_known_by_sequence_alone_keep_the_full_spread_of_the_prior(self, decoder: Decoder) -> None:
        larger = decoder.extend(np.ones((1, N_DIMS), dtype=np.float32), np.full(1, 0.01))
        expected = np.zeros(N_PEAKS + 1)
        expected[-1] = 1
        b = larger.loadings[-1].astype(float)
        np.testing.assert_allclose(
            larger.gram(expected), np.outer(b, b) + decoder.peak_covariance, rtol=1e-5, atol=1e-8
        )

    def test_cells_seen_through_the_old_peaks_stay(self, X: sp.csr_matrix, decoder: Decoder) -> None:
        larger = decoder.extend(np.ones((3, N_DIMS), dtype=np.float32), np.full(3, 0.01))
        seen = np.where(np.arange(N_PEAKS + 3) < N_PEAKS, larger.rate, 0)
        wider = sp.csr_matrix((X.data, X.indices, X.indptr), shape=(N_CELLS, N_PEAKS + 3))
        before, after = CellMapper(decoder, decoder.rate)(X), CellMapper(larger, seen)(wider)
        np.testing.assert_allclose(after, before, atol=1e-5)

    def test_cells_are_placed_by_peaks_never_seen(self) -> None:
        rng = np.random.default_rng(4)
        Z = rng.standard_normal((400, 4)).astype(np.float32)
        truth = rng.standard_normal((120, 4))
        X = csr(rng.random((120, 400)) < 1 / (1 + np.exp(1.5 - 0.7 * truth @ Z.T)))
        fitted = run(X[:, :250], 4, embeddings=Z[:250])
        base = np.asarray(X[:, 250:].mean(axis=0)).ravel() / 120
        larger = fitted.decoder.extend(Z[250:], base)
        mapper = CellMapper(larger, np.where(np.arange(400) < 250, 0, larger.rate))
        by_sequence = mapper(X)
        correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(by_sequence.T, fitted.cells.T, strict=True)]
        assert min(correlations) > 0.7

    def test_without_prior_is_an_error(self, decoder: Decoder) -> None:
        with pytest.raises(ValueError, match="without sequence prior"):
            replace(decoder, prior=None).extend(np.ones((1, N_DIMS)), np.ones(1))

    def test_nothing_to_add(self, decoder: Decoder) -> None:
        larger = decoder.extend(np.zeros((0, N_DIMS), dtype=np.float32), np.zeros(0))
        np.testing.assert_array_equal(larger.loadings, decoder.loadings)


def test_prior_is_in_the_space_of_the_loadings(X: sp.csr_matrix, embeddings: np.ndarray, decoder: Decoder) -> None:
    prior = decoder.prior
    assert isinstance(prior, SequencePrior)
    from_sequence = prior(embeddings)
    fitted = np.corrcoef(from_sequence[:, 0], decoder.loadings[:, 0])[0, 1]
    assert fitted > 0.8


def test_batches_are_mapped_by_their_own_base_rates(X: sp.csr_matrix) -> None:
    counts, batch = InMemory(X), np.arange(N_CELLS) % 2
    m: Margins = margins(counts, batch=batch)
    fitted = fit(counts, m, K, rng=np.random.default_rng(0))
    for b in (0, 1):
        np.testing.assert_array_equal(
            CellMapper(fitted.decoder, m.expected[b])(X[batch == b]), fitted.cells[batch == b]
        )


@pytest.mark.parametrize("scale", [1e-9, 1e-7, 1e-5, 1e-2, 1.0, 1e4, 1e6])
def test_half_precision_is_that_of_float16(scale: float) -> None:
    values = np.random.default_rng(0).normal(0, scale, 20_000).astype(np.float32)
    values[:4] = 0, -0.0, 65_519.9, -1e30
    clipped = np.clip(values, -65_504, 65_504)
    np.testing.assert_array_equal(half_precision(values), clipped.astype(np.float16).astype(np.float32))
