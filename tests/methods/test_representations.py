"""Each representation against a dense computation of its own."""

from __future__ import annotations

import sys
import warnings
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

from scllmda.methods._representations import lsi, spectral, tfidf, tfidf_on_means

LSI = {"n_components": 5, "max_depth_correlation": 0.75}


def make_counts(*, n_cells: int = 60, n_peaks: int = 200, seed: int = 0) -> sp.csr_matrix:
    """Three types of cells, of varying depth; no cell and no peak is empty."""
    rng = np.random.default_rng(seed)
    rate = rng.beta(0.5, 2, size=(3, n_peaks))[np.arange(n_cells) % 3] * rng.uniform(0.3, 1, size=(n_cells, 1))
    X = rng.random((n_cells, n_peaks)) < rate
    X[np.arange(n_cells), np.arange(n_cells)] = True
    X[np.arange(n_peaks) % n_cells, np.arange(n_peaks)] = True
    return sp.csr_matrix(X, dtype=np.float32)


def dense_tfidf(X: sp.csr_matrix) -> np.ndarray:
    A = X.toarray().astype(float)
    return np.log1p(1e4 * A / A.sum(axis=1, keepdims=True)) * np.log1p(len(A) / A.sum(axis=0))


def unit(A: np.ndarray) -> np.ndarray:
    return A / np.linalg.norm(A, axis=1, keepdims=True)


def assert_same_up_to_sign(found: np.ndarray, expected: np.ndarray, atol: float = 1e-8) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found * np.sign((found * expected).sum(axis=0)), expected, atol=atol)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


REPRESENTATIONS = {
    "lsi": lambda X: lsi(X, rng=rng(), **LSI),
    "spectral": lambda X: spectral(X, n_components=5, rng=rng()),
    "tfidf_on_means": lambda X: tfidf_on_means(X, np.arange(X.shape[0]) % 3),
}
each = pytest.mark.parametrize("represent", REPRESENTATIONS.values(), ids=REPRESENTATIONS)


@each
def test_counts_are_left_alone_and_nothing_depends_on_chance(represent: partial) -> None:
    X = make_counts()
    before = X.copy()
    first = represent(X)
    np.testing.assert_array_equal(represent(X), first)
    np.testing.assert_array_equal(X.toarray(), before.toarray())
    assert first.dtype == np.float64
    assert np.isfinite(first).all()


@each
def test_order_of_the_peaks_does_not_matter(represent: partial) -> None:
    X = make_counts()
    order = np.random.default_rng(1).permutation(X.shape[1])
    assert_same_up_to_sign(represent(sp.csr_matrix(X[:, order])), represent(X))


@each
@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (4, 1), (7, 5)])
def test_a_handful_of_cells_or_peaks(represent: partial, shape: tuple[int, int]) -> None:
    X = sp.csr_matrix(np.ones(shape, dtype=np.float32))
    X[0, 1:] = 0
    X.eliminate_zeros()
    found = represent(X)
    assert len(found) == shape[0]
    assert np.isfinite(found).all()


class TestTfidf:
    def test_by_hand(self) -> None:
        X = make_counts()
        np.testing.assert_allclose(tfidf(X).toarray(), dense_tfidf(X), rtol=1e-12)

    def test_nothing_is_warned_of_when_muon_is_imported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "muon"]:
            monkeypatch.delitem(sys.modules, name)
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            tfidf(make_counts())

    def test_stored_zeros_are_no_counts(self) -> None:
        X = make_counts()
        zeros = sp.csr_matrix(X.toarray())
        zeros.data[::7] = 0
        clean = zeros.copy()
        clean.eliminate_zeros()
        np.testing.assert_array_equal(tfidf(zeros).toarray(), tfidf(clean).toarray())
        assert tfidf(zeros).has_sorted_indices

    def test_empty_cells_and_peaks_stay_empty(self) -> None:
        X = make_counts().tolil()
        X[3], X[:, 7] = 0, 0
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Y = tfidf(sp.csr_matrix(X)).toarray()
        assert np.isfinite(Y).all()
        assert not Y[3].any()
        assert not Y[:, 7].any()


