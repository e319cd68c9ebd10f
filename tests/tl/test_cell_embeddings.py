from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from tests._objects import added, assert_same, pair, snapshot, together, with_X

import scllmda as sl
from scllmda.factorisation import fit

SLOTS = {("obsm", "X_scllmda"), ("varm", "X_scllmda"), ("uns", "X_scllmda")}
PUBLISHED = {"recipe": "published", "n_epochs": 3}


@pytest.fixture(scope="module")
def with_peaks() -> AnnData:
    """Return cells whose peaks are embedded; not to be changed."""
    adata = pair(sequence=True)[0]
    sl.tl.embed_peaks(adata)
    return adata


def embedded(adata: Any, **options: Any) -> Any:
    return sl.tl.cell_embeddings(adata, **{"n_latent": 16, "copy": True, **options})


def residuals(X: sp.csr_matrix) -> np.ndarray:
    """Return the Pearson residuals of binary counts, by their definition."""
    binary = (X.toarray() > 0).astype(float)
    expected = np.outer(binary.sum(axis=1), binary.sum(axis=0)) / binary.sum()
    return np.divide(binary - expected, np.sqrt(expected * binary.sum()), out=np.zeros_like(binary), where=expected > 0)


class TestDefaultRecipe:
    def test_slots(self) -> None:
        adata = pair()[0]
        before = snapshot(adata)
        assert sl.tl.cell_embeddings(adata, n_latent=16) is None
        assert added(before, snapshot(adata)) == SLOTS
        W, B, uns = adata.obsm["X_scllmda"], adata.varm["X_scllmda"], adata.uns["X_scllmda"]
        assert (W.shape, B.shape) == ((150, 16), (800, 16))
        assert (W.dtype, B.dtype) == (np.float32, np.float32)
        assert set(uns) == {"params", "peak_mass"}
        assert uns["peak_mass"].sum() == pytest.approx(1)
        assert (uns["params"]["n_latent"], uns["params"]["recipe"]) == (16, "default")

    def test_columns_are_orthogonal_and_ordered(self) -> None:
        adata = embedded(pair()[0])
        gram = adata.obsm["X_scllmda"].T @ adata.obsm["X_scllmda"]
        np.testing.assert_allclose(gram - np.diag(gram.diagonal()), 0, atol=1e-4 * gram.max())
        assert (np.diff(gram.diagonal()) <= 0).all()
        B = adata.varm["X_scllmda"]
        np.testing.assert_allclose(B.T @ B, np.eye(16), atol=1e-4)

    def test_with_sequence(self, with_peaks: AnnData) -> None:
        found = embedded(with_peaks)
        uns = found.uns["X_scllmda"]
        assert uns["params"]["use_varm"] == "X_kmer"
        prior = uns["prior"]
        assert prior["mean"].shape == prior["scale"].shape == (514,)
        assert prior["weights"].shape == (514, 16)
        assert prior["held_out_r2"].shape == (16,)
        assert prior["held_out_r2"].max() > 0.05
        assert (prior["held_out_r2"] >= 0).all()
        B = found.varm["X_scllmda"]
        np.testing.assert_allclose(B.T @ B, np.eye(16), atol=1e-4)

    def test_random_vectors_do_not_predict_what_kmers_do(self, with_peaks: AnnData) -> None:
        leading = {}
        for encoder in ("kmer", "random"):
            adata = sl.tl.embed_peaks(with_peaks, encoder, copy=True)
            prior = embedded(adata, use_varm=f"X_{encoder}").uns["X_scllmda"]["prior"]
            leading[encoder] = prior["held_out_r2"][:2]
        assert leading["kmer"].max() > 0.03
        assert (leading["random"] < 0.02).all()

    @pytest.mark.parametrize("n_iterations", [1, 6])
    def test_is_near_the_best_low_rank_approximation(self, n_iterations: int) -> None:
        X = pair()[0].X.copy()
        X.data[:] = 1
        M = residuals(X)
        S = np.linalg.svd(M, compute_uv=False)
        best = np.sum(S[8:] ** 2)
        found = fit(X, 8, n_iterations=n_iterations, rng=np.random.default_rng(0))
        error = np.sum((M - found.cells @ found.peaks.T) ** 2)
        assert best <= error * (1 + 1e-6)
        assert error < 1.05 * best

    def test_counts_are_binarised(self) -> None:
        adata = pair()[0]
        assert adata.X.max() > 1
        assert_same(embedded(with_X(adata, adata.X > 0)).obsm["X_scllmda"], embedded(adata).obsm["X_scllmda"])

    @pytest.mark.parametrize("convert", [sp.csc_matrix, lambda X: X.toarray()])
    def test_kinds_of_counts(self, convert: Any) -> None:
        adata = pair()[0]
        found = embedded(with_X(adata, convert(adata.X)))
        for attr in ("obsm", "varm", "uns"):
            assert_same(getattr(found, attr)["X_scllmda"], getattr(embedded(adata), attr)["X_scllmda"])

    def test_backed(self, tmp_path: Path) -> None:
        adata = pair()[0]
        adata.write_h5ad(tmp_path / "cells.h5ad")
        backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
        sl.tl.cell_embeddings(backed, n_latent=16)
        assert_same(backed.obsm["X_scllmda"], embedded(adata).obsm["X_scllmda"])
        backed.file.close()

    def test_layer_and_key_and_mudata(self) -> None:
        adata = pair()[0]
        expected = embedded(adata).obsm["X_scllmda"]
        adata.layers["counts"] = adata.X
        adata.X = -adata.X
        found = embedded(MuData({"peaks": adata}), layer="counts", key_added="mine", mod="peaks")["peaks"]
        assert_same(found.obsm["mine"], expected)
        assert {("obsm", "mine"), ("varm", "mine"), ("uns", "mine")} == added(snapshot(adata), snapshot(found))

    def test_domains(self) -> None:
        adata = together()
        X = adata.X.toarray()
        reference = (adata.obs["platform"] == "reference").to_numpy()
        X[np.ix_(reference, np.arange(20))] = 0
        X[np.ix_(~reference, np.arange(20))] = 1
        adata = with_X(adata, X)
        found = embedded(adata, domain_key="platform")
        assert (found.varm["X_scllmda"][:20] == 0).all()
        assert (found.uns["X_scllmda"]["peak_mass"][:20] == 0).all()
        np.testing.assert_array_equal(
            found.obsm["X_scllmda"], embedded(adata[:, 20:], domain_key="platform").obsm["X_scllmda"]
        )
        assert (embedded(adata).varm["X_scllmda"][:20] != 0).any(axis=1).all()

    def test_more_dimensions_than_there_are(self) -> None:
        adata = pair()[0][:10].copy()
        found = embedded(adata, n_latent=128)
        assert found.obsm["X_scllmda"].shape == (10, 10)
        assert np.isfinite(found.obsm["X_scllmda"]).all()
        most_open = np.argsort(-np.asarray(pair()[0].X.sum(axis=0)).ravel())[:5]
        assert embedded(pair()[0][:, most_open], n_latent=128).varm["X_scllmda"].shape == (5, 5)

    def test_cells_and_peaks_of_zeros(self) -> None:
        adata = pair()[0]
        X = adata.X.toarray()
        X[[0, 9]] = 0
        X[:, [1, 5]] = 0
        found = embedded(with_X(adata, X))
        W, B = found.obsm["X_scllmda"], found.varm["X_scllmda"]
        assert np.flatnonzero(~W.any(axis=1)).tolist() == [0, 9]
        assert (B[[1, 5]] == 0).all()
        assert np.isfinite(W).all()
        assert np.isfinite(B).all()

    def test_same_seed_same_bytes(self, with_peaks: AnnData) -> None:
        first, second = embedded(with_peaks, rng=3), embedded(with_peaks, rng=3)
        for attr in ("obsm", "varm", "uns"):
            assert_same(getattr(second, attr)["X_scllmda"], getattr(first, attr)["X_scllmda"])

    @pytest.mark.filterwarnings("error", "ignore:Writing zarr v2")
    @pytest.mark.parametrize("form", ["h5ad", "zarr"])
    def test_round_trip(self, with_peaks: AnnData, form: str, tmp_path: Path) -> None:
        adata = embedded(with_peaks, domain_key="batch")
        getattr(adata, f"write_{form}")(tmp_path / "cells")
        found = getattr(ad, f"read_{form}")(tmp_path / "cells")
        for attr, key in SLOTS:
            assert_same(getattr(found, attr)[key], getattr(adata, attr)[key], attr)


