"""Markers of labels: of planted peaks, of no peak where labels mean nothing; slots, tables, objects of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import dask.array as da
import mudata as md
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from tests._objects import added, annotated, assert_same, pair, snapshot, together

import scllmda as sl
from scllmda import _counts

KEY = "cell_type_marker_peaks"
STATISTICS = ("log2fc", "fraction", "background", "score", "pvalue", "fdr")
SLOTS = {("uns", KEY), *(("varm", f"{KEY}_{name}") for name in STATISTICS)}


def planted(seed: int = 0) -> tuple[AnnData, dict[str, str]]:
    """Return cells of six types that differ in depth and in one peak each, and the peak of each type."""
    rng = np.random.default_rng(seed)
    adata, _ = sl.datasets.simulate(n_query=1, query_types=1, n_peaks=500, signal=0, residual=0, rng=seed)
    types = adata.obs["cell_type"].cat.codes.to_numpy()
    X = adata.X.toarray()
    X = np.where((types % 2 == 0)[:, None], X, rng.binomial(X.astype(int), 0.4))
    share = (X > 0).mean(axis=0)
    peaks = rng.choice(np.flatnonzero((share > 0.02) & (share < 0.1)), 6, replace=False)
    for code, peak in enumerate(peaks):
        X[types == code, peak] += rng.random((types == code).sum()) < 0.4
    found = AnnData(sp.csr_matrix(X, dtype=np.float32), obs=adata.obs, var=adata.var[["chrom", "start", "end"]])
    return found, dict(zip(adata.obs["cell_type"].cat.categories, adata.var_names[peaks], strict=True))


@pytest.fixture(scope="module")
def adata() -> AnnData:
    return pair()[0]


@pytest.fixture(scope="module")
def found(adata: AnnData) -> AnnData:
    return sl.tl.marker_peaks(adata, "cell_type", copy=True)


@pytest.mark.parametrize("seed", range(2))
def test_planted_peaks_come_first_and_depth_makes_no_markers(seed: int) -> None:
    adata, peaks = planted(seed)
    sl.tl.marker_peaks(adata, "cell_type")
    table = sl.get.marker_peaks(adata, KEY)
    assert table.groupby("group", sort=False)["peak"].first().to_dict() == peaks
    # 2,994 others; at 5 % of some 6 to 7 markers a false one is likelier than not in twenty draws.
    assert len(table) <= len(peaks) + 1


DEPTHS: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]] = {
    "all cells": lambda types, depth, rng: rng.permutation(types),
    "alike in depth": lambda types, depth, rng: shuffled_within(types, depth, rng),
    "by depth": lambda types, depth, rng: (rng.random(len(depth)) < depth / (depth + np.median(depth))).astype(int),
}


def shuffled_within(types: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    types = types.copy()
    for cells in np.array_split(np.argsort(depth, kind="stable"), 6):
        types[cells] = rng.permutation(types[cells])
    return types


@pytest.mark.parametrize("how", list(DEPTHS))
def test_labels_without_meaning_have_no_markers(how: str) -> None:
    adata, _ = planted()
    types = adata.obs["cell_type"].cat.codes.to_numpy()
    for seed in range(4):
        codes = DEPTHS[how](types, np.diff(adata.X.indptr), np.random.default_rng(seed))
        adata.obs["some"] = codes.astype(str)
        sl.tl.marker_peaks(adata, "some")
        assert sl.get.marker_peaks(adata, "some_marker_peaks", min_log2fc=None).empty


def test_all_that_is_written(adata: AnnData, found: AnnData) -> None:
    assert added(snapshot(adata), snapshot(found)) == SLOTS
    for name in STATISTICS:
        array = found.varm[f"{KEY}_{name}"]
        assert (array.shape, array.dtype) == ((800, 4), np.float64 if name in {"pvalue", "fdr"} else np.float32)
        assert np.isfinite(array).all()
    uns, types = found.uns[KEY], adata.obs["cell_type"]
    assert uns["groups"].tolist() == types.cat.categories.tolist()
    assert uns["n_cells"].tolist() == types.value_counts().loc[uns["groups"]].tolist()
    assert uns["params"] == {"groupby": "cell_type", "unlabeled": ["Unassigned", "unknown"]}
    for g, name in enumerate(uns["groups"]):
        is_open = adata.X[(types == name).to_numpy()].toarray() > 0
        np.testing.assert_allclose(found.varm[f"{KEY}_fraction"][:, g], is_open.mean(axis=0), rtol=1e-6)


def test_what_was_found_is_said(adata: AnnData, monkeypatch: pytest.MonkeyPatch, warnings: list[str]) -> None:
    said: list[str] = []
    monkeypatch.setattr("scllmda._logging.result", said.append)
    labels = adata.obs["cell_type"].astype(object).where(np.arange(150) % 10 > 0, "Unassigned")
    labels.iloc[5] = None
    some = AnnData(adata.X, obs=pd.DataFrame({"label": labels}), var=adata.var)
    sl.tl.marker_peaks(some, "label")
    table = sl.get.marker_peaks(some, "label_marker_peaks")
    n = table["group"].value_counts().reindex(some.uns["label_marker_peaks"]["groups"], fill_value=0)
    assert said == [
        "marker peaks of 4 labels of 134 cells, at 1 depths; 16 cells without a label left out; "
        f"{n.min()} to {n.max()} peaks per label are more open at an FDR of 5 %"
    ]
    assert warnings == []


def test_cells_without_a_label_take_no_part(adata: AnnData) -> None:
    kept = np.arange(150) % 5 > 0
    some = adata.copy()
    some.obs["label"] = some.obs["cell_type"].cat.add_categories("nothing").where(kept, "nothing")
    sl.tl.marker_peaks(some, "label", unlabeled="nothing", key_added=KEY)
    alone = sl.tl.marker_peaks(adata[kept].copy(), "cell_type", copy=True)
    for name in STATISTICS:
        assert_same(some.varm[f"{KEY}_{name}"], alone.varm[f"{KEY}_{name}"])


def test_a_joint_annotation() -> None:
    """Cells of both sides take part, and the annotation stays."""
    both = annotated(together())
    sl.tl.marker_peaks(both, batch_key="platform")
    assert both.uns["scllmda_marker_peaks"]["n_cells"].sum() == (both.obs["scllmda"] != "Unassigned").sum() == 250
    with pytest.raises(ValueError, match=r"overwrite \.uns\['scllmda'\], which is read as the annotation"):
        sl.tl.marker_peaks(both, key_added="scllmda")


def test_batches(adata: AnnData) -> None:
    """A peak that one donor alone has open is a marker of the type that is frequent there, unless donors are told."""
    rng = np.random.default_rng(0)
    X = (rng.random((600, 300)) < 0.1).astype(np.float32)
    label, donor = np.repeat(["A", "B"], 300), np.where(rng.random(600) < np.repeat([0.8, 0.2], 300), "one", "two")
    X[:, 0] = (donor == "one") & (rng.random(600) < 0.5)
    X[:, 1] = (label == "A") & (rng.random(600) < 0.5)
    some = AnnData(X, obs=pd.DataFrame({"label": label, "donor": donor}, index=np.arange(600).astype(str)))
    some.var_names = [f"chr1:{i}00-{i}50" for i in range(300)]
    sl.tl.marker_peaks(some, "label")
    sl.tl.marker_peaks(some, "label", batch_key="donor", key_added="told")
    first = list(some.var_names)
    assert set(first[:2]) <= set(sl.get.marker_peaks(some, "label_marker_peaks", group="A")["peak"])
    assert sl.get.marker_peaks(some, "told", group="A")["peak"].tolist() == [first[1]]
    assert some.uns["told"]["params"]["batch_key"] == "donor"


def test_order_changes_nothing(adata: AnnData, found: AnnData) -> None:
    rng = np.random.default_rng(0)
    cells, peaks = rng.permutation(150), rng.permutation(800)
    moved = sl.tl.marker_peaks(adata[cells][:, peaks].copy(), "cell_type", copy=True)
    for name in STATISTICS:
        np.testing.assert_allclose(
            moved.varm[f"{KEY}_{name}"], found.varm[f"{KEY}_{name}"][peaks], rtol=1e-5, atol=1e-6, err_msg=name
        )
    table = sl.get.marker_peaks(found, KEY, n_peaks=5)
    pd.testing.assert_frame_equal(sl.get.marker_peaks(moved, KEY, n_peaks=5), table)
    assert_same(snapshot(sl.tl.marker_peaks(adata, "cell_type", copy=True)), snapshot(found))


KINDS: dict[str, Any] = {
    "dense": lambda X: X.toarray(),
    "CSC": sp.csc_matrix,
    "integers": lambda X: X.astype(np.int64),
    "binary": lambda X: (X > 0).astype(np.float32),
    "Dask": lambda X: da.from_array(X.toarray(), chunks=(40, 800)),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_kinds_of_counts(kind: str, adata: AnnData, found: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = _counts.count_blocks
    monkeypatch.setattr("scllmda.tl._marker_peaks.count_blocks", lambda *a: blocks(*a, block_size=40))
    some = AnnData(obs=adata.obs, var=adata.var, layers={"counts": KINDS[kind](adata.X)})
    sl.tl.marker_peaks(some, "cell_type", layer="counts")
    for name in STATISTICS:
        np.testing.assert_allclose(some.varm[f"{KEY}_{name}"], found.varm[f"{KEY}_{name}"], rtol=1e-6, atol=1e-7)


def test_on_disk(adata: AnnData, found: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adata.write_h5ad(tmp_path / "a.h5ad")
    for most in (2**27, 10):
        monkeypatch.setattr("scllmda._counts.MOST_IN_MEMORY", most)
        backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
        sl.tl.marker_peaks(backed, "cell_type")
        assert_same(
            {slot: getattr(backed, slot[0])[slot[1]] for slot in SLOTS}, {s: getattr(found, s[0])[s[1]] for s in SLOTS}
        )


GENES = pd.DataFrame(
    [("1", 0, 1000, "+", "A"), ("1", 10**6, 10**6 + 9, "-", "B/C"), ("chr2", 0, 100, "+", "A")],
    columns=["chrom", "start", "end", "strand", "name"],
)


def test_round_trips(adata: AnnData, tmp_path: Path) -> None:
    some = adata.copy()
    some.obs["cell/type"] = some.obs["cell_type"].cat.rename_categories(lambda name: f"{name}/{name}")
    sl.tl.marker_peaks(some, "cell/type", genes=GENES, check_genome=False, key_added=KEY)
    del some.obs["cell/type"]
    table = sl.get.marker_peaks(some, KEY)
    assert table["group"].iloc[0] == "CD4 T/CD4 T"
    some.write_h5ad(tmp_path / "a.h5ad")
    some.write_zarr(tmp_path / "a.zarr")
    mdata = MuData({"atac": some})
    mdata.write(tmp_path / "a.h5mu")
    again = {
        "h5ad": ad.read_h5ad(tmp_path / "a.h5ad"),
        "zarr": ad.read_zarr(tmp_path / "a.zarr"),
        "h5mu": md.read(tmp_path / "a.h5mu"),
    }
    for kind, other in again.items():
        pd.testing.assert_frame_equal(sl.get.marker_peaks(other, KEY), table, obj=kind)


def test_genes(adata: AnnData) -> None:
    some = sl.tl.marker_peaks(adata, "cell_type", genes=GENES, check_genome=False, copy=True)
    assert added(snapshot(adata), snapshot(some)) == SLOTS | {("var", f"{KEY}_gene"), ("var", f"{KEY}_distance")}
    center = (adata.var["start"] + adata.var["end"]) // 2
    chrom = adata.var["chrom"].astype(str)
    is_b = (chrom == "chr1") & (center - 0 > 10**6 + 8 - center)
    gene = np.where(is_b, "B/C", "A").astype(object)
    distance = np.where(is_b, 10**6 + 8 - center, center).astype(object)
    gene[chrom == "chr3"], distance[chrom == "chr3"] = None, pd.NA
    table = sl.get.marker_peaks(some, KEY, fdr=1, min_log2fc=None, group="B").set_index("peak").loc[adata.var_names]
    assert [None if pd.isna(name) else name for name in table["gene"]] == gene.tolist()
    assert table["distance"].tolist() == distance.tolist()
    # Without genes, those of before are of another call.
    sl.tl.marker_peaks(some, "cell_type")
    assert added(snapshot(adata), snapshot(some)) == SLOTS
    assert "gene" not in sl.get.marker_peaks(some, KEY)


def test_mudata(adata: AnnData, found: AnnData) -> None:
    rna = AnnData(np.ones((150, 2)), obs=pd.DataFrame(index=adata.obs_names))
    mdata = MuData({"rna": rna, "peaks": adata.copy()})
    mdata.obs["label"] = adata.obs["cell_type"]
    sl.tl.marker_peaks(mdata, "label", mod="peaks", key_added=KEY)
    assert_same(mdata["peaks"].varm[f"{KEY}_fdr"], found.varm[f"{KEY}_fdr"])
    pd.testing.assert_frame_equal(sl.get.marker_peaks(mdata, KEY, mod="peaks"), sl.get.marker_peaks(found, KEY))


class TestTable:
    def test_is_what_the_slots_hold(self, found: AnnData) -> None:
        table = sl.get.marker_peaks(found, KEY, fdr=1, min_log2fc=None)
        assert table.columns.tolist() == ["group", "peak", *STATISTICS]
        assert len(table) == 3200
        for g, name in enumerate(found.uns[KEY]["groups"]):
            part = table[table["group"] == name]
            assert part["pvalue"].is_monotonic_increasing
            part = part.set_index("peak").loc[found.var_names]
            for statistic in STATISTICS:
                np.testing.assert_array_equal(part[statistic], found.varm[f"{KEY}_{statistic}"][:, g])

    def test_some_of_it(self, found: AnnData) -> None:
        table = sl.get.marker_peaks(found, KEY)
        assert (table["fdr"] <= 0.05).all()
        assert (table["log2fc"] >= 0).all()
        strict = sl.get.marker_peaks(found, KEY, fdr=0.001, min_log2fc=1)
        expected = table[(table["fdr"] <= 0.001) & (table["log2fc"] >= 1)].reset_index(drop=True)
        pd.testing.assert_frame_equal(strict, expected)
        two = sl.get.marker_peaks(found, KEY, group=["CD8 T", "B"], n_peaks=2)
        assert two["group"].tolist() == ["CD8 T"] * 2 + ["B"] * 2
        assert two["peak"].tolist()[2:] == table.loc[table["group"] == "B", "peak"].tolist()[:2]

    def test_follows_the_peaks(self, found: AnnData) -> None:
        some = found[:, 100:300]
        table = sl.get.marker_peaks(found, KEY, fdr=1)
        table = table[table["peak"].isin(some.var_names)].reset_index(drop=True)
        pd.testing.assert_frame_equal(sl.get.marker_peaks(some, KEY, fdr=1), table)

    def test_errors(self, adata: AnnData, found: AnnData) -> None:
        with pytest.raises(KeyError, match=r"Did not find marker peaks 'cell_type_.*Run sl\.tl\.marker_peaks first"):
            sl.get.marker_peaks(adata, KEY)
        with pytest.raises(KeyError, match=r"Pass key= one of those that are there: \['cell_type_marker_peaks'\]"):
            sl.get.marker_peaks(found, "cell_type")
        with pytest.raises(ValueError, match="Found group='T'; expected some of"):
            sl.get.marker_peaks(found, KEY, group=["B", "T"])


@pytest.mark.parametrize(
    ("change", "options", "error", "match"),
    [
        ({}, {"groupby": "celltype"}, KeyError, r"Did not find .obs\['celltype'\].*Did you mean 'cell_type'.*groupby="),
        ({"cell_type": "A"}, {}, ValueError, r"The only label of adata.obs\['cell_type'\] is 'A'"),
        ({"cell_type": "unknown"}, {}, ValueError, "No cell is labeled.*pass groupby= the column"),
        ({}, {"batch_key": "donor"}, KeyError, r"Did not find .obs\['donor'\].*Pass batch_key="),
        ({}, {"layer": "counts"}, KeyError, r"Did not find .layers\['counts'\]"),
        ({}, {"groupby": "a/b"}, ValueError, "The slot name 'a/b_marker_peaks'.*Pass key_added= another one"),
        ({}, {"genes": GENES.assign(chrom="NC_1")}, ValueError, "on other contigs .NC_1. than the peaks"),
        ({}, {"genes": GENES.assign(name="")}, ValueError, "have no name"),
    ],
)
def test_errors(
    change: dict[str, str], options: dict[str, Any], error: type[Exception], match: str, adata: AnnData
) -> None:
    some = adata.copy()
    some.obs["a/b"] = some.obs["cell_type"]
    for column, value in change.items():
        some.obs[column] = value
    before = snapshot(some)
    with pytest.raises(error, match=match):
        sl.tl.marker_peaks(some, **{"groupby": "cell_type", **options})
    assert added(before, snapshot(some)) == set()


@pytest.mark.parametrize(("X", "match"), [(-1.0, "negative values"), (np.nan, "NaN or infinite")])
def test_values_that_are_no_counts(X: float, match: str, adata: AnnData) -> None:
    some = AnnData(adata.X.toarray() * X, obs=adata.obs, var=adata.var)
    with pytest.raises(ValueError, match=match):
        sl.tl.marker_peaks(some, "cell_type")
    assert not some.varm


def test_small_labels_are_warned_of(adata: AnnData, warnings: list[str]) -> None:
    some = adata.copy()
    some.obs["label"] = some.obs["cell_type"].astype(object)
    some.obs.iloc[:3, some.obs.columns.get_loc("label")] = "rare"
    sl.tl.marker_peaks(some, "label")
    assert len(warnings) == 1
    assert warnings[0].startswith("Labels with few cells: 'rare' (3). Their peaks are found only if")
    assert sl.get.marker_peaks(some, "label_marker_peaks", group="rare").empty


def test_labels_apart_in_depth_are_warned_of(warnings: list[str]) -> None:
    adata, _ = planted()
    depth = np.diff(adata.X.indptr)
    adata.obs["label"] = np.where(depth > np.median(depth), "deep", "not")
    sl.tl.marker_peaks(adata, "label")
    assert len(warnings) == 1
    assert "No cells of other labels were read as deeply as most cells of 'deep' (" in warnings[0]
    assert sl.get.marker_peaks(adata, "label_marker_peaks").empty


def test_slots_of_the_user_are_warned_of(adata: AnnData, warnings: list[str]) -> None:
    some = adata.copy()
    some.varm[f"{KEY}_fdr"] = np.zeros((800, 1))
    sl.tl.marker_peaks(some, "cell_type")
    assert [w for w in warnings if f".varm['{KEY}_fdr'], which scllmda did not write" in w] == warnings != []
    warnings.clear()
    sl.tl.marker_peaks(some, "cell_type")
    assert warnings == []


class TestMarrow:
    """Granja's bone marrow: its 10,000 peaks have few of the genes that everyone knows for their nearest one."""

    @pytest.fixture(scope="class")
    def marrow(self, shared_data: Path) -> AnnData:
        adata = ad.read_h5ad(shared_data / "granja2019_bmmc_10x_hg19.h5ad")
        sl.tl.marker_peaks(
            adata, "cell_type_coarse", genes=shared_data / "genes" / "gencode_genes_hg19.bed.gz", key_added="m"
        )
        return adata

    @pytest.mark.parametrize(
        ("cell_type", "genes"),
        [("Mono", {"FCN1"}), ("B", {"EBF1"}), ("NK", {"GZMB"}), ("CD8", {"CD8A", "CD3E", "BCL11B"})],
    )
    def test_known_genes(self, cell_type: str, genes: set[str], marrow: AnnData) -> None:
        first = sl.get.marker_peaks(marrow, "m", group=cell_type, n_peaks=300)
        assert genes <= set(first["gene"])

    def test_shuffled_labels(self, marrow: AnnData) -> None:
        labels = np.random.default_rng(0).permutation(marrow.obs["cell_type"].astype(str))
        some = AnnData(marrow.X, obs=pd.DataFrame({"label": labels}, index=marrow.obs_names), var=marrow.var)
        sl.tl.marker_peaks(some, "label")
        assert sl.get.marker_peaks(some, "label_marker_peaks").empty

    def test_another_genome(self, marrow: AnnData, shared_data: Path) -> None:
        with pytest.raises(ValueError, match="of another genome build"):
            sl.tl.marker_peaks(marrow, "cell_type", genes=shared_data / "genes" / "gencode_genes_mm10.bed.gz")
        assert f"{KEY}_fdr" not in marrow.varm
