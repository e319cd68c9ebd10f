"""What users set in scanpy changes no number: its preset of version 2 has other graphs, names and defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from tests._objects import annotated, assert_same, assert_same_annotation, pair

import scllmda as sl

sc = pytest.importorskip("scanpy")
if not hasattr(sc, "Preset"):
    pytest.skip("this scanpy has no presets, they come with 1.13", allow_module_level=True)


def under_version_2(call: Callable[[], Any]) -> Any:
    """Return what a call returns under the preset of version 2, which is still set after it."""
    try:
        sc.settings.preset = sc.Preset.ScanpyV2Preview
    except (ImportError, ValueError) as error:
        pytest.skip(str(error))
    try:
        found = call()
        assert sc.settings.preset is sc.Preset.ScanpyV2Preview
        return found
    finally:
        sc.settings.preset = sc.Preset.ScanpyV1


@pytest.fixture(scope="module")
def objects() -> tuple[AnnData, AnnData]:
    return pair()


@pytest.mark.parametrize("options", [{"majority_voting": True}, {"method": "lsi_knn"}], ids=["votes", "LSI"])
def test_annotation(objects: tuple[AnnData, AnnData], options: dict[str, Any]) -> None:
    reference, query = objects
    if "majority_voting" in options:
        pytest.importorskip("igraph")
    expected = annotated(query, reference, **options)
    assert_same_annotation(under_version_2(lambda: annotated(query, reference, **options)), expected)


def test_map(objects: tuple[AnnData, AnnData]) -> None:
    reference, query = objects

    def coordinates() -> np.ndarray:
        found = annotated(query, reference, rng=1)
        sl.pl.transfer_umap(found, return_fig=True)
        return found.uns["scllmda"]["umap"]["coordinates"]

    expected = coordinates()
    assert_same(under_version_2(coordinates), expected)


def test_integration_report() -> None:
    pytest.importorskip("igraph")
    rng = np.random.default_rng(0)
    types = np.repeat(["a", "b", "c"], 60)
    obs = pd.DataFrame({"cell_type": types, "batch": np.tile(["one", "two"], 90)}, index=np.arange(180).astype(str))
    X = rng.normal(size=(180, 5)) + 2 * (types[:, None] == np.array(["a", "b", "c", "d", "e"]))
    adata = AnnData(obsm={"X_scllmda": X}, obs=obs)

    def report() -> Any:
        return sl.metrics.integration_report(adata, "cell_type", "batch")

    assert_same(under_version_2(report), report())
