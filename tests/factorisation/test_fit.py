from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from tests.factorisation._dense import (
    InBlocks,
    csr,
    effects,
    held_out_gain,
    least_squares_start,
    one_alternation,
    run,
    split_counts,
)

from scllmda.encoders import get
from scllmda.factorisation import Factorisation, InMemory, Margins, fit, margins
from scllmda.factorisation._fit import _alternate, _Model, _Priors
from scllmda.factorisation._sequence_prior import SequencePriorFitter
from scllmda.factorisation._start import svd

N_CELLS, N_PEAKS, N_DIMS = 120, 300, 6


@pytest.fixture(scope="module")
def embeddings() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N_PEAKS, N_DIMS)).astype(np.float32)


@pytest.fixture(scope="module")
def logits(embeddings: np.ndarray) -> np.ndarray:
    """Cells that ask for three directions of the embedding, and nothing else."""
    rng = np.random.default_rng(1)
    directions = np.linalg.qr(rng.standard_normal((N_DIMS, 3)))[0].T * [[1.2], [0.9], [0.6]]
    return rng.standard_normal((N_CELLS, 3)) @ directions @ embeddings.T - 1.5


@pytest.fixture(scope="module")
def X(logits: np.ndarray) -> sp.csr_matrix:
    return draw(1 / (1 + np.exp(-logits)), seed=2)


def draw(proba: np.ndarray, *, seed: int) -> sp.csr_matrix:
    return csr(np.random.default_rng(seed).random(proba.shape) < proba)


def centered(logits: np.ndarray) -> np.ndarray:
    """Return effects without what depth and base rate explain."""
    return logits - logits.mean(axis=0) - logits.mean(axis=1, keepdims=True) + logits.mean()


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Assert that the difference is small against the whole: single precision has no small relative errors."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def two_views(X: sp.csr_matrix, *, few: int = 40) -> tuple[sp.csr_matrix, Margins]:
    """Return counts of which each half of the cells lacks ``few`` peaks of its own, and their margins."""
    domain = np.arange(X.shape[0]) % 2
    measured = np.ones((2, X.shape[1]), dtype=bool)
    measured[0, :few] = measured[1, -few:] = False
    X = csr(X.toarray() * measured[domain])
    return X, margins(InMemory(X), domain, measured=measured)


class TestOneAlternation:
    """Against a Bayesian regression per peak and per cell."""

    @pytest.mark.parametrize("views", [1, 2])
    @pytest.mark.parametrize("with_sequence", [False, True], ids=["counts", "sequence"])
    @pytest.mark.parametrize("poisson", [False, True], ids=["binary", "counts"])
    def test_equals_dense(
        self, X: sp.csr_matrix, embeddings: np.ndarray, views: int, with_sequence: bool, poisson: bool
    ) -> None:
        k = 3
        if poisson:
            X = csr(X.toarray() * np.random.default_rng(9).integers(1, 4, X.shape))
        X, m = (X, margins(InMemory(X))) if views == 1 else two_views(X)
        embeddings = embeddings[:, :4]  # what is left out is the peaks' own
        expected = None
        if with_sequence:
            weights = m.rate * m.exposure.sum()
            _, best = least_squares_start(X.toarray(), m, k)
            _, expected = SequencePriorFitter(embeddings, weights, np.random.default_rng(0))(best)
            assert np.abs(expected).max() > 0.1
        dense = one_alternation(X.toarray(), m, k, expected)
        # In the axes of the data, as the gauge is the code's own.
        peaks, cells, priors = alternated(X, m, k, expected)
        B, W = peaks.loadings, cells
        assert_close(W @ B.T, dense.cells @ dense.loadings.T, 1e-4)
        assert_close(B @ priors.cells @ B.T, dense.loadings @ dense.cell_prior @ dense.loadings.T, 1e-4)
        assert_close(W @ priors.peaks @ W.T, dense.cells @ dense.peak_prior @ dense.cells.T, 1e-4)

    def test_rare_peaks_shrink_most(self, X: sp.csr_matrix) -> None:
        rng = np.random.default_rng(3)
        rare = np.arange(N_PEAKS) % 2 == 0
        thinned = csr(X.toarray() * (rng.random(X.shape) < np.where(rare, 0.2, 1)))
        m = margins(InMemory(thinned))
        _, unshrunk = least_squares_start(thinned.toarray(), m, 3)
        shrunk = one_alternation(thinned.toarray(), m, 3).loadings
        kept = np.linalg.norm(shrunk[m.evident], axis=1) / np.linalg.norm(unshrunk[m.evident], axis=1)
        assert correlation(m.rate[m.evident], kept) > 0.5

    def test_dimensions_without_evidence_are_dropped(self, X: sp.csr_matrix) -> None:
        m = margins(InMemory(X))
        start = svd(InMemory(X), m, 5, np.random.default_rng(0))
        V = np.diag([1, 1, 1, 1e-9, 0])
        few = np.arange(N_CELLS) < 7
        peaks, step, priors = _alternate(InMemory(X), m, start, _Priors(V, np.eye(5)), None, few)
        assert peaks.loadings.shape == (N_PEAKS, 3)
        assert step.cells.shape == (7, 3)
        assert peaks.peak_covariance.shape == priors.cells.shape == priors.peaks.shape == (3, 3)


