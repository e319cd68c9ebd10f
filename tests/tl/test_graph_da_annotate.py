from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from tests._objects import added, annotation_keys, assert_same_annotation, snapshot, together

import scllmda as sl

QUICK_SCLLMDA = {"method": "scllmda", "recipe": {"n_epochs": 3}}


@pytest.fixture(scope="module")
def embedded() -> AnnData:
    """Return labeled and unlabeled cells with an embedding; not to be changed."""
    adata = together()
    sl.tl.cell_embeddings(adata, n_latent=16)
    return adata


def annotated(adata: Any, **options: Any) -> Any:
    return sl.tl.graph_da_annotate(adata, "cell_type", copy=True, **options)


@pytest.mark.parametrize("key", ["scllmda", "second"])
def test_exactly_the_slots_of_the_contract_are_added(embedded: AnnData, key: str) -> None:
    adata = embedded.copy()
    assert sl.tl.graph_da_annotate(adata, "cell_type", key_added=key) is None
    assert added(snapshot(embedded), snapshot(adata)) == annotation_keys(key)
    uns = adata.uns[key]
    assert set(uns) == {"params", "classes", "history", "coverage", "reference"}
    assert uns["params"]["use_rep"] == "X_scllmda"
    assert uns["coverage"] == {"n_cells_without_peaks": 0}
    named = set(uns["reference"].pop("contradicted"))
    assert named < set(adata.obs_names[:150])
    assert uns["reference"] == {"n_cells": 150, "labels_key": "cell_type"}


@pytest.mark.parametrize(("options", "accuracy"), [({}, 0.8), ({"method": "scllmda", "recipe": {"n_epochs": 20}}, 0.5)])
def test_labels(embedded: AnnData, options: dict[str, Any], accuracy: float) -> None:
    obs = annotated(embedded, **options).obs
    known = obs["cell_type"] != "unknown"
    assert (obs["scllmda"][known] == obs["truth"][known]).all()
    assert (obs["scllmda_score"][known] == 1).all()
    assert (obs["scllmda_novelty"][known] == 0).all()
    assert (obs["scllmda"][~known].astype(str) == obs["truth"][~known]).mean() > accuracy


@pytest.mark.parametrize("options", [{}, QUICK_SCLLMDA])
def test_same_seed_same_bytes(embedded: AnnData, options: dict[str, Any]) -> None:
    import torch

    np_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    first = annotated(embedded, **options)
    np.testing.assert_array_equal(np.random.get_state()[1], np_state)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert_same_annotation(annotated(embedded, **options), first)


def test_what_is_known_of_query_cells_is_not_read(embedded: AnnData) -> None:
    first = annotated(embedded, batch_key="batch")
    other = embedded.copy()
    unknown = other.obs["cell_type"] == "unknown"
    other.obs["batch"] = other.obs["batch"].astype(str).where(~unknown, "elsewhere")
    del other.obs["truth"], other.obs["platform"]
    assert_same_annotation(annotated(other, batch_key="batch"), first)


def test_mudata_and_labels_of_the_whole(embedded: AnnData) -> None:
    atac = embedded.copy()
    labels = atac.obs.pop("cell_type")
    data = MuData({"atac": atac})
    data.obs["cell_type"] = labels
    assert_same_annotation(annotated(data)["atac"], annotated(embedded))


def test_another_representation(embedded: AnnData) -> None:
    adata = embedded.copy()
    adata.obsm["X_mine"] = pd.DataFrame(adata.obsm.pop("X_scllmda"), index=adata.obs_names).add_prefix("d")
    found = annotated(adata, use_rep="X_mine")
    assert_same_annotation(found, annotated(embedded), ignore=("params",))


def test_cells_that_are_zero_throughout(embedded: AnnData) -> None:
    adata = embedded.copy()
    adata.obsm["X_scllmda"][[0, -1]] = 0
    found = annotated(adata)
    assert found.uns["scllmda"]["coverage"]["n_cells_without_peaks"] == 2
    assert found.obs["scllmda"].iloc[0] == adata.obs["cell_type"].iloc[0]
    last = found.obs.iloc[-1]
    assert last[["scllmda", "scllmda_score", "scllmda_novelty"]].tolist() == ["Unassigned", 0, 1]


@pytest.mark.filterwarnings("error", "ignore:Writing zarr v2", "ignore:The .future.infer_string. option")
@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_round_trip(embedded: AnnData, form: str, tmp_path: Path) -> None:
    adata = embedded.copy()
    adata.obs["cell_type"] = adata.obs["cell_type"].replace("B", "B/plasma cell")
    annotation = annotated(adata, batch_key="batch")
    getattr(annotation, f"write_{form}")(tmp_path / "annotated")
    assert_same_annotation(getattr(ad, f"read_{form}")(tmp_path / "annotated"), annotation)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"use_rep": "X_pca"}, KeyError, r"Did not find .obsm\['X_pca'\].*cell_embeddings"),
        ({"use_rep": "X_nan"}, ValueError, "X_nan.*NaN or infinite"),
        ({"use_rep": "X_zero"}, ValueError, "None of the 100 query cells has an open peak"),
        ({"method": "scllmd"}, ValueError, "Unknown method 'scllmd'.*'scllmda'"),
        ({"recipe": {"epochs": 3}}, ValueError, r"no \['epochs'\] in its recipe"),
        ({"batch_key": "btch"}, KeyError, "Did you mean 'batch'"),
        ({"n_neighbors": 0}, ValueError, "n_neighbors=0"),
        ({"key_added": "a/b"}, ValueError, "'a/b'"),
        ({"unlabeled": "B"}, None, ""),
        ({"unlabeled": "nobody"}, ValueError, "no cell to annotate: all 250.*'nobody'"),
    ],
)
def test_options(embedded: AnnData, options: dict[str, Any], error: type[Exception] | None, match: str) -> None:
    adata = embedded.copy()
    adata.obsm["X_nan"] = np.full((adata.n_obs, 2), np.nan)
    adata.obsm["X_zero"] = np.zeros((adata.n_obs, 2))
    before = snapshot(adata)
    if error is None:
        assert "unknown" in annotated(adata, **options).uns["scllmda"]["classes"]
        return
    with pytest.raises(error, match=match):
        sl.tl.graph_da_annotate(adata, "cell_type", **options)
    assert added(before, snapshot(adata)) == set()


@pytest.mark.parametrize(
    ("labels", "match"), [("unknown", "No cell is labeled"), (None, "No cell is labeled"), ("B", "only label .* 'B'")]
)
def test_bad_labels(embedded: AnnData, labels: str | None, match: str) -> None:
    adata = embedded.copy()
    adata.obs["cell_type"] = pd.Series([labels] * adata.n_obs, index=adata.obs_names, dtype=object)
    with pytest.raises(ValueError, match=match):
        sl.tl.graph_da_annotate(adata, "cell_type")


def test_unknown_column_and_object(embedded: AnnData) -> None:
    with pytest.raises(KeyError, match="Did you mean 'cell_type'"):
        sl.tl.graph_da_annotate(embedded, "celltype")
    with pytest.raises(TypeError, match=r"found builtins\.dict"):
        sl.tl.graph_da_annotate({}, "cell_type")
