"""Ontology ids of the reference's labels, carried over with them."""

from __future__ import annotations

import re
from pathlib import Path

import anndata as ad
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
    assert_same_annotation,
    evidence_keys,
    pair,
    snapshot,
)
from tests._objects import together as unlabeled_and_labeled

import scllmda as sl

IDS = {"B": "CL:0000236", "CD4 T": "CL:0000624", "CD8 T": "CL:0000625", "Plasma": "CL:0000786"}
LINEAGE = {"B": "B lineage", "Plasma": "B lineage", "CD4 T": "T", "CD8 T": "T"}
LINEAGE_IDS = {"B lineage": "CL:0000945", "T": "CL:0000084"}
COLUMN, SLOT = "cell_type_ontology_term_id", "scllmda_ontology_term_id"


def with_ids(adata: AnnData, labels_key: str = "cell_type") -> AnnData:
    adata.obs[COLUMN] = adata.obs[labels_key].astype(str).map(IDS).astype("category")
    return adata


@pytest.fixture
def objects() -> tuple[AnnData, AnnData]:
    """Return a reference with ids of its types and of their lineages, and a query."""
    reference, query = pair()
    with_ids(reference)
    reference.obs["lineage"] = reference.obs["cell_type"].astype(str).map(LINEAGE)
    reference.obs["lineage_id"] = reference.obs["lineage"].map(LINEAGE_IDS)
    return reference, query


def expected_ids(found: AnnData, ids: dict[str, str]) -> list[str | None]:
    return [ids.get(label) for label in found.obs["scllmda"].astype(str)]


def ids_of(found: AnnData) -> list[str | None]:
    return [None if pd.isna(term) else term for term in found.obs[SLOT]]


def test_each_cell_has_the_id_of_its_label(objects: tuple[AnnData, AnnData]) -> None:
    reference, query = objects
    before = snapshot(query)
    found = annotated(query, reference, ontology_key=COLUMN, max_false_rejection=0.2)
    assert added(before, snapshot(found)) == {*annotation_keys(), *evidence_keys(), ("obs", SLOT)}
    assert (found.obs["scllmda"] == "Unassigned").any()
    assert ids_of(found) == expected_ids(found, IDS)
    assert set(found.obs[SLOT].cat.categories) == set(found.obs[SLOT].dropna())
    ontology = found.uns["scllmda"]["ontology"]
    assert dict(zip(ontology["label"], ontology["term_id"], strict=True)) == IDS
    assert found.uns["scllmda"]["params"]["ontology_key"] == COLUMN
    without = annotated(query, reference, max_false_rejection=0.2)
    assert SLOT not in without.obs
    assert_same_annotation(found, without, ignore=("ontology", "params"))


def test_table(objects: tuple[AnnData, AnnData]) -> None:
    reference, query = objects
    found = annotated(query, reference, ontology_key=COLUMN)
    table = sl.get.annotation(found)
    assert table.columns.tolist() == ["label", "raw", "score", "novelty", "ontology_term_id"]
    pd.testing.assert_series_equal(table["ontology_term_id"], found.obs[SLOT], check_names=False)


def test_files_and_a_portable_reference(objects: tuple[AnnData, AnnData], tmp_path: Path) -> None:
    reference, query = objects
    reference.obs["cell_type"] = reference.obs["cell_type"].astype(str).replace("B", "B/plasma")
    sl.tl.cell_embeddings(reference, n_latent=16)
    sl.get.portable_reference(reference).write_h5ad(tmp_path / "portable.h5ad")
    found = sl.tl.annotate(query, tmp_path / "portable.h5ad", ontology_key=COLUMN, max_false_rejection=None, copy=True)
    assert ids_of(found) == expected_ids(found, {**IDS, "B/plasma": IDS["B"]})
    assert IDS["B"] in ids_of(found)
    found.write_h5ad(tmp_path / "found.h5ad")
    found.write_zarr(tmp_path / "found.zarr")
    for again in (ad.read_h5ad(tmp_path / "found.h5ad"), ad.read_zarr(tmp_path / "found.zarr")):
        assert_same_annotation(again, found)
        assert ids_of(again) == ids_of(found)


def test_mudata(objects: tuple[AnnData, AnnData]) -> None:
    reference, query = objects
    expected = annotated(query, reference, ontology_key=COLUMN)
    ids = reference.obs.pop(COLUMN)
    mdata = MuData({"atac": reference})
    mdata.obs[COLUMN] = ids
    found = annotated(MuData({"atac": query}), mdata, ontology_key=COLUMN)["atac"]
    assert ids_of(found) == ids_of(expected)


def test_in_one_object_ids_of_the_query_are_not_read() -> None:
    adata = with_ids(unlabeled_and_labeled(), "truth")
    query = (adata.obs["cell_type"] == "unknown").to_numpy()
    found = annotated(adata, ontology_key=COLUMN)
    assert ids_of(found) == expected_ids(found, IDS)
    adata.obs[COLUMN] = adata.obs[COLUMN].astype(str)
    adata.obs.loc[query, COLUMN] = "something else"
    assert ids_of(annotated(adata, ontology_key=COLUMN)) == ids_of(found)
    sl.tl.cell_embeddings(adata, n_latent=16)
    sl.tl.graph_da_annotate(adata, "cell_type", ontology_key=COLUMN)
    assert ids_of(adata) == expected_ids(adata, IDS)
    assert set(ids_of(adata)) <= {*IDS.values(), None}