def alternated(X: sp.csr_matrix, m: Margins, k: int, expected: np.ndarray | None) -> tuple[_Model, np.ndarray, _Priors]:
    """Return peaks, cells and priors after one alternation from the start of a fit."""
    start = svd(InMemory(X), m, k, np.random.default_rng(0))
    if expected is not None:
        # From the gauge of the dense start to that of the code's.
        cells, _ = least_squares_start(X.toarray(), m, k)
        pull = (X.toarray() - m.exposure[:, None] * m.expected[m.view]).T @ cells * (m.rate > 0)[:, None]
        expected = expected @ np.linalg.lstsq(start.pull, pull, rcond=None)[0].T
    V = start.grams.sum(axis=0) / m.exposure.sum()
    every = np.ones(X.shape[0], dtype=bool)
    peaks, step, priors = _alternate(InMemory(X), m, start, _Priors(V, np.eye(k)), expected, every)
    return peaks, step.cells, priors


class TestPlanted:
    def test_low_rank_signal_is_recovered(self, X: sp.csr_matrix, logits: np.ndarray) -> None:
        fitted = run(X, 3)
        # Log fold changes of openness flatten where logits go on.
        assert correlation(effects(fitted), centered(logits)) > 0.85
        basis = np.linalg.qr(fitted.cells.astype(float))[0]
        truth = centered(logits)
        assert np.linalg.norm(basis.T @ truth) ** 2 / np.linalg.norm(truth) ** 2 > 0.85

    def test_dimensions_without_support_are_shrunk(self, X: sp.csr_matrix) -> None:
        spread = np.sqrt((run(X, 10).cells.astype(float) ** 2).mean(axis=0))
        assert spread[3:].max() < 0.3 * spread[2]

    def test_noise_alone_is_shrunk_to_next_to_nothing(self) -> None:
        rng = np.random.default_rng(4)
        X = csr(rng.random((200, 150)) < rng.uniform(0.05, 0.3, 150))
        assert np.abs(effects(run(X, 5))).max() < 0.2

    def test_peaks_of_separate_views_are_joined_by_those_in_common(self, logits: np.ndarray) -> None:
        X, m = two_views(draw(1 / (1 + np.exp(-logits)), seed=5), few=100)
        fitted = fit(InMemory(X), m, 3, rng=np.random.default_rng(0))
        domain = np.arange(N_CELLS) % 2
        unseen = np.where(domain == 0, 0, 1)[:, None] == np.where(np.arange(N_PEAKS) < 100, 0, 1)[None, :]
        unseen[:, 100:-100] = False
        assert correlation(effects(fitted)[unseen], centered(logits)[unseen]) > 0.7

    def test_a_batch_term_takes_out_what_a_batch_does_to_the_base_rates(self, logits: np.ndarray) -> None:
        batch = np.arange(N_CELLS) % 2
        shift = np.random.default_rng(6).normal(0, 1.5, N_PEAKS)
        X = InMemory(draw(1 / (1 + np.exp(-logits - shift * batch[:, None])), seed=7))

        def separation(m: Margins) -> float:
            cells = fit(X, m, 4, rng=np.random.default_rng(0)).cells
            return float(np.linalg.norm(cells[batch == 0].mean(axis=0) - cells[batch == 1].mean(axis=0)) / cells.std())

        assert separation(margins(X, batch=batch)) < 0.2 * separation(margins(X))


