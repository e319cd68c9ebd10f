from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from tests._objects import added, annotated, pair, snapshot

import scllmda as sl


@pytest.fixture(scope="module")
def query() -> AnnData:
    """Return an annotated query; not to be changed."""
    reference, query = pair()
    reference.obs["cell_type"] = reference.obs["cell_type"].astype(str).replace("B", "B/plasma")
    return annotated(query, reference, key_added="mine")


def test_table(query: AnnData) -> None:
    before = snapshot(query)
    table = sl.get.annotation(query, "mine")
    assert table.columns.tolist() == ["label", "raw", "score", "novelty"]
    assert table.index.equals(query.obs_names)
    for column, slot in [("label", "mine"), ("raw", "mine_raw"), ("score", "mine_score"), ("novelty", "mine_novelty")]:
        pd.testing.assert_series_equal(table[column], query.obs[slot], check_names=False)
    assert added(before, snapshot(query)) == set()


def test_proba(query: AnnData) -> None:
    table = sl.get.annotation(query, "mine", proba=True)
    classes = query.uns["mine"]["classes"].tolist()
    assert "B/plasma" in classes
    assert table.columns.tolist() == ["label", "raw", "score", "novelty", *classes]
    np.testing.assert_array_equal(table[classes], query.obsm["mine_proba"])
    np.testing.assert_array_equal(table["raw"], table[classes].idxmax(axis=1))


def test_view_stays_a_view(query: AnnData) -> None:
    view = query[3:9]
    expected = sl.get.annotation(query, "mine").iloc[3:9]
    # Views show the categories they use.
    pd.testing.assert_frame_equal(sl.get.annotation(view, "mine"), expected, check_categorical=False)
    assert view.is_view


def test_mudata(query: AnnData) -> None:
    found = sl.get.annotation(MuData({"peaks": query.copy()}), "mine", mod="peaks")
    pd.testing.assert_frame_equal(found, sl.get.annotation(query, "mine"))


def test_classes_named_as_columns() -> None:
    reference, query = pair()
    reference.obs["cell_type"] = reference.obs["cell_type"].astype(str).replace({"B": "raw", "Plasma": "score"})
    table = sl.get.annotation(annotated(query, reference), proba=True)
    assert table.columns.tolist() == ["label", "raw", "score", "novelty", "CD4 T", "CD8 T", "raw", "score"]


def test_errors(query: AnnData) -> None:
    with pytest.raises(KeyError, match=r"Did not find an annotation 'scllmda'.*sl\.tl\.annotate"):
        sl.get.annotation(query)
    with pytest.raises(KeyError, match="no modality 'atac'"):
        sl.get.annotation(MuData({"rna": query.copy()}))
    with pytest.raises(TypeError, match=r"found builtins\.int"):
        sl.get.annotation(3)


def test_methods_lists_what_annotate_takes() -> None:
    table = sl.get.methods()
    assert {"robust", "scllmda"} <= set(table.index)
    assert table.columns.tolist() == ["description", "reads", "citation", "recipe"]
    assert "n_epochs=55" in table.loc["scllmda", "recipe"]
