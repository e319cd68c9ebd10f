"""Annotations of real cells; the numbers are floors, below what was measured."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from anndata import AnnData
from tests._objects import annotation_keys, snapshot

import scllmda as sl

DONORS = ("BMMC_D6T1", "BMMC_D5T1")


def annotated_without_its_labels(query: AnnData, reference: AnnData, labels_key: str = "cell_type") -> AnnData:
    bare = query.copy()
    del bare.obs[labels_key]
    sl.tl.annotate(bare, reference, labels_key=labels_key, device="cpu")
    return bare


@pytest.fixture(scope="session")
def marrow(shared_data: Path) -> dict[str, AnnData]:
    adata = ad.read_h5ad(shared_data / "granja2019_bmmc_10x_hg19.h5ad")
    return {donor: adata[adata.obs["batch"] == donor].copy() for donor in DONORS}


@pytest.mark.parametrize(
    ("labels_key", "reference", "query", "accuracy", "macro_f1"),
    [
        ("cell_type", *DONORS, 0.78, 0.68),
        ("cell_type", *DONORS[::-1], 0.755, 0.645),
        ("cell_type_coarse", *DONORS, 0.88, 0.83),
        ("cell_type_coarse", *DONORS[::-1], 0.86, 0.79),
    ],
)
def test_marrow_from_donor_to_donor(
    marrow: dict[str, AnnData], labels_key: str, reference: str, query: str, accuracy: float, macro_f1: float
) -> None:
    found = annotated_without_its_labels(marrow[query], marrow[reference], labels_key)
    truth = marrow[query].obs[labels_key]
    report = sl.metrics.annotation_report(truth, found.obs["scllmda_raw"], found.obsm["scllmda_proba"])
    assert report["accuracy"] >= accuracy
    assert report["macro_f1"] >= macro_f1
    assert report["ece"] <= 0.05
    assert (found.obs["scllmda"] == "Unassigned").mean() <= 0.1


@pytest.fixture(scope="session")
def cell_lines(shared_data: Path) -> tuple[AnnData, AnnData]:
    """Return the reference, of two platforms, and the query: the other half of one of them, and a third."""
    adata = ad.read_h5ad(shared_data / "celllines_gm_hek_k562_h1_hg19_seq.h5ad")
    adata.var["sequence"] = adata.var["seq"]
    rank = adata.obs.groupby(["cell_type", "batch"], observed=True).cumcount()
    # K562 cells are of the third platform only.
    halved = (adata.obs["batch"] == "C1_Buenrostro2015_chromVAR") | (adata.obs["cell_type"] == "K562")
    known = (adata.obs["batch"] == "sciATAC_Cusanovich2015") | (halved & (rank % 2 == 0))
    return adata[known].copy(), adata[~known].copy()


def test_cell_lines_across_platforms(cell_lines: tuple[AnnData, AnnData]) -> None:
    reference, query = cell_lines
    found = annotated_without_its_labels(query, reference)
    assert found.uns["scllmda"]["coverage"]["sequence"] == ".var['sequence']"
    assert found.uns["scllmda"]["classes"].tolist() == ["GM12878", "H1", "HEK293T", "K562"]
    lymphoblasts = found.obs["scllmda_raw"][(query.obs["cell_type"] == "GM12878").to_numpy()]
    assert len(lymphoblasts) == 22
    assert (lymphoblasts != "GM12878").sum() <= 1


@pytest.mark.parametrize(
    ("file", "query_batches"),
    [
        ("chen2019_cortex_snareseq_mm10_atac.h5ad", ["09H"]),
        ("cao2018_kidney_scicar_mm10_atac.h5ad", ["Replicate 2"]),
    ],
)
def test_sparse_tissues_can_be_annotated(shared_data: Path, file: str, query_batches: list[str]) -> None:
    adata = ad.read_h5ad(shared_data / file)
    # Two libraries are enough to read and write.
    adata = adata[adata.obs["batch"].isin(["09A", "Replicate 1", *query_batches])]
    is_query = adata.obs["batch"].isin(query_batches)
    query, reference = adata[is_query].copy(), adata[~is_query].copy()
    found = annotated_without_its_labels(query, reference)
    slots = snapshot(found)
    assert annotation_keys() <= slots.keys()
    for attr, key in annotation_keys() - {("uns", "scllmda"), ("obs", "scllmda"), ("obs", "scllmda_raw")}:
        value = slots[attr, key]
        assert np.isfinite(getattr(value, "data", value) if attr == "obsp" else np.asarray(value)).all()
    is_open = np.asarray(query.X.sum(axis=1)).ravel() > 0
    assert (found.obs["scllmda"][~is_open] == "Unassigned").all()
    assert (found.obs["scllmda_score"][found.obs["scllmda"] != "Unassigned"] > 0).all()