class TestPublishedRecipe:
    def test_embeddings_all_alike_are_refused_in_words(self, with_peaks: AnnData) -> None:
        adata = with_peaks.copy()
        adata.varm["X_kmer"] = np.ones((adata.n_vars, 3), dtype=np.float32)
        before = snapshot(adata)
        with pytest.raises(ValueError, match=r"Run sl\.tl\.embed_peaks"):
            sl.tl.cell_embeddings(adata, **PUBLISHED)
        assert not added(before, snapshot(adata))

    def test_slots(self, with_peaks: AnnData) -> None:
        adata = with_peaks.copy()
        sl.tl.cell_embeddings(adata, n_latent=16, **PUBLISHED)
        assert added(snapshot(with_peaks), snapshot(adata)) == SLOTS
        assert adata.obsm["X_scllmda"].shape == (150, 16)
        assert adata.varm["X_scllmda"].shape == (800, 16)
        uns = adata.uns["X_scllmda"]
        assert set(uns) == {"params", "history"}
        loss = uns["history"]["loss"]
        assert len(loss) == uns["params"]["n_epochs"] == 3
        assert loss[-1] < loss[0]

    def test_same_seed_same_bytes_and_no_global_state(self, with_peaks: AnnData) -> None:
        import torch

        state = torch.get_rng_state()
        first = embedded(with_peaks, **PUBLISHED).obsm["X_scllmda"]
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(1)
        assert_same(embedded(with_peaks, **PUBLISHED).obsm["X_scllmda"], first)

    def test_cells_of_zeros(self, with_peaks: AnnData) -> None:
        adata = with_peaks.copy()
        X = adata.X.toarray()
        X[4] = 0
        adata.X = sp.csr_matrix(X)
        W = embedded(adata, **PUBLISHED).obsm["X_scllmda"]
        assert np.flatnonzero(~W.any(axis=1)).tolist() == [4]

    def test_needs_the_embedding_of_every_peak(self, with_peaks: AnnData) -> None:
        with pytest.raises(ValueError, match=r"recipe='published' learns.*embed_peaks"):
            embedded(pair()[0], **PUBLISHED)
        adata = with_peaks.copy()
        adata.var.iloc[0, adata.var.columns.get_loc("sequence")] = "NN"
        with pytest.raises(ValueError, match="needs the embedding of every peak"):
            embedded(adata, **PUBLISHED)


