"""Prediction sets in the slots of an annotation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from tests._objects import (
    added,
    annotated,
    annotation_keys,
    assert_refused,
    assert_same,
    assert_same_annotation,
    change_labels,
    evidence_keys,
    pair,
    snapshot,
    together,
)

import scllmda as sl
from scllmda.methods import common_label, robust

LINEAGE = {"CD4 T": "T", "CD8 T": "T", "B": "B lineage", "Plasma": "B lineage"}
LEVELS = ["lineage", "cell_type"]
SLOTS = {("obsm", "scllmda_set"), ("obs", "scllmda_set_label")}


@pytest.fixture
def objects() -> tuple[AnnData, AnnData]:
    reference, query = pair()
    reference.obs["lineage"] = reference.obs["cell_type"].astype(str).map(LINEAGE)
    return reference, query


@pytest.fixture(scope="module")
def found() -> AnnData:
    reference, query = pair()
    reference.obs["lineage"] = reference.obs["cell_type"].astype(str).map(LINEAGE)
    # Without smoothing, cells are unsure.
    return annotated(query, reference, labels_key=LEVELS, set_coverage=0.9, recipe={"restart": 1.0})


def test_nothing_else_changes(objects: tuple[AnnData, AnnData], found: AnnData) -> None:
    reference, query = objects
    before = snapshot(query)
    without = annotated(query, reference, labels_key=LEVELS, recipe={"restart": 1.0})
    kept = annotation_keys() | evidence_keys()
    assert added(before, snapshot(without)) == kept
    assert added(before, snapshot(found)) == kept | SLOTS
    params = without.uns["scllmda"]["params"] | {"set_coverage": 0.9}
    assert_same(found.uns["scllmda"]["params"], params)
    assert_same_annotation(found, without, ignore=("params", "sets"))


def test_sets(found: AnnData) -> None:
    sets, proba, of_uns = found.obsm["scllmda_set"], found.obsm["scllmda_proba"], found.uns["scllmda"]["sets"]
    assert sets.columns.equals(proba.columns)
    assert sets.index.equals(found.obs_names)
    assert set(sets.dtypes) == {np.dtype(bool)}
    assert of_uns["coverage"] == 0.9
    # No type of these is found absent, so that sets are made of the probabilities that are written.
    likeliest = proba.columns.to_numpy() == found.obs["scllmda_raw"].to_numpy(str)[:, None]
    np.testing.assert_array_equal(sets, (proba.to_numpy() >= of_uns["least"]) | likeliest)
    assert 1 < sets.sum(axis=1).mean() < 3
    report = sl.metrics.annotation_report(found.obs["cell_type"], found.obs["scllmda_raw"], sets=sets)
    assert report["least_type_coverage"] >= 0.85


def test_the_finest_label_that_holds_the_set(found: AnnData) -> None:
    expected = []
    for row in found.obsm["scllmda_set"].to_dict("records"):
        types = [name for name, is_in in row.items() if is_in]
        lineages = {LINEAGE[name] for name in types}
        expected.append(types[0] if len(types) == 1 else lineages.pop() if len(lineages) == 1 else "Unassigned")
    assert found.obs["scllmda_set_label"].tolist() == expected
    assert set(expected) == set(found.obs["scllmda_set_label"].cat.categories)
    assert {"B", "B lineage", "T", "Unassigned"} <= set(expected)


def test_no_label_holds_an_empty_set() -> None:
    levels = np.array([["T", "T", "B"], ["CD4", "CD8", "B"]], dtype=object)
    members = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]], dtype=bool)
    assert common_label(members, levels).tolist() == ["Unassigned", "CD4", "T", "Unassigned", "B"]


def test_table(found: AnnData) -> None:
    table = sl.get.annotation(found, proba=True)
    assert table.columns.tolist()[:6] == ["label", "raw", "score", "novelty", "set", "set_label"]
    for text, raw, (_, row) in zip(table["set"], table["raw"], table.iloc[:, 6:].iterrows(), strict=True):
        types = text.split(" | ")
        assert types[0] == raw
        assert row[types].is_monotonic_decreasing
    pd.testing.assert_series_equal(table["set_label"], found.obs["scllmda_set_label"], check_names=False)


def test_sets_of_an_earlier_call_do_not_stay(objects: tuple[AnnData, AnnData]) -> None:
    reference, query = objects
    options = {"n_latent": 16, "max_false_rejection": None}
    query.obsm["scllmda_set"] = np.zeros((query.n_obs, 2))
    sl.tl.annotate(query, reference, **options)
    assert query.obsm["scllmda_set"].shape == (query.n_obs, 2)
    sl.tl.annotate(query, reference, set_coverage=0.9, **options)
    assert query.obsm["scllmda_set"].shape == (query.n_obs, 4)
    sl.tl.annotate(query, reference, **options)
    assert "scllmda_set" not in query.obsm
    assert "scllmda_set_label" not in query.obs
    assert_same_annotation(query, annotated(pair()[1], reference))


def test_labels_of_the_query_and_the_order_of_cells_are_no_matter(
    objects: tuple[AnnData, AnnData],
) -> None:
    reference, query = objects
    expected = annotated(query, reference, set_coverage=0.9)
    change_labels(query, "permuted")
    order = np.random.default_rng(0).permutation(query.n_obs)
    again = annotated(query[order], reference, set_coverage=0.9)
    pd.testing.assert_frame_equal(again.obsm["scllmda_set"], expected.obsm["scllmda_set"].iloc[order])
    assert_same(again.uns["scllmda"]["sets"], expected.uns["scllmda"]["sets"])


def test_one_object() -> None:
    adata = together()
    adata.X[-1] = 0
    adata.X.eliminate_zeros()
    sl.tl.cell_embeddings(adata, n_latent=16, domain_key="platform")
    sl.tl.graph_da_annotate(adata, "cell_type", set_coverage=0.9, max_false_rejection=None)
    sets, known = adata.obsm["scllmda_set"], adata.obs["platform"] == "reference"
    names = np.where(sets.sum(axis=1) == 1, sets.idxmax(axis=1), "")
    assert (names[known] == adata.obs["cell_type"][known]).all()
    assert (adata.obs["scllmda_set_label"][known] == adata.obs["cell_type"][known]).all()
    # The last cell has no open peak.
    assert not sets.iloc[-1].any()
    assert sets[~known][:-1].any(axis=1).all()
    assert adata.obs["scllmda_set_label"].iloc[-1] == "Unassigned"


@pytest.mark.filterwarnings("ignore:Writing zarr v2", "ignore::FutureWarning")
@pytest.mark.parametrize("form", ["h5ad", "zarr", "h5mu"])
def test_round_trip(tmp_path: Path, found: AnnData, form: str) -> None:
    path = tmp_path / f"cells.{form}"
    if form == "h5mu":
        MuData({"atac": found.copy()}).write(path)
        read = md.read(path)["atac"]
    else:
        getattr(found, f"write_{form}")(path)
        read = getattr(ad, f"read_{form}")(path)
    for attr, name in SLOTS:
        assert_same(getattr(read, attr)[name], getattr(found, attr)[name])
    assert_same(read.uns["scllmda"]["sets"], found.uns["scllmda"]["sets"])
    pd.testing.assert_frame_equal(sl.get.annotation(read), sl.get.annotation(found))


@pytest.mark.parametrize("value", [0, 1, 90, -0.5, np.nan])
def test_no_share(objects: tuple[AnnData, AnnData], value: float) -> None:
    reference, query = objects
    match = "set_coverage=.*expected a share above 0 and below 1"
    assert_refused(sl.tl.annotate, query, reference, ValueError, match, set_coverage=value)


def test_a_method_that_holds_out_no_cells(objects: tuple[AnnData, AnnData]) -> None:
    reference, query = objects
    match = "method='lsi_lr' holds out no cells of the reference"
    assert_refused(sl.tl.annotate, query, reference, ValueError, match, method="lsi_lr", set_coverage=0.9)


def test_a_method_that_promises_held_out_cells(objects: tuple[AnnData, AnnData]) -> None:
    reference, query = objects

    def label(task: Any, recipe: Any) -> Any:
        return replace(robust(task, recipe), alike=None)

    method = sl.methods.Method("mine", label, sl.methods.RobustRecipe, "", "", holds_out=True)
    assert_refused(sl.tl.annotate, query, reference, TypeError, "alike", method=method, set_coverage=0.9)
