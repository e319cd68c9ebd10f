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


def annotated_without_its_labels(
    query: AnnData, reference: AnnData, labels_key: str = "cell_type", set_coverage: float | None = None
) -> AnnData:
    bare = query.copy()
    bare.obs = bare.obs.drop(columns=labels_key, errors="ignore")
    sl.tl.annotate(bare, reference, labels_key=labels_key, set_coverage=set_coverage, device="cpu")
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
    found = annotated_without_its_labels(marrow[query], marrow[reference], labels_key, set_coverage=0.9)
    truth, sets = marrow[query].obs[labels_key], found.obsm["scllmda_set"]
    report = sl.metrics.annotation_report(truth, found.obs["scllmda_raw"], found.obsm["scllmda_proba"], sets=sets)
    assert report["accuracy"] >= accuracy
    assert report["macro_f1"] >= macro_f1
    assert report["ece"] <= 0.05
    assert report["least_type_coverage"] >= 0.85
    assert report["set_size"] <= 2.4
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


def test_small_queries_are_labeled_as_in_company(marrow: dict[str, AnnData]) -> None:
    reference, query = marrow[DONORS[1]], marrow[DONORS[0]]
    cells = np.random.default_rng(0).choice(query.n_obs, 60, replace=False)
    truth = query.obs["cell_type_coarse"].to_numpy(str)
    right, rejected = [], []
    for some in np.split(cells, 6):
        found = annotated_without_its_labels(query[np.sort(some)], reference, "cell_type_coarse")
        right += (found.obs["scllmda_raw"].to_numpy(str) == truth[np.sort(some)]).tolist()
        rejected += (found.obs["scllmda"] == "Unassigned").tolist()
    # In company .87 of all cells are right.
    assert np.mean(right) >= 0.78
    assert np.mean(rejected) <= 0.1


def test_labels_that_were_shuffled_are_named(marrow: dict[str, AnnData]) -> None:
    reference, query = marrow[DONORS[1]].copy(), marrow[DONORS[0]][:2000]
    reference.obs_names_make_unique()
    rng = np.random.default_rng(0)
    labels = reference.obs["cell_type_coarse"].to_numpy(str)
    types, wrong = np.unique(labels), rng.random(len(labels)) < 0.2
    labels[wrong] = [rng.choice(types[types != label]) for label in labels[wrong]]
    reference.obs["cell_type_coarse"] = labels
    found = annotated_without_its_labels(query, reference, "cell_type_coarse")
    named = np.isin(reference.obs_names, found.uns["scllmda"]["reference"]["contradicted"])
    assert named[wrong].mean() >= 0.8
    assert wrong[named].mean() >= 0.8
    accuracy = (found.obs["scllmda_raw"].to_numpy(str) == query.obs["cell_type_coarse"].to_numpy(str)).mean()
    assert accuracy >= 0.84


class TestOtherPeaks:
    """Two studies: floors below what was measured."""

    @pytest.mark.parametrize(
        ("n_shared", "types", "accuracy", "macro_f1"),
        [
            (2000, (), 0.775, 0.59),
            (2000, ("B",), 0.98, 0.0),
            (2000, ("NK",), 0.98, 0.0),
            (500, (), 0.70, 0.48),
            (500, ("Mono",), 0.98, 0.0),
            (500, ("NK",), 0.98, 0.0),
            (500, ("B",), 0.98, 0.0),
        ],
    )
    def test_marrow_with_few_peaks_in_common(
        self, marrow: dict[str, AnnData], n_shared: int, types: tuple[str, ...], accuracy: float, macro_f1: float
    ) -> None:
        """Two donors, of whose 10,000 peaks some are in both objects and half of the others in one each."""
        rng = np.random.default_rng(0)
        reference, query = marrow[DONORS[1]], marrow[DONORS[0]]
        shared, own, others = np.split(rng.permutation(10_000), [n_shared, n_shared + (10_000 - n_shared) // 2])
        reference = reference[np.sort(rng.choice(reference.n_obs, 2000, replace=False))]
        if types:
            query = query[query.obs["cell_type_coarse"].isin(types)]
        reference, query = reference[:, np.sort(np.r_[shared, own])], query[:, np.sort(np.r_[shared, others])]
        found = annotated_without_its_labels(query, reference, "cell_type_coarse")
        report = sl.metrics.annotation_report(query.obs["cell_type_coarse"], found.obs["scllmda_raw"])
        assert report["accuracy"] >= accuracy
        assert report["macro_f1"] >= macro_f1

    @pytest.mark.parametrize("batches", [None, ["sciATAC_Cusanovich2015"]], ids=["all", "sciATAC"])
    def test_cell_lines_by_another_study(self, shared_data: Path, batches: list[str] | None) -> None:
        reference = ad.read_h5ad(shared_data / "schep2017_cells12_c1_hg19.h5ad")
        query = ad.read_h5ad(shared_data / "celllines_gm_hek_k562_h1_hg19.h5ad")
        query.obs_names_make_unique()
        if batches is not None:
            query = query[query.obs["batch"].isin(batches)]
        truth = query.obs["cell_type"].astype(str).map({"GM12878": "LCL", "H1": "ESC", "K562": "K562"}).to_numpy()
        known = np.array([isinstance(label, str) for label in truth])
        found = annotated_without_its_labels(query.copy(), reference, "cell_type_coarse")
        assert (found.obs["scllmda_raw"].to_numpy(str)[known] == truth[known]).mean() >= 0.98
        novelty = found.obs["scllmda_novelty"].to_numpy()
        assert np.mean(novelty[~known][:, None] > novelty[known]) >= 0.97
        assert (found.obs["scllmda"] == "Unassigned")[known].mean() <= (0.15 if batches is None else 0.05)
        assert found.uns["scllmda"]["history"]["novelty_shift"] > 2

    @pytest.mark.parametrize(("donor", "accuracy"), [(DONORS[1], 0.85), (DONORS[0], 0.75)])
    def test_blood_by_marrow_through_49_peaks(
        self, marrow: dict[str, AnnData], shared_data: Path, donor: str, accuracy: float
    ) -> None:
        query = ad.read_h5ad(shared_data / "archr_pbsmall_hg19_peaks.h5ad")
        found = annotated_without_its_labels(query, marrow[donor], "cell_type_coarse")
        labels = found.obs["scllmda_raw"].astype(str).replace({"CD4": "T", "CD8": "T"})
        assert (labels.to_numpy() == query.obs["cell_type"].to_numpy(str)).mean() >= accuracy
        assert found.uns["scllmda"]["coverage"]["n_matched_query"] == 49