class TestPeakEmbeddings:
    def test_none_is_the_one_there_is(self, with_peaks: AnnData) -> None:
        explicit = embedded(with_peaks, use_varm="X_kmer")
        assert_same(embedded(with_peaks).obsm["X_scllmda"], explicit.obsm["X_scllmda"])
        again = embedded(explicit)
        assert_same(again.obsm["X_scllmda"], explicit.obsm["X_scllmda"])

    def test_several(self, with_peaks: AnnData) -> None:
        adata = with_peaks.copy()
        sl.tl.embed_peaks(adata, "random")
        with pytest.raises(ValueError, match=r"several peak embeddings: \['X_kmer', 'X_random'\].*use_varm="):
            embedded(adata)
        assert embedded(adata, use_varm="X_kmer").uns["X_scllmda"]["params"]["use_varm"] == "X_kmer"

    def test_of_another_tool(self) -> None:
        adata = pair()[0]
        adata.varm["PCs"] = np.random.default_rng(0).normal(size=(adata.n_vars, 3))
        assert "prior" not in embedded(adata).uns["X_scllmda"]
        assert embedded(adata, use_varm="PCs").uns["X_scllmda"]["prior"]["weights"].shape == (3, 16)

    @pytest.mark.parametrize("value", [np.full((800, 3), np.nan), np.ones((800, 2, 2))])
    def test_bad(self, value: np.ndarray) -> None:
        adata = pair()[0]
        adata.varm["X_kmer"] = value
        with pytest.raises(ValueError, match=r"varm\['X_kmer'\] has shape \(800"):
            embedded(adata, use_varm="X_kmer")

    def test_constant(self) -> None:
        adata = pair()[0]
        adata.varm["flat"] = np.ones((adata.n_vars, 2))
        found = embedded(adata, use_varm="flat")
        assert set(found.uns["X_scllmda"]) == {"params", "peak_mass"}
        assert "use_varm" not in found.uns["X_scllmda"]["params"]
        assert_same(found.obsm["X_scllmda"], embedded(adata).obsm["X_scllmda"])


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"recipe": "publishd"}, ValueError, "Unknown recipe 'publishd'"),
        ({"n_latent": 0}, ValueError, "n_latent=0; expected a positive"),
        ({"n_epochs": 0}, ValueError, "n_epochs=0; expected a positive"),
        ({"key_added": "a/b"}, ValueError, "'a/b'"),
        ({"layer": "raw"}, KeyError, r"layers\['raw'\]"),
        ({"domain_key": "plattform"}, KeyError, "Did you mean 'platform'.*domain_key="),
        ({"use_varm": "X_kmer"}, KeyError, r"varm\['X_kmer'\].*embed_peaks"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], match: str) -> None:
    adata = pair()[0]
    before = snapshot(adata)
    with pytest.raises(error, match=match):
        sl.tl.cell_embeddings(adata, **options)
    assert added(before, snapshot(adata)) == set()


def test_bad_counts() -> None:
    adata = pair()[0]
    for X, match in [
        (None, "X is None"),
        (adata.X * 0, "None of 800 peaks is open in any cell"),
        (-adata.X, "negative"),
    ]:
        with pytest.raises(ValueError, match=match):
            embedded(with_X(adata, X))


def test_no_peak_open_in_every_domain() -> None:
    adata = AnnData(np.eye(2, dtype=np.float32), obs=pd.DataFrame({"platform": ["a", "b"]}, index=["x", "y"]))
    with pytest.raises(ValueError, match="None of 2 peaks is open in every domain"):
        embedded(adata, domain_key="platform")
