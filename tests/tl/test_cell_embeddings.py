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

DECODER = {"params", "cell_covariance", "peak_covariance", "cell_gram"}
SLOTS = {("obsm", "X_scllmda"), ("varm", "X_scllmda"), ("var", "X_scllmda_rate"), ("uns", "X_scllmda")}
PUBLISHED = {"model": "scllmda", "n_epochs": 3}


@pytest.fixture(scope="module")
def with_peaks() -> AnnData:
    """Return cells whose peaks are embedded; not to be changed."""
    adata = pair(sequence=True)[0]
    sl.tl.embed_peaks(adata)
    return adata


def embedded(adata: Any, **options: Any) -> Any:
    return sl.tl.cell_embeddings(adata, **{"n_latent": 16, "copy": True, **options})


def assert_same_embedding(found: AnnData, expected: AnnData) -> None:
    for attr in ("obsm", "varm", "uns"):
        assert_same(getattr(found, attr)["X_scllmda"], getattr(expected, attr)["X_scllmda"], attr)


def half_measured() -> AnnData:
    """Return two platforms, of which the second alone has the first 20 peaks."""
    adata = together()
    X = adata.X.toarray()
    is_reference = (adata.obs["platform"] == "reference").to_numpy()
    X[np.ix_(is_reference, np.arange(20))] = 0
    X[np.ix_(~is_reference, np.arange(20))] = np.random.default_rng(0).random(((~is_reference).sum(), 20)) < 0.8
    return with_X(adata, X)


