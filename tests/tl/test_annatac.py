"""annATAC as a whole, from objects to slots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from tests._objects import (
    added,
    annotated,
    annotation_keys,
    assert_refused,
    assert_same_annotation,
    change_labels,
    pair,
    snapshot,
    together,
)

import scllmda as sl

QUICK: dict[str, Any] = {"preset": "small", "bin_size": 2000, "n_layers": 1, "n_epochs": 2, "min_steps": 1}
TRAINING = {**QUICK, "pretrain_epochs": 2}


def run(query: AnnData, reference: AnnData | None = None, **recipe: Any) -> AnnData:
    return annotated(query, reference, method="annatac", recipe={**QUICK, **recipe})


def test_slots(warnings: list[str]) -> None:
    reference, query = pair()
    before, of_reference = snapshot(query), snapshot(reference)
    sl.tl.annotate(query, reference, method="annatac", recipe=QUICK)
    assert added(before, snapshot(query)) == annotation_keys()
    assert added(of_reference, snapshot(reference)) == set()
    uns = query.uns["scllmda"]
    history, coverage = uns["history"], uns["coverage"]
    assert len(history["loss"]) == len(history["held_out_accuracy"]) == 2
    islands = [set(sl.pp.peak_islands(adata, bin_size=2000).var_names) for adata in (reference, query)]
    assert history["n_islands"] == len(islands[0] & islands[1])
    assert (coverage["n_used"], coverage["n_used_query"], coverage["sequence"]) == (800, 800, "none")
    assert uns["params"]["recipe"]["n_dims"] == 32
    assert uns["params"]["n_latent"] == query.obsm["X_scllmda_da"].shape[1] == 128
    assert not [w for w in warnings if "few counts" in w]


def test_how_many_islands_are_compared_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("scllmda._logging.result", said.append)
    reference, query = pair()
    done = run(query, reference)
    assert f"{done.uns['scllmda']['history']['n_islands']:,} peak islands of both" in said[0]


@pytest.mark.parametrize("shared", [True, False])
def test_learns_the_types_with_and_without_shared_peaks(shared: bool) -> None:
    reference, query = sl.datasets.simulate(
        n_reference=240, n_query=80, n_peaks=600, n_types=3, shift=0, shared_peaks=1
    )
    del reference.var["sequence"], query.var["sequence"]
    if not shared:
        # The halves of the same peaks: none overlaps, and most lie in the same bin.
        middle = (query.var["start"] + query.var["end"]) // 2
        reference.var["end"], query.var["start"] = middle.to_numpy(), middle.to_numpy()
        for adata in (reference, query):
            adata.var_names = adata.var.astype(str).agg("{0[chrom]}:{0[start]}-{0[end]}".format, axis=1)
    done = run(query, reference, n_epochs=8, min_steps=40, bin_size=1000)
    coverage = done.uns["scllmda"]["coverage"]
    assert (coverage["n_matched_query"], coverage["n_own"]) == ((600, 0) if shared else (0, 600))
    assert (done.obs["scllmda_raw"].astype(str) == query.obs["cell_type"].astype(str)).mean() > 0.8


def test_counts_are_read_as_they_are() -> None:
    reference, query = pair()
    counted = run(query, reference)
    reference.X.data[:] = 1
    query.X.data[:] = 1
    assert (run(query, reference).obsm["X_scllmda_da"] != counted.obsm["X_scllmda_da"]).any()


def test_same_seed_same_bytes_and_no_label_of_the_query_is_read() -> None:
    reference, query = pair()
    first = run(query, reference)
    change_labels(query, "permuted")
    assert_same_annotation(run(query, reference), first)


@pytest.mark.parametrize("what", ["peaks", "cells"])
def test_the_order_does_not_matter(what: str) -> None:
    reference, query = pair()
    order = np.random.default_rng(0).permutation(query.n_vars if what == "peaks" else query.n_obs)
    other = query[:, order].copy() if what == "peaks" else query[order].copy()
    first, again = run(query, reference), run(other, reference)[query.obs_names]
    np.testing.assert_allclose(
        again.obsm["scllmda_proba"].to_numpy(), first.obsm["scllmda_proba"].to_numpy(), atol=1e-5
    )


def test_one_object() -> None:
    adata = together()
    done = run(adata)
    known = (adata.obs["cell_type"] != "unknown").to_numpy()
    assert (done.obs["scllmda"].astype(str) == adata.obs["cell_type"].astype(str))[known].all()
    assert done.uns["scllmda"]["history"]["n_islands"] == sl.pp.peak_islands(adata, bin_size=2000).n_vars


def test_cells_without_an_island_are_as_without_an_open_peak() -> None:
    reference, query = pair()
    # Bins that the reference has no peak in hold all that is open in the first two cells.
    bins = [set(sl.pp.peak_islands(adata, bin_size=2000).var_names) for adata in (reference, query)]
    where = query.var["chrom"].astype(str) + ":" + ((query.var["start"] + query.var["end"]) // 2 // 2000).astype(str)
    lost = where.isin({f"{b.split(':')[0]}:{int(b.split(':')[1].split('-')[0]) // 2000}" for b in bins[1] - bins[0]})
    assert lost.any()
    X = query.X.tolil()
    X[:2] = 0
    X[:2, np.flatnonzero(lost)[0]] = 3
    query.X = sp.csr_matrix(X)
    done = run(query, reference)
    assert done.obs["scllmda"].iloc[:2].tolist() == ["Unassigned"] * 2
    assert done.obs["scllmda_score"].iloc[:2].tolist() == [0, 0]
    assert done.obs["scllmda_novelty"].iloc[:2].tolist() == [1, 1]
    assert (done.obs["scllmda_score"].iloc[2:] > 0).all()


class TestWeights:
    @pytest.fixture(scope="class")
    @staticmethod
    def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
        folder = tmp_path_factory.mktemp("weights") / "annatac"
        sl.tl.pretrain(sl.pp.peak_islands(pair()[0], bin_size=2000), "annatac", output=folder, recipe=TRAINING)
        return str(folder)

    def test_are_where_training_begins(self, folder: str) -> None:
        reference, query = pair()
        without, done = run(query, reference), run(query, reference, weights=folder)
        assert (done.obsm["X_scllmda_da"] != without.obsm["X_scllmda_da"]).any()
        uns = done.uns["scllmda"]
        assert uns["params"]["recipe"]["weights"] == folder
        assert len(uns["history"]["pretraining_loss"]) == 2
        n_known = sl.pp.peak_islands(reference, bin_size=2000).n_vars
        assert uns["history"]["n_islands_of_weights"] == n_known > uns["history"]["n_islands"]
        assert_same_annotation(run(query, reference, weights=folder), done)

    def test_of_another_genome_build_are_refused(self, tmp_path: Path) -> None:
        reference, query = pair()
        islands = sl.pp.peak_islands(reference, bin_size=2000)
        islands.uns["genome"] = "hg38"
        sl.tl.pretrain(islands, "annatac", output=tmp_path / "hg38", recipe=TRAINING)
        reference.uns["genome"] = query.uns["genome"] = "mm10"
        match = r"The reference's peaks are of the genome build 'mm10', those of the checkpoint weights=.* of 'hg38'"
        with pytest.raises(ValueError, match=match):
            run(query, reference, weights=str(tmp_path / "hg38"))

    def test_say_what_the_network_is(self, folder: str) -> None:
        reference, query = pair()
        one = run(query, reference, weights=folder)
        other = run(query, reference, weights=folder, n_dims=64, n_layers=3)
        np.testing.assert_array_equal(one.obsm["X_scllmda_da"], other.obsm["X_scllmda_da"])

    def test_most_islands_missing_is_said(self, folder: str, warnings: list[str]) -> None:
        reference, query = pair()
        at = np.flatnonzero(query.var["start"] < query.var["start"].median() / 2)
        run(query[:, at].copy(), reference, weights=folder)
        assert [w for w in warnings if "islands that the checkpoint" in w and "left out of its attention" in w]

    def test_of_other_islands_are_refused(self, folder: str) -> None:
        reference, query = pair()
        with pytest.raises(
            ValueError, match=r"knows islands of 2,000 bp, the recipe has bin_size=3,000.*'bin_size': 2000"
        ):
            run(query, reference, weights=folder, bin_size=3000)
        for adata in (reference, query):
            adata.var["chrom"] = "chrX"
            names = "chrX:" + adata.var["start"].astype(str) + "-" + adata.var["end"].astype(str)
            adata.var_names = pd.Index(names)
        query, reference = (x[:, ~x.var_names.duplicated()].copy() for x in (query, reference))
        with pytest.raises(ValueError, match=r"0 of the .* islands that the checkpoint .* knows hold a peak"):
            run(query, reference, weights=folder)

    def test_that_are_none(self, tmp_path: Path) -> None:
        from torch import ones

        from scllmda.checkpoints import write_checkpoint

        reference, query = pair()
        write_checkpoint(tmp_path / "a", {"w": ones(2)}, {"model": "other"})
        with pytest.raises(ValueError, match=r"is of 'other', expected 'annatac'"):
            run(query, reference, weights=str(tmp_path / "a"))


def test_pretraining_on_the_cells_themselves() -> None:
    reference, query = pair()
    done = run(query, reference, pretrain=True, pretrain_epochs=2)
    assert len(done.uns["scllmda"]["history"]["pretraining_loss"]) == 2
    assert (done.obsm["X_scllmda_da"] != run(query, reference).obsm["X_scllmda_da"]).any()


def starts(reference: AnnData, path: Path, *, shift: int = 0, chrom: str | None = None) -> str:
    """Write a BED with a start in the middle of every third peak."""
    var = reference.var.iloc[::3]
    middle = (var["start"] + var["end"]) // 2 + shift
    table = pd.DataFrame({"chrom": var["chrom"] if chrom is None else chrom, "start": middle, "end": middle + 1})
    table.to_csv(path, sep="\t", header=False, index=False)
    return str(path)


def test_islands_hold_a_start(tmp_path: Path) -> None:
    reference, query = pair()
    tss = starts(reference, tmp_path / "tss.bed")
    done = run(query, reference, tss=tss)
    sides = [set(sl.pp.peak_islands(adata, tss, bin_size=2000).var_names) for adata in (reference, query)]
    assert done.uns["scllmda"]["history"]["n_islands"] == len(sides[0] & sides[1])
    assert done.uns["scllmda"]["params"]["recipe"]["tss"] == tss


def test_starts_of_another_genome(tmp_path: Path) -> None:
    reference, query = pair()
    tss = starts(reference, tmp_path / "tss.bed", chrom="scaffold_9")
    options = {"method": "annatac", "recipe": {**QUICK, "tss": tss}}
    assert_refused(sl.tl.annotate, query, reference, ValueError, "are on other contigs", **options)


def test_another_genome_build_is_refused() -> None:
    reference, query = pair()
    reference.uns["genome"], query.uns["genome"] = "hg38", "hg19"
    with pytest.raises(ValueError, match=r"hg19.*expected the same"):
        run(query, reference)


@pytest.mark.parametrize(
    ("recipe", "error", "match"),
    [
        ({"preset": "large"}, ValueError, r"Unknown preset='large'; expected one of \['published', 'small'\]"),
        ({"precision": "int8"}, ValueError, r"Unknown precision='int8'"),
        ({"n_values": 251}, ValueError, r"n_values=251; expected at most 250"),
        ({"n_heads": 5}, ValueError, r"n_dims=32 and n_heads=5; expected heads that divide"),
        ({"tss": "nothing.bed"}, FileNotFoundError, r"Found no file tss='nothing.bed'"),
        ({"weights": "nothing/at all"}, FileNotFoundError, "nothing/at all"),
        ({"bin_size": 500}, ValueError, "No island is left"),
    ],
)
def test_refused(recipe: dict[str, Any], error: type[Exception], match: str) -> None:
    reference, query = pair()
    if "bin_size" in recipe:
        query.var["chrom"] = "chrZ"
        query.var_names = query.var.astype(str).agg("{0[chrom]}:{0[start]}-{0[end]}".format, axis=1)
    options = {"method": "annatac", "recipe": {**QUICK, **recipe}}
    assert_refused(sl.tl.annotate, query, reference, error, match, **options)


def test_networks_that_are_too_large_for_a_cpu_are_warned_of(
    warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, query = pair()
    run(query, reference)
    assert not [w for w in warnings if "hours on a CPU" in w]
    monkeypatch.setattr("scllmda.methods._training_time.LONG", 1e-6)
    run(query, reference)
    assert [w for w in warnings if "hours on a CPU" in w and "recipe={'preset': 'small'}" in w]


def test_has_no_second_stage() -> None:
    adata = together()
    sl.tl.cell_embeddings(adata, n_latent=8)
    with pytest.raises(ValueError, match=r"method='annatac' labels cells straight from counts .* Call sl.tl.annotate"):
        sl.tl.graph_da_annotate(adata, "cell_type", method="annatac")


def test_peaks_have_to_lie_somewhere() -> None:
    adata = together()
    adata.var = pd.DataFrame(index=[f"peak{i}" for i in range(adata.n_vars)])
    with pytest.raises(ValueError, match=r"None of the 800 peaks of the data is an interval by its name"):
        run(adata)
