"""EpiFoundation as a whole, from objects to slots and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from tests._objects import (
    added,
    annotated,
    annotation_keys,
    assert_refused,
    assert_same_annotation,
    change_labels,
    pair,
    paired,
    snapshot,
    together,
)

import scllmda as sl
from scllmda._files import columns_of_their_own
from scllmda.checkpoints import read_checkpoint, write_checkpoint

QUICK: dict[str, Any] = {
    **{"preset": "small", "n_dims": 16, "n_layers": 2, "n_hidden": 32},
    **{"n_epochs": 2, "min_steps": 1, "lr": 3e-3},
}
TRAINING = {**QUICK, "pretrain_epochs": 2}


@pytest.fixture(autouse=True)
def _columns_stay_with_their_modality() -> Any:
    with columns_of_their_own():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a network that was trained on the reference, with batches."""
    path = tmp_path_factory.mktemp("weights") / "epifoundation"
    reference = pair()[0]
    reference.uns["genome"] = "hg38"
    sl.tl.pretrain(paired(reference), "epifoundation", output=path, recipe=TRAINING, batch_key="batch")
    return str(path)


def run(query: AnnData, reference: AnnData | None = None, **recipe: Any) -> AnnData:
    return annotated(query, reference, method="epifoundation", recipe={**QUICK, **recipe})


