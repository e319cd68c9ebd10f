"""Scores of motifs in cells: what was planted, slots, objects of every kind, refusals. Its arithmetic is tested in
tests/genomics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from scipy.stats import mannwhitneyu
from tests._motifs import planted, with_markers
from tests._objects import added, snapshot

import scllmda as sl
from scllmda._files import columns_of_their_own
from scllmda.genomics import Deviations, find_motif_sites, gc_content, read_motifs


@pytest.fixture(scope="module")
def scored() -> AnnData:
    adata = with_markers()
    sl.tl.motif_activity(adata, motifs=planted(adata))
    return adata


def test_scores_follow_planted_activities(scored: AnnData) -> None:
    """Means of types against what motifs do there, relative to other types."""
    scores = scored.obsm["motif_activity"]
    types = scored.uns["simulation"]["cell_types"].tolist()
    activity = scored.uns["simulation"]["activity"]
    means = scores.groupby(scored.obs["cell_type"], observed=True).mean().loc[types].to_numpy()
    assert np.corrcoef(means.ravel(), (activity - activity.mean(axis=0)).ravel())[0, 1] > 0.95
    # Scores are in standard deviations: those of cells of one type differ by about one.
    within = scores.groupby(scored.obs["cell_type"], observed=True).std().to_numpy()
    assert 0.8 < within.mean() < 1.3


def test_all_that_is_written(scored: AnnData) -> None:
    adata = with_markers()
    before = snapshot(adata)
    copy = sl.tl.motif_activity(adata, motifs=planted(adata), copy=True)
    assert added(before, snapshot(adata)) == set()
    assert added(before, snapshot(copy)) == {("obsm", "motif_activity"), ("uns", "motif_activity")}
    found = copy.obsm["motif_activity"]
    assert found.columns.tolist() == list(planted(adata))
    assert set(found.dtypes) == {np.dtype("float32")}
    assert found.equals(scored.obsm["motif_activity"])
    has = find_motif_sites(adata.var["sequence"].tolist(), read_motifs(planted(adata))).present()
    about = copy.uns["motif_activity"]
    assert about["params"] == {"motifs": "dict", "statistic": "z", "p_value": 5e-5}
    assert about["motifs"]["n_peaks"].tolist() == has.sum(axis=0).A1.tolist()
    totals = adata.X.sum(axis=0).A1.astype(float)
    kept = totals > 0
    deviations = Deviations.of(has[kept], totals[kept], gc_content(adata.var["sequence"])[kept])
    deviation, z = deviations.of_cells(adata.X[:, kept])
    np.testing.assert_allclose(found, z, rtol=1e-5)
    sl.tl.motif_activity(copy, motifs=planted(adata), statistic="deviation")
    np.testing.assert_allclose(copy.obsm["motif_activity"], deviation, rtol=1e-5)


def change(adata: AnnData, kind: str, folder: Path) -> Any:
    if kind == "mudata":
        with columns_of_their_own():
            return MuData({"atac": adata})
    if kind == "backed":
        adata.write_h5ad(folder / "a.h5ad")
        return ad.read_h5ad(folder / "a.h5ad", backed="r")
    if kind == "order":
        return adata[:, ::-1].copy()
    adata.X = {
        "dense": lambda X: X.toarray(),
        "csc": sp.csc_matrix,
        "dask": lambda X: da.from_array(X.toarray(), chunks=(100, 3000)).map_blocks(sp.csr_matrix),
    }[kind](adata.X)
    return adata


@pytest.mark.parametrize("kind", ["dense", "csc", "dask", "backed", "mudata", "order"])
def test_the_form_of_the_object_changes_nothing(
    kind: str, scored: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scllmda.tl._motif_activity._BLOCK_SIZE", 64)
    data = change(with_markers(), kind, tmp_path)
    sl.tl.motif_activity(data, motifs=planted(scored))
    found = (data if isinstance(data, AnnData) else data["atac"]).obsm["motif_activity"]
    pd.testing.assert_frame_equal(found, scored.obsm["motif_activity"], rtol=1e-4, atol=1e-4)


def test_files(scored: AnnData, tmp_path: Path) -> None:
    names = {"A/B": planted(scored)["planted 0"]}
    sl.tl.motif_activity(scored, motifs=names, key_added="slash")
    scored.write_h5ad(tmp_path / "a.h5ad")
    scored.write_zarr(tmp_path / "a.zarr")
    for read in (ad.read_h5ad(tmp_path / "a.h5ad"), ad.read_zarr(tmp_path / "a.zarr")):
        for key in ("motif_activity", "slash"):
            pd.testing.assert_frame_equal(read.obsm[key], scored.obsm[key])
            pd.testing.assert_frame_equal(
                read.uns[key]["motifs"], scored.uns[key]["motifs"], check_dtype=False, check_index_type=False
            )


def test_cells_without_counts(scored: AnnData, warnings: list[str]) -> None:
    adata = with_markers()
    adata.X[5] = 0
    sl.tl.motif_activity(adata, motifs=planted(adata))
    assert not adata.obsm["motif_activity"].iloc[5].any()
    assert warnings == ["1 of 600 cells have no counts in peaks with known bases; their scores are 0."]


def without_dna(adata: AnnData) -> None:
    del adata.var["sequence"]


def without_counts(adata: AnnData) -> None:
    adata.X = sp.csr_matrix(adata.shape, dtype=np.float32)


REFUSED: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "no sequences": (without_dna, {}, KeyError, r"Run sl\.pp\.peak_sequences\(adata, genome\) first"),
    "no counts": (without_counts, {}, ValueError, r"None of the 3000 peaks has a known base and a count"),
    "no such layer": (None, {"layer": "counts"}, KeyError, r"Did not find \.layers\['counts'\]"),
    "another statistic": (None, {"statistic": "t"}, ValueError, r"expected one of \['z', 'deviation'\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    spoil, options, error, message = REFUSED[name]
    adata = with_markers()
    if spoil is not None:
        spoil(adata)
    before = snapshot(adata)
    with pytest.raises(error, match=message):
        sl.tl.motif_activity(adata, motifs=planted(adata), **options)
    assert added(before, snapshot(adata)) == set()


def test_real_cells(shared_data: Path) -> None:
    """NF-κB in B cells, KLF in K562, by 256 bp under 6,060 peaks; of GATA nine cells of K562 show nothing."""
    pytest.importorskip("pyjaspar")
    adata = ad.read_h5ad(shared_data / "celllines_gm_hek_k562_h1_hg19_seq.h5ad")
    names = ("NFKB1", "RELA", "KLF9", "GATA1", "GATA2", "GATA1::TAL1")
    motifs = [motif for motif in read_motifs("JASPAR2024") if motif.name in names]
    sl.tl.motif_activity(adata, motifs=motifs, sequence_key="seq")
    scores = adata.obsm["motif_activity"].set_axis([motif.name for motif in motifs], axis=1)
    for cell_type, expected in (("GM12878", {"NFKB1", "RELA"}), ("K562", {"KLF9"})):
        is_mine = adata.obs["cell_type"].to_numpy() == cell_type
        pvalue = mannwhitneyu(scores[is_mine], scores[~is_mine], alternative="greater").pvalue
        assert set(scores.columns[pvalue < 0.01]) == expected