class TestForm:
    @pytest.mark.parametrize("with_sequence", [False, True], ids=["counts", "sequence"])
    @pytest.mark.parametrize("views", [1, 2])
    def test_canonical_gauge(self, X: sp.csr_matrix, embeddings: np.ndarray, with_sequence: bool, views: int) -> None:
        X, m = (X, margins(InMemory(X))) if views == 1 else two_views(X)
        used = embeddings if with_sequence else None
        fitted = fit(InMemory(X), m, 3, embeddings=used, rng=np.random.default_rng(0))
        decoder = fitted.decoder
        assert fitted.cells.shape == (N_CELLS, 3)
        assert fitted.cells.dtype == decoder.loadings.dtype == decoder.rate.dtype == np.float32
        assert (decoder.prior is not None) == with_sequence
        B = decoder.loadings.astype(np.float64)
        np.testing.assert_allclose(B.T @ (decoder.rate[:, None] * B), np.eye(3), atol=1e-4)
        weight = np.linalg.norm(np.sqrt(m.exposure)[:, None] * fitted.cells, axis=0)
        assert (np.diff(weight) < 0).all()
        weighted = np.sqrt(decoder.rate)[:, None] * B
        assert (weighted[np.abs(weighted).argmax(axis=0), np.arange(3)] > 0).all()
        np.testing.assert_allclose(decoder.rate, m.rate, rtol=1e-6)
        np.testing.assert_array_equal(decoder.evidence, decoder.rate)
        for matrix in (decoder.cell_covariance, decoder.peak_covariance, decoder.cell_gram):
            np.testing.assert_allclose(matrix, matrix.T, atol=1e-6 * np.abs(matrix).max())
            assert np.linalg.eigvalsh(matrix).min() > 0

    @pytest.mark.parametrize("with_sequence", [False, True], ids=["counts", "sequence"])
    def test_order_of_cells_and_peaks_does_not_matter(
        self, X: sp.csr_matrix, embeddings: np.ndarray, with_sequence: bool
    ) -> None:
        rng = np.random.default_rng(8)
        cells, peaks = rng.permutation(N_CELLS), rng.permutation(N_PEAKS)
        fitted = run(X, embeddings=embeddings if with_sequence else None)
        permuted = run(X[cells][:, peaks], embeddings=embeddings[peaks] if with_sequence else None)
        assert_close(permuted.cells, fitted.cells[cells], 1e-3)
        assert_close(permuted.decoder.loadings, fitted.decoder.loadings[peaks], 1e-3)

    def test_same_rng_same_bits(self, X: sp.csr_matrix, embeddings: np.ndarray) -> None:
        assert_same_bits(run(X, embeddings=embeddings), run(X, embeddings=embeddings))

    def test_start_does_not_matter(self, X: sp.csr_matrix) -> None:
        assert_close(effects(run(X, seed=1)), effects(run(X, seed=2)), 1e-3)

    @pytest.mark.parametrize(("views", "size"), [(1, 7), (2, 7), (1, 64), (2, 64), (2, N_CELLS + 1)])
    def test_blocks(self, X: sp.csr_matrix, views: int, size: int) -> None:
        X, m = (X, margins(InMemory(X))) if views == 1 else two_views(X)
        whole, first, again = (
            fit(counts, m, 3, rng=np.random.default_rng(0))
            for counts in (InMemory(X), InBlocks(X, size), InBlocks(X, size))
        )
        assert_same_bits(first, again)
        assert_close(first.cells, whole.cells, 1e-3)
        assert_close(first.decoder.loadings, whole.decoder.loadings, 1e-3)

    def test_large_counts_are_close_to_converged(self) -> None:
        # Beyond the size up to which the starting SVD is iterated to convergence.
        rng = np.random.default_rng(10)
        n_cells, n_peaks = 300, 7100
        truth = rng.standard_normal((n_cells, 2)) @ rng.standard_normal((2, n_peaks)) * 0.6
        X = csr(rng.random((n_cells, n_peaks)) < 0.05 * np.exp(truth))
        one, other = (effects(run(X, 2, seed=seed)) for seed in (1, 2))
        assert_close(one, other, 0.01)
        assert correlation(one, centered(truth)) > 0.75