class TestAnnotate:
    def test_slots(self) -> None:
        reference, query = pair()
        before, of_reference = snapshot(query), snapshot(reference)
        sl.tl.annotate(query, reference, method="epifoundation", recipe=QUICK)
        assert added(before, snapshot(query)) == annotation_keys()
        assert added(of_reference, snapshot(reference)) == set()
        history = query.uns["scllmda"]["history"]
        assert len(history["loss"]) == len(history["held_out_accuracy"]) == 2
        shared = sl.pp.match_peaks(query, reference).uns["match_peaks"]
        assert history["n_unknown_peaks_query"] == 800 - shared["n_matched_query"]
        assert history["n_peaks_of_both"] == shared["n_matched_reference"]
        assert history["share_of_counts_known_query"] == pytest.approx(shared["fraction_of_query_counts"])
        assert query.obsm["X_scllmda_da"].shape == (100, 16)

    def test_learns_the_types(self) -> None:
        reference, query = sl.datasets.simulate(
            n_reference=240, n_query=80, n_peaks=600, n_types=3, shift=0, shared_peaks=1
        )
        del reference.var["sequence"], query.var["sequence"]
        done = run(query, reference, n_epochs=16)
        assert (done.obs["scllmda_raw"].astype(str) == query.obs["cell_type"].astype(str)).mean() > 0.8

    def test_same_seed_same_bytes_and_neither_labels_nor_batches_of_the_query_are_read(self) -> None:
        reference, query = pair()
        first = run(query, reference)
        change_labels(query, "permuted")
        assert_same_annotation(run(query, reference), first)

    def test_batches_of_the_reference_are_not_read(self, folder: str) -> None:
        reference, query = pair()
        first = run(query, reference, weights=folder)
        reference.obs["batch"] = np.random.default_rng(0).permutation(reference.obs["batch"].to_numpy())
        options = {"method": "epifoundation", "recipe": {**QUICK, "weights": folder}, "batch_key": "batch"}
        again = annotated(query, reference, **options)
        np.testing.assert_array_equal(again.obsm["scllmda_proba"].to_numpy(), first.obsm["scllmda_proba"].to_numpy())

    @pytest.mark.parametrize("what", ["peaks", "cells"])
    def test_the_order_does_not_matter(self, what: str) -> None:
        reference, query = pair()
        order = np.random.default_rng(0).permutation(query.n_vars if what == "peaks" else query.n_obs)
        other = query[:, order].copy() if what == "peaks" else query[order].copy()
        first, again = run(query, reference), run(other, reference)[query.obs_names]
        np.testing.assert_allclose(
            again.obsm["scllmda_proba"].to_numpy(), first.obsm["scllmda_proba"].to_numpy(), atol=1e-5
        )

    def test_one_object(self) -> None:
        adata = together()
        done = run(adata)
        known = (adata.obs["cell_type"] != "unknown").to_numpy()
        assert (done.obs["scllmda"].astype(str) == adata.obs["cell_type"].astype(str))[known].all()

    def test_cells_without_a_known_peak_are_as_without_an_open_peak(self) -> None:
        reference, query = pair()
        own = ~np.isin(np.arange(query.n_vars), np.flatnonzero(sl.pp.match_peaks(reference, query).var["matched"]))
        X = query.X.tolil()
        X[:2] = 0
        X[1, np.flatnonzero(own)[0]] = 3
        query.X = sp.csr_matrix(X)
        done = run(query, reference)
        assert done.obs["scllmda"].iloc[:2].tolist() == ["Unassigned"] * 2
        assert done.obs["scllmda_score"].iloc[:2].tolist() == [0, 0]
        assert (done.obs["scllmda_score"].iloc[2:] > 0).all()

    def test_weights_are_where_training_begins(self, folder: str) -> None:
        reference, query = pair()
        without, done = run(query, reference), run(query, reference, weights=folder)
        assert (done.obsm["X_scllmda_da"] != without.obsm["X_scllmda_da"]).any()
        assert len(done.uns["scllmda"]["history"]["pretraining_loss"]) == 2
        assert_same_annotation(run(query, reference, weights=folder), done)
        # The sizes are those of the weights.
        other = run(query, reference, weights=folder, n_dims=32, n_layers=1)
        np.testing.assert_array_equal(other.obsm["X_scllmda_da"], done.obsm["X_scllmda_da"])

    def test_of_another_genome(self, folder: str) -> None:
        reference, query = pair()
        reference.uns["genome"] = query.uns["genome"] = "mm10"
        options = {"method": "epifoundation", "recipe": {**QUICK, "weights": folder}}
        match = r"The reference's peaks are of the genome build 'mm10', those of the checkpoint weights=.* of 'hg38'"
        assert_refused(sl.tl.annotate, query, reference, ValueError, match, **options)
        del reference.uns["genome"], query.uns["genome"]
        for adata in (reference, query):
            adata.var["chrom"] = "chrZ"
            adata.var_names = adata.var.astype(str).agg("{0[chrom]}:{0[start]}-{0[end]}".format, axis=1)
        match = "No peak is the same among the reference's"
        assert_refused(sl.tl.annotate, query, reference, ValueError, match, **options)

    def test_no_peak_of_both(self) -> None:
        reference, query = pair()
        query.var["chrom"] = "chrZ"
        query.var_names = query.var.astype(str).agg("{0[chrom]}:{0[start]}-{0[end]}".format, axis=1)
        options = {"method": "epifoundation", "recipe": QUICK}
        assert_refused(sl.tl.annotate, query, reference, ValueError, "No peak is the same among the query's", **options)

    def test_networks_that_are_too_large_for_a_cpu_are_warned_of(
        self, warnings: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reference, query = pair()
        run(query, reference)
        assert not [w for w in warnings if "hours on a CPU" in w]
        monkeypatch.setattr("scllmda.methods._training_time.LONG", 1e-9)
        run(query, reference)
        assert [w for w in warnings if "hours on a CPU" in w and "recipe={'preset': 'small'}" in w]


class TestEmbed:
    def embed(self, adata: Any, folder: str, **options: Any) -> Any:
        return sl.tl.cell_embeddings(adata, model="epifoundation", weights=folder, copy=True, **options)

    def test_slots(self, folder: str) -> None:
        query = pair()[1]
        before = snapshot(query)
        sl.tl.cell_embeddings(query, model="epifoundation", weights=Path(folder))
        assert added(before, snapshot(query)) == {("obsm", "X_scllmda"), ("uns", "X_scllmda")}
        assert query.obsm["X_scllmda"].shape == (100, 16)
        assert query.obsm["X_scllmda"].dtype == np.float32
        coverage = query.uns["X_scllmda"]["coverage"]
        assert coverage["n_vocabulary"] == coverage["n_peaks_data"] == 800
        assert 0 < coverage["n_unknown_peaks_data"] < 800
        again = sl.tl.cell_embeddings(pair()[1], model="epifoundation", recipe={"weights": folder}, copy=True)
        np.testing.assert_array_equal(again.obsm["X_scllmda"], query.obsm["X_scllmda"])

    def test_a_cell_s_vector_is_its_own(self, folder: str) -> None:
        query = pair()[1]
        whole = self.embed(query, folder).obsm["X_scllmda"]
        order = np.random.default_rng(0).permutation(800)
        np.testing.assert_allclose(self.embed(query[:, order].copy(), folder).obsm["X_scllmda"], whole, atol=1e-5)
        np.testing.assert_allclose(self.embed(query[40:43].copy(), folder).obsm["X_scllmda"], whole[40:43], atol=1e-5)
        query.X.data[:] = 7
        np.testing.assert_array_equal(self.embed(query, folder).obsm["X_scllmda"], whole)
        query.obs["batch"] = "another"
        np.testing.assert_array_equal(self.embed(query, folder).obsm["X_scllmda"], whole)

    def test_peaks_beyond_the_most_are_always_the_same(self, folder: str) -> None:
        query, recipe = pair()[1], {"max_peaks": 8}
        first = self.embed(query, folder, recipe=recipe).obsm["X_scllmda"]
        np.testing.assert_array_equal(self.embed(query, folder, recipe=recipe).obsm["X_scllmda"], first)
        assert (first != self.embed(query, folder).obsm["X_scllmda"]).any()

    def test_cells_without_a_known_peak_are_zero(self, folder: str) -> None:
        query = pair()[1]
        X = query.X.tolil()
        X[3] = 0
        query.X = sp.csr_matrix(X)
        found = self.embed(query, folder).obsm["X_scllmda"]
        assert found.any(axis=1).tolist() == (np.arange(100) != 3).tolist()

    def test_of_a_mudata(self, folder: str) -> None:
        query = pair()[1]
        found = self.embed(MuData({"atac": query}), folder)["atac"].obsm["X_scllmda"]
        np.testing.assert_array_equal(found, self.embed(query, folder).obsm["X_scllmda"])

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({}, r"there are none. Pass weights= the folder that sl.tl.pretrain\(mdata, 'epifoundation'"),
            ({"weights": "a", "recipe": {"weights": "b"}}, "expected one of both"),
            ({"weights": "a", "domain_key": "batch"}, "domain_key='batch' has no effect"),
            ({"weights": "a", "use_varm": "X_kmer"}, "use_varm='X_kmer' has no effect"),
            ({"weights": "a", "n_epochs": 3}, "n_epochs=3 has no effect"),
            ({"model": "factorisation", "weights": "a"}, "weights='a' has no effect with model='factorisation'"),
        ],
    )
    def test_refused(self, options: dict[str, Any], match: str) -> None:
        with pytest.raises(ValueError, match=match):
            sl.tl.cell_embeddings(pair()[1], **{"model": "epifoundation", **options})

    def test_weights_of_something_else(self, tmp_path: Path, folder: str) -> None:
        with pytest.raises(FileNotFoundError, match="nothing/at all"):
            self.embed(pair()[1], "nothing/at all")
        tensors, config = read_checkpoint(folder)
        write_checkpoint(tmp_path / "other", tensors, {**config, "model": "annatac"})
        with pytest.raises(ValueError, match="is of 'annatac', expected 'epifoundation'"):
            self.embed(pair()[1], str(tmp_path / "other"))
        query = pair()[1]
        query.uns["genome"] = "hg19"
        with pytest.raises(
            ValueError, match="The data's peaks are of the genome build 'hg19', those of the checkpoint"
        ):
            self.embed(query, folder)