class TestLsi:
    def test_by_dense_svd(self) -> None:
        X = make_counts()
        U, S, _ = np.linalg.svd(dense_tfidf(X), full_matrices=False)
        found = lsi(X, n_components=5, max_depth_correlation=1, rng=rng())
        assert_same_up_to_sign(found, unit(U[:, :5] * S[:5]))

    def test_spans_what_muon_computes(self) -> None:
        from muon import atac

        X = make_counts()
        adata = AnnData(X.astype(np.float64))
        atac.pp.tfidf(adata)
        atac.tl.lsi(adata, n_comps=5, scale_embeddings=False)
        scores = adata.obsm["X_lsi"] * adata.uns["lsi"]["stdev"]
        assert_same_up_to_sign(lsi(X, n_components=5, max_depth_correlation=1, rng=rng()), unit(scores))

    @pytest.mark.parametrize(("limit", "dropped"), [(1.0, 0), (0.0, 1)])
    def test_the_first_component_is_dropped_if_it_is_depth(self, limit: float, dropped: int) -> None:
        X = make_counts()
        U, S, _ = np.linalg.svd(dense_tfidf(X), full_matrices=False)
        depth = abs(np.corrcoef(U[:, 0], np.log(X.sum(axis=1).A1))[0, 1])
        assert 0 < depth < 1
        found = lsi(X, n_components=5, max_depth_correlation=limit, rng=rng())
        assert_same_up_to_sign(found, unit((U * S)[:, dropped:5]))

    def test_without_depth_to_follow_it_stays(self) -> None:
        X = sp.csr_matrix(np.kron(np.eye(3), np.ones((5, 4))), dtype=np.float32)
        assert lsi(X, n_components=2, max_depth_correlation=0, rng=rng()).shape == (15, 2)

    def test_no_more_components_than_cells(self) -> None:
        X = make_counts()[:4]
        assert lsi(X, n_components=30, max_depth_correlation=1, rng=rng()).shape == (4, 4)


class TestSpectral:
    @staticmethod
    def expected(X: sp.csr_matrix, k: int) -> np.ndarray:
        A = X.toarray().astype(float)
        Y = unit(A * np.log(len(A) / A.sum(axis=0)))
        S = Y @ Y.T
        np.fill_diagonal(S, 0)
        root = np.sqrt(S.sum(axis=1))
        values, vectors = np.linalg.eigh(S / root / root[:, None])
        return (vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1][:, :k]

    def test_by_dense_eigenvectors(self) -> None:
        X = make_counts()
        assert_same_up_to_sign(spectral(X, n_components=5, rng=rng()), self.expected(X, 5))

    def test_the_first_is_the_root_of_the_degree(self) -> None:
        first = spectral(make_counts(), n_components=1, rng=rng())[:, 0]
        assert (first > 0).all()
        assert np.linalg.norm(first) == pytest.approx(1)

    @pytest.mark.parametrize("n_components", [1, 2, 30])
    def test_of_three_cells(self, n_components: int) -> None:
        X = sp.csr_matrix(np.array([[1, 1, 0, 1], [0, 1, 1, 0], [1, 0, 1, 0]], dtype=np.float32))
        found = spectral(X, n_components=n_components, rng=rng())
        assert_same_up_to_sign(found, self.expected(X, 1))

    def test_only_positive_eigenvalues(self) -> None:
        X = make_counts(n_cells=12)
        found = spectral(X, n_components=30, rng=rng())
        assert found.shape[1] < 11
        assert_same_up_to_sign(found, self.expected(X, found.shape[1]))

    def test_cells_with_nothing_in_common_are_zero(self) -> None:
        X = make_counts().tolil()
        X[:, 0], X[5] = 0, 0
        X[5, 0] = 1
        found = spectral(sp.csr_matrix(X), n_components=5, rng=rng())
        assert not found[5].any()
        assert found[np.arange(60) != 5].any(axis=1).all()
        # Neither does a peak that is open everywhere say anything.
        X[:, 0] = 1
        assert not spectral(sp.csr_matrix(X), n_components=5, rng=rng())[5].any()


class TestTfidfOnMeans:
    def test_products_with_means_of_groups_are_kept(self) -> None:
        X, group = make_counts(), np.where(np.arange(60) < 40, np.arange(60) % 4, -1)
        found, Y = tfidf_on_means(X, group), unit(dense_tfidf(X))
        assert found.shape == (60, 4)
        for together in ([0], [2], [0, 3], [1, 2, 3]):
            mean = np.isin(group, together)
            np.testing.assert_allclose(found @ found[mean].mean(axis=0), Y @ Y[mean].mean(axis=0), atol=1e-12)
            assert np.linalg.norm(found[mean].mean(axis=0)) == pytest.approx(np.linalg.norm(Y[mean].mean(axis=0)))

    def test_groups_alike_take_no_dimension(self) -> None:
        X = make_counts()[[0, 1, 2, 0, 1, 2]]
        found = tfidf_on_means(X, np.array([0, 1, 2, 5, 9, -1]))
        assert found.shape == (6, 3)
        np.testing.assert_allclose(found[3:], found[:3], atol=1e-12)