@pytest.mark.parametrize(
    ("ontology_key", "ids"),
    [(COLUMN, IDS), (["lineage_id", COLUMN], {**IDS, **LINEAGE_IDS})],
    ids=["of the finest labels", "of all"],
)
def test_from_coarse_to_fine(
    objects: tuple[AnnData, AnnData], ontology_key: str | list[str], ids: dict[str, str]
) -> None:
    reference, query = objects
    options = {"labels_key": ["lineage", "cell_type"], "min_probability": 0.9, "recipe": {"restart": 1.0}}
    found = annotated(query, reference, ontology_key=ontology_key, **options)
    assert set(found.obs["scllmda"]) & LINEAGE_IDS.keys()
    assert ids_of(found) == expected_ids(found, ids)


def test_ids_do_not_outlive_their_labels(objects: tuple[AnnData, AnnData], warnings: list[str]) -> None:
    reference, query = objects
    sl.tl.annotate(query, reference, ontology_key=COLUMN, n_latent=16)
    sl.tl.annotate(query, reference, ontology_key=COLUMN, n_latent=16)
    assert SLOT in query.obs
    sl.tl.annotate(query, reference, n_latent=16)
    assert SLOT not in query.obs
    assert [warning for warning in warnings if "overwritten" in warning] == []
    # A column of the user is kept without ontology_key, and not overwritten without a word.
    query.obs[SLOT] = "CL:0000000"
    sl.tl.annotate(query, reference, n_latent=16)
    assert (query.obs[SLOT] == "CL:0000000").all()
    sl.tl.annotate(query, reference, ontology_key=COLUMN, n_latent=16)
    assert [warning for warning in warnings if f".obs['{SLOT}'], which scllmda did not write" in warning]


def test_labels_without_id_are_warned_of(objects: tuple[AnnData, AnnData], warnings: list[str]) -> None:
    reference, query = objects
    reference.obs.loc[reference.obs["cell_type"] == "B", COLUMN] = np.nan
    # Of other types some cells lack an id.
    reference.obs.iloc[:30, reference.obs.columns.get_loc(COLUMN)] = np.nan
    found = annotated(query, reference, ontology_key=COLUMN)
    assert [w for w in warnings if f"labels ['B'] have no id in reference.obs['{COLUMN}']" in w]
    assert ids_of(found) == expected_ids(found, {label: term for label, term in IDS.items() if label != "B"})


def test_a_label_with_several_ids_is_refused_and_the_advice_works(objects: tuple[AnnData, AnnData]) -> None:
    reference, query = objects
    cell = np.flatnonzero(reference.obs["cell_type"] == "B")[0]
    reference.obs.iloc[cell, reference.obs.columns.get_loc(COLUMN)] = "CL:0000624"
    with pytest.raises(ValueError, match=r"'B': \['CL:0000236', 'CL:0000624'\]") as error:
        annotated(query, reference, ontology_key=COLUMN)
    one, other = re.findall(r"(reference\.obs\.loc\S.*? = '\S+'); .*(labels_key='\w+')", str(error.value))[0]
    by_ids = annotated(query, reference, **eval(f"dict({other})"))
    assert set(by_ids.obs["scllmda"].cat.categories) <= set(IDS.values())
    exec(one, {"reference": reference})
    found = annotated(query, reference, ontology_key=COLUMN)
    assert ids_of(found) == expected_ids(found, IDS)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"ontology_key": "cell_type_ontology"}, KeyError, f"mean '{COLUMN}'.*Pass ontology_key="),
        ({"ontology_key": "no_ids"}, ValueError, "No labeled cell has an id"),
        ({"ontology_key": ["lineage_id", COLUMN]}, ValueError, r"labels_key=\['cell_type'\]; expected one column"),
        ({"ontology_key": []}, ValueError, r"ontology_key=\[\]"),
        ({"ontology_key": 3}, TypeError, "ontology_key=3"),
    ],
)
def test_bad_input(
    objects: tuple[AnnData, AnnData], options: dict[str, object], error: type[Exception], match: str
) -> None:
    reference, query = objects
    reference.obs["no_ids"] = pd.Series(np.nan, index=reference.obs_names, dtype=object)
    assert_refused(sl.tl.annotate, query, reference, error, match, **options)


def test_ids_that_are_read_are_not_overwritten() -> None:
    adata = with_ids(unlabeled_and_labeled(), "truth")
    adata.obs["type"] = adata.obs.pop("cell_type")
    with pytest.raises(ValueError, match=rf"\.obs\['{COLUMN}'\], which is read as ontology_key"):
        sl.tl.annotate(adata, labels_key="type", ontology_key=COLUMN, key_added="cell_type")