class TestPretrain:
    def train(self, output: Path, data: Any, **options: Any) -> list[float]:
        recipe = {**TRAINING, **options.pop("recipe", {})}
        return sl.tl.pretrain(data, "epifoundation", output=output, recipe=recipe, **options)

    def test_cells_are_paired_by_their_names(self, tmp_path: Path) -> None:
        data = paired(pair()[0])
        assert (data["atac"].obs_names != data["rna"].obs_names).any()
        losses = self.train(tmp_path / "a", data)
        in_order = MuData({"atac": data["atac"], "rna": data["rna"][data["atac"].obs_names].copy()})
        assert self.train(tmp_path / "b", in_order) == losses
        assert (tmp_path / "a" / "config.json").read_bytes() == (tmp_path / "b" / "config.json").read_bytes()

    def test_batches_are_those_of_the_column(self, tmp_path: Path) -> None:
        data = paired(pair()[0])
        self.train(tmp_path / "a", data, batch_key="batch")
        n_batches = data["atac"].obs["batch"].nunique()
        assert read_checkpoint(tmp_path / "a")[1]["n_batches"] == n_batches > 1
        with pytest.raises(KeyError, match=r"Did not find .obs\['donor'\]"):
            self.train(tmp_path / "b", data, batch_key="donor")

    def test_whether_genes_are_expressed_is_all_that_is_read(self, tmp_path: Path) -> None:
        data = paired(pair()[0])
        losses = self.train(tmp_path / "a", data)
        data["rna"].X.data = np.log1p(data["rna"].X.data)
        assert self.train(tmp_path / "b", data) == losses

    def test_other_models_take_no_expression(self, tmp_path: Path) -> None:
        islands = sl.pp.peak_islands(pair()[0])
        for name in ("batch_key", "rna_layer"):
            with pytest.raises(ValueError, match=f"{name}='batch' has no effect with model='annatac'"):
                sl.tl.pretrain(islands, "annatac", output=tmp_path / "a", **{name: "batch"})

    def test_from_a_file(self, tmp_path: Path) -> None:
        data = paired(pair()[0])
        data.write(tmp_path / "a.h5mu")
        losses = self.train(tmp_path / "a", data)
        assert self.train(tmp_path / "b", tmp_path / "a.h5mu") == losses

    def test_peaks_have_to_lie_somewhere(self, tmp_path: Path) -> None:
        data = paired(pair()[0])
        data["atac"].var = pd.DataFrame(index=[f"peak{i}" for i in range(800)])
        with pytest.raises(ValueError, match=r"None of the 800 peaks is an interval by its name"):
            self.train(tmp_path / "a", data)