def assert_same_bits(one: Factorisation, other: Factorisation) -> None:
    np.testing.assert_array_equal(one.cells, other.cells)
    for name in ("loadings", "rate", "evidence", "cell_covariance", "peak_covariance", "cell_gram"):
        np.testing.assert_array_equal(getattr(one.decoder, name), getattr(other.decoder, name), err_msg=name)
    if one.decoder.prior is not None:
        np.testing.assert_array_equal(one.decoder.prior.weights, other.decoder.prior.weights)


@pytest.mark.filterwarnings("error")
class TestDegenerate:
    @pytest.mark.parametrize("with_sequence", [False, True], ids=["counts", "sequence"])
    @pytest.mark.parametrize(
        "X",
        [
            [[1, 0, 1, 1]],
            [[1], [0], [1]],
            [[1]],
            np.ones((4, 5)),
            [[1, 1, 0], [0, 0, 0]],
            np.eye(3),
            np.kron(np.eye(3), np.ones((10, 8))),
        ],
        ids=["one cell", "one peak", "one count", "all open", "one open cell", "diagonal", "three blocks"],
    )
    def test_more_components_than_there_is_to_explain(self, X: list[list[int]], with_sequence: bool) -> None:
        X = csr(X)
        embeddings = np.random.default_rng(0).standard_normal((X.shape[1], 3)) if with_sequence else None
        fitted = run(X, 40, embeddings=embeddings)
        decoder = fitted.decoder
        k = fitted.cells.shape[1]
        assert k <= min(X.shape)
        assert fitted.cells.shape == (X.shape[0], k)
        assert decoder.loadings.shape == (X.shape[1], k)
        assert decoder.cell_covariance.shape == decoder.peak_covariance.shape == decoder.cell_gram.shape == (k, k)
        for array in (fitted.cells, decoder.loadings, decoder.cell_covariance, decoder.peak_covariance):
            assert np.isfinite(array).all()

    def test_rank(self) -> None:
        # Three separate blocks of cells and peaks: rank two after the depth is taken out.
        spread = np.abs(run(csr(np.kron(np.eye(3), np.ones((10, 8)))), 10).cells).max(axis=0)
        assert spread[:2].min() > 0.5
        assert spread[2:].max(initial=0) < 1e-6

    def test_empty_cells_and_peaks_are_zero_and_change_nothing(self, X: sp.csr_matrix, embeddings: np.ndarray) -> None:
        padded = csr(sp.block_diag([X, sp.csr_matrix((2, 3))]).toarray())
        extra = np.concatenate([embeddings, np.full((3, N_DIMS), 50, dtype=np.float32)])
        fitted, larger = run(X, embeddings=embeddings), run(padded, embeddings=extra)
        assert not larger.cells[-2:].any()
        assert not larger.decoder.loadings[-3:].any()
        assert not larger.decoder.rate[-3:].any()
        assert_close(larger.cells[:-2], fitted.cells, 1e-3)

    def test_peaks_closed_in_one_domain_are_no_evidence(self, X: sp.csr_matrix) -> None:
        domain, dense = np.repeat([0, 1], N_CELLS // 2), X.toarray()
        # Two thirds of all: a platform that cannot see them.
        dense[domain == 1, :200] = 0

        def fit_domains(dense: np.ndarray, domain: np.ndarray | None) -> Factorisation:
            counts = InMemory(csr(dense))
            return fit(counts, margins(counts, domain), 3, rng=np.random.default_rng(0))

        first = fit_domains(dense, domain)
        assert not first.decoder.loadings[:200].any()
        assert not first.decoder.rate[:200].any()
        dense[domain == 0, :200] = np.random.default_rng(5).integers(0, 2, (N_CELLS // 2, 200))
        assert_close(fit_domains(dense, domain).cells, first.cells, 1e-6)
        assert_close(fit_domains(dense[:, 200:], None).cells, first.cells, 1e-3)

    @pytest.mark.parametrize("value", [np.nan, 1.0], ids=["unknown", "all alike"])
    def test_embeddings_that_tell_nothing_are_not_used(self, X: sp.csr_matrix, value: float) -> None:
        fitted, plain = run(X, embeddings=np.full((N_PEAKS, 3), value, dtype=np.float32)), run(X)
        assert fitted.decoder.prior is None
        np.testing.assert_array_equal(fitted.cells, plain.cells)

    def test_peaks_without_sequence_keep_their_evidence(
        self, X: sp.csr_matrix, embeddings: np.ndarray, logits: np.ndarray
    ) -> None:
        known = embeddings.copy()
        known[::4] = np.nan
        fitted = run(X, embeddings=known)
        assert np.isfinite(fitted.cells).all()
        assert correlation(effects(fitted)[:, ::4], centered(logits)[:, ::4]) > 0.8


class TestSequence:
    def test_informative_embeddings_predict_peaks_never_seen(self, logits: np.ndarray, embeddings: np.ndarray) -> None:
        seen = np.arange(N_PEAKS) < 200
        fitted = run(draw(1 / (1 + np.exp(-logits[:, seen])), seed=7), embeddings=embeddings[seen])
        assert fitted.decoder.prior.held_out_r2 > 0.5
        predicted = fitted.cells @ fitted.decoder.prior(embeddings[~seen]).T
        assert correlation(predicted - predicted.mean(axis=0), centered(logits)[:, ~seen]) > 0.85

    @pytest.mark.parametrize("rate", [0.15, 1], ids=["few counts", "many counts"])
    def test_informative_embeddings_raise_the_held_out_likelihood(
        self, logits: np.ndarray, embeddings: np.ndarray, rate: float
    ) -> None:
        gains = gains_with_and_without(draw(rate / (1 + np.exp(-logits)), seed=8), embeddings)
        assert (gains[:, 1] > gains[:, 0]).all()
        assert (gains[:, 1] > 0).all()

    @pytest.mark.parametrize("n_dims", [6, 200])
    def test_random_embeddings_do_not_lower_it(self, X: sp.csr_matrix, n_dims: int) -> None:
        noise = np.random.default_rng(9).standard_normal((N_PEAKS, n_dims)).astype(np.float32)
        gains = gains_with_and_without(X, noise)
        # 2 % of what is gained: the price of choosing a penalty on as many peaks as these.
        assert (gains[:, 1] - gains[:, 0]).mean() > -0.02 * gains[:, 0].mean()

    def test_random_embeddings_predict_nothing(self) -> None:
        # A prior that shaped the cells finds itself again in what they say of the peaks.
        rng = np.random.default_rng(10)
        rate = rng.gamma(1, 1, 200)
        X = csr(rng.random((400, 200)) < np.minimum(0.1 * rate, 0.9))
        fitted = run(X, 8, embeddings=rng.standard_normal((200, 20)))
        assert fitted.decoder.prior.held_out_r2 < 0.1


def gains_with_and_without(
    X: sp.csr_matrix, embeddings: np.ndarray, n_components: int = 3, seeds: tuple[int, ...] = (0, 1)
) -> np.ndarray:
    """Return held-out gain (n_splits, 2) of counts alone and with embeddings, 10 % of what is open held out."""
    gains = []
    for seed in seeds:
        kept, held_out = split_counts(X, 0.1, np.random.default_rng(seed))
        m = margins(InMemory(kept))
        fits = [run(kept, n_components, embeddings=used) for used in (None, embeddings)]
        gains.append([held_out_gain(fitted, m, held_out) for fitted in fits])
    return np.array(gains)


@pytest.mark.parametrize(
    ("name", "n_cells", "least"),
    [
        ("celllines_gm_hek_k562_h1_hg19_seq", 319, 0.002),
        ("granja2019_bmmc_10x_hg19_seq", 1000, -0.0005),
        ("cao2018_a549_scicar_hg19_atac_seq", 600, -0.0005),
    ],
)
def test_real_sequence_does_not_lower_the_held_out_likelihood(
    shared_data: Path, name: str, n_cells: int, least: float
) -> None:
    """Cell lines gain a third; few peaks, or one cell line, gain nothing.

    Nats per held-out count. Gains of splits and of random embeddings scatter by some 0.0005, which is allowed for.
    """
    adata = anndata.read_h5ad(shared_data / f"{name}.h5ad")
    cells = np.sort(np.random.default_rng(0).choice(adata.n_obs, n_cells, replace=False))
    X = csr(adata.X[cells].toarray() > 0)
    embeddings = get("kmer").encode(list(adata.var["seq"]))
    gains = gains_with_and_without(X, embeddings, n_components=8, seeds=(0, 1, 2, 3))
    assert (gains[:, 1] - gains[:, 0]).mean() > least