class TestDefaultRecipe:
    def test_slots(self) -> None:
        adata = pair()[0]
        before = snapshot(adata)
        assert sl.tl.cell_embeddings(adata, n_latent=16) is None
        assert added(before, snapshot(adata)) == SLOTS
        W, B, uns = adata.obsm["X_scllmda"], adata.varm["X_scllmda"], adata.uns["X_scllmda"]
        assert (W.shape, B.shape) == ((150, 16), (800, 16))
        assert (W.dtype, B.dtype) == (np.float32, np.float32)
        assert set(uns) == DECODER
        assert adata.var["X_scllmda_rate"].sum() == pytest.approx(1)
        for name in ("cell_covariance", "peak_covariance", "cell_gram"):
            assert uns[name].shape == (16, 16)
            np.testing.assert_allclose(uns[name], uns[name].T, atol=1e-6 * np.abs(uns[name]).max())
            assert np.linalg.eigvalsh(uns[name]).min() > -1e-6 * np.abs(uns[name]).max()
        assert (uns["params"]["n_latent"], uns["params"]["model"]) == (16, "factorisation")

    def test_loadings_are_orthonormal_under_the_base_rates(self, with_peaks: AnnData) -> None:
        adata = embedded(with_peaks)
        B, rate = adata.varm["X_scllmda"].astype(float), adata.var["X_scllmda_rate"].to_numpy(float)
        supported = B.any(axis=0)
        assert supported[:2].all()
        np.testing.assert_allclose(B.T @ (rate[:, None] * B), np.diag(supported), atol=1e-3)
        size = np.square(adata.obsm["X_scllmda"], dtype=float).mean(axis=0)
        assert (np.diff(size) <= 0.05 * size[0]).all()
        assert size[0] == size.max()

    def test_types_are_told_apart(self, with_peaks: AnnData) -> None:
        W, types = embedded(with_peaks).obsm["X_scllmda"], with_peaks.obs["cell_type"].to_numpy()
        lineage = np.isin(types, ["B", "Plasma"])
        near = np.linalg.norm(W[:, None] - W[None], axis=2) + 1e9 * np.eye(len(W))
        assert (lineage[near.argmin(axis=1)] == lineage).mean() > 0.9

    def test_with_sequence(self, with_peaks: AnnData) -> None:
        found = embedded(with_peaks)
        uns = found.uns["X_scllmda"]
        assert uns["params"]["use_varm"] == "X_kmer"
        prior = uns["prior"]
        assert prior["mean"].shape == prior["scale"].shape == (514,)
        assert prior["weights"].shape == (514, 16)
        assert set(prior) == {"mean", "scale", "weights", "held_out_r2"}
        assert isinstance(prior["held_out_r2"], float)
        assert 0.05 < prior["held_out_r2"] < 1

    def test_random_vectors_do_not_predict_what_kmers_do(self, with_peaks: AnnData) -> None:
        adata = sl.tl.embed_peaks(with_peaks, "random", copy=True)
        r2 = {
            key: embedded(adata, use_varm=key).uns["X_scllmda"]["prior"]["held_out_r2"]
            for key in ("X_kmer", "X_random")
        }
        assert r2["X_random"] < 0.02 < r2["X_kmer"]

    def test_counts_are_binarized(self) -> None:
        adata = pair()[0]
        assert adata.X.max() > 1
        assert_same(embedded(with_X(adata, adata.X > 0)).obsm["X_scllmda"], embedded(adata).obsm["X_scllmda"])

    @pytest.mark.parametrize("likelihood", ["bernoulli", "poisson"])
    @pytest.mark.parametrize(
        "convert", [sp.csc_matrix, sp.csr_array, lambda X: X.toarray()], ids=["csc", "array", "dense"]
    )
    def test_kinds_of_counts(self, convert: Any, likelihood: str) -> None:
        adata = pair()[0]
        found = embedded(with_X(adata, convert(adata.X)), likelihood=likelihood)
        assert_same_embedding(found, embedded(adata, likelihood=likelihood))

    @pytest.mark.parametrize("dense", [False, True])
    def test_backed(self, dense: bool, tmp_path: Path) -> None:
        adata = pair()[0]
        with_X(adata, adata.X.toarray() if dense else adata.X).write_h5ad(tmp_path / "cells.h5ad")
        backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
        sl.tl.cell_embeddings(backed, n_latent=16)
        assert backed.isbacked
        assert_same_embedding(backed, embedded(adata))
        backed.file.close()

    @pytest.mark.parametrize("dense", [False, True])
    def test_dask(self, dense: bool) -> None:
        da = pytest.importorskip("dask.array")
        adata = pair()[0]
        X = da.from_array(adata.X.toarray() if dense else adata.X, chunks=(40, 300 if dense else -1))
        assert_same_embedding(embedded(with_X(adata, X)), embedded(adata))

    def test_poisson_reads_how_many(self) -> None:
        adata = pair()[0]
        first = embedded(adata, likelihood="poisson")
        assert first.uns["X_scllmda"]["params"]["likelihood"] == "poisson"
        assert not np.array_equal(first.obsm["X_scllmda"], embedded(adata).obsm["X_scllmda"])
        binary = with_X(adata, (adata.X > 0).astype(np.float32))
        assert_same(embedded(binary, likelihood="poisson").obsm["X_scllmda"], embedded(adata).obsm["X_scllmda"])

    def test_layer_and_key_and_mudata(self) -> None:
        adata = pair()[0]
        expected = embedded(adata).obsm["X_scllmda"]
        adata.layers["counts"] = adata.X
        adata.X = -adata.X
        found = embedded(MuData({"peaks": adata}), layer="counts", key_added="mine", mod="peaks")["peaks"]
        assert_same(found.obsm["mine"], expected)
        assert {("obsm", "mine"), ("varm", "mine"), ("var", "mine_rate"), ("uns", "mine")} == added(
            snapshot(adata), snapshot(found)
        )

    def test_peaks_closed_in_one_domain_are_no_evidence(self) -> None:
        adata = half_measured()
        found = embedded(adata, domain_key="platform")
        assert not found.varm["X_scllmda"][:20].any()
        assert not found.var["X_scllmda_rate"][:20].any()
        expected = embedded(adata[:, 20:], domain_key="platform").obsm["X_scllmda"]
        # Axes of next to no weight may be turned.
        W, exact = found.obsm["X_scllmda"], expected
        np.testing.assert_allclose(W @ W.T, exact @ exact.T, atol=1e-3 * np.abs(exact @ exact.T).max())
        assert embedded(adata).varm["X_scllmda"][:20].any(axis=1).all()

    def test_union_of_peaks(self) -> None:
        adata = half_measured()
        found = embedded(adata, domain_key="platform", domain_peaks="union")
        assert found.uns["X_scllmda"]["params"]["domain_peaks"] == "union"
        assert found.varm["X_scllmda"][:20].any(axis=1).all()
        assert (found.var["X_scllmda_rate"][:20] > 0).all()
        W, is_reference = found.obsm["X_scllmda"], (adata.obs["platform"] == "reference").to_numpy()
        naive = embedded(adata).obsm["X_scllmda"]

        def apart(W: np.ndarray) -> float:
            """Return how far apart the platforms are, in standard deviations of the widest direction."""
            mean = W[is_reference].mean(axis=0) - W[~is_reference].mean(axis=0)
            return float(np.linalg.norm(mean) / W.std(axis=0).max())

        # Taken for measurements, the missing peaks say which platform a cell is from.
        assert apart(W) < 0.5 * apart(naive)

    def test_batch_terms(self) -> None:
        adata = pair()[0]
        found = embedded(adata, batch_key="batch")
        assert found.uns["X_scllmda"]["params"]["batch_key"] == "batch"
        assert not np.array_equal(found.obsm["X_scllmda"], embedded(adata).obsm["X_scllmda"])
        adata.obs["batch"] = "one"
        one, none = embedded(adata, batch_key="batch").obsm["X_scllmda"], embedded(adata).obsm["X_scllmda"]
        np.testing.assert_allclose(one, none, atol=1e-4 * np.abs(none).max())

    def test_batch_terms_take_out_what_batches_differ_in(self) -> None:
        adata = pair()[0]
        X = adata.X.toarray()
        second = (adata.obs["batch"] == adata.obs["batch"].iloc[0]).to_numpy()
        X[np.ix_(second, np.arange(100))] = 1
        adata = with_X(adata, X)

        def explained(W: np.ndarray) -> float:
            """Return the share of the cells' variance that is between the batches."""
            means = np.where(second[:, None], W[second].mean(axis=0), W[~second].mean(axis=0))
            return float(means.var(axis=0).sum() / W.var(axis=0).sum())

        with_terms = explained(embedded(adata, batch_key="batch").obsm["X_scllmda"])
        assert with_terms < 0.1 < 0.5 < explained(embedded(adata).obsm["X_scllmda"])

    def test_more_dimensions_than_there_are(self) -> None:
        adata = pair()[0]
        most_open = np.argsort(-np.asarray(adata.X.sum(axis=0)).ravel())[:5]
        for few in (adata[:10], adata[:, most_open]):
            found = embedded(few, n_latent=128)
            for values in (found.obsm["X_scllmda"], found.varm["X_scllmda"]):
                assert values.shape[1] == 128
                assert np.isfinite(values).all()
            # Nothing is left of those that the counts do not support, up to rounding.
            np.testing.assert_allclose(found.obsm["X_scllmda"][:, min(few.shape) :], 0, atol=1e-6)

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
        assert_same_embedding(embedded(with_peaks, rng=3), embedded(with_peaks, rng=3))

    @pytest.mark.filterwarnings("error", "ignore:Writing zarr v2", "ignore:The .future.infer_string. option")
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
        assert added(snapshot(with_peaks), snapshot(adata)) == SLOTS - {("var", "X_scllmda_rate")}
        assert adata.obsm["X_scllmda"].shape == (150, 16)
        assert adata.varm["X_scllmda"].shape == (800, 16)
        uns = adata.uns["X_scllmda"]
        assert set(uns) == {"params", "history"}
        loss = uns["history"]["cell_loss"]
        assert len(loss) == uns["params"]["recipe"]["cell_epochs"] == 3
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

    def test_needs_peak_embeddings(self, with_peaks: AnnData) -> None:
        with pytest.raises(ValueError, match=r"model='scllmda' learns.*embed_peaks"):
            embedded(pair()[0], **PUBLISHED)

    def test_peaks_without_a_known_base_have_no_place(self, with_peaks: AnnData) -> None:
        adata = with_peaks.copy()
        adata.var.iloc[0, adata.var.columns.get_loc("sequence")] = "NN"
        peaks = embedded(adata, **PUBLISHED).varm["X_scllmda"]
        assert not peaks[0].any()
        assert peaks[1:].any(axis=1).all()


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
        assert set(found.uns["X_scllmda"]) == DECODER
        assert "use_varm" not in found.uns["X_scllmda"]["params"]
        assert_same(found.obsm["X_scllmda"], embedded(adata).obsm["X_scllmda"])


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"model": "scllmd"}, ValueError, r"Unknown model 'scllmd'; expected one of \['factorisation', 'scllmda'"),
        (
            {"likelihood": "gauss"},
            ValueError,
            r"Unknown likelihood 'gauss'; expected one of \['bernoulli', 'poisson'\]",
        ),
        ({"domain_peaks": "all"}, ValueError, r"Unknown domain_peaks 'all'; expected one of \['shared', 'union'\]"),
        ({"batch_key": "batch", "domain_peaks": "union"}, ValueError, "batch_key= needs .*domain_peaks='shared'"),
        ({"batch_key": "bach"}, KeyError, "Did you mean 'batch'.*batch_key="),
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
