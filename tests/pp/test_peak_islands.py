"""Cells × islands, of objects of every kind."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData, read_h5ad
from anndata.experimental import read_lazy
from mudata import MuData
from tests._objects import added, assert_same, snapshot

from scllmda import _counts, _logging
from scllmda.pp import match_peaks, peak_islands

PEAKS = ["chr1:100-200", "chr2:600-700", "chr1:4900-5300", "chr1:300-900", "chr1:5100-5200", "chrX:7-9"]
X = np.float32([[1, 0, 2, 4, 0, 0], [0, 3, 0, 0, 0, 1], [1, 0, 0, 0, 5, 0], [0, 0, 0, 0, 0, 2]])
GENES = pd.DataFrame(
    {"chrom": ["1", "chr1", "2", "3"], "start": [50, 5200, 9, 0], "end": [900, 9000, 4000, 9], "strand": list("++-+")}
)
NAMES = ["chr1:0-5000", "chr1:5000-10000", "chr2:0-5000"]
VALUES = [[3, 1, 0], [0, 0, 3], [1, 3, 0], [0, 0, 0]]
"""By hand: means of 1 and 4, 0 and 1, of 2 and 0, 0 and 5, of 3 alone, rounded up."""


@pytest.fixture
def adata() -> AnnData:
    obs = pd.DataFrame({"cell_type": pd.Categorical(list("ABAB"))}, index=list("abcd"))
    return AnnData(sp.csr_matrix(X), obs=obs, var=pd.DataFrame(index=PEAKS), uns={"genome": "hg19", "other": 1})


def test_all_that_is_written(adata: AnnData, warnings: list[str]) -> None:
    before = snapshot(adata)
    found = peak_islands(adata, GENES)
    assert added(before, snapshot(adata)) == set()
    assert found.X.toarray().tolist() == VALUES
    assert (found.X.format, found.X.dtype) == ("csr", np.float32)
    assert found.var_names.tolist() == NAMES
    assert found.var.columns.tolist() == ["chrom", "start", "end", "n_peaks"]
    assert found.var["chrom"].tolist() == ["chr1", "chr1", "chr2"]
    assert found.var["start"].tolist() == [0, 5000, 0]
    assert found.var["end"].tolist() == [5000, 10_000, 5000]
    assert found.var["n_peaks"].tolist() == [2, 2, 1]
    assert found.var.dtypes.astype(str).tolist()[1:] == ["int64"] * 3
    pd.testing.assert_frame_equal(found.obs, adata.obs)
    assert found.obs is not adata.obs
    assert found.uns == {
        "genome": "hg19",
        "peak_islands": {"bin_size": 5000, "n_islands": 3, "n_peaks": 6, "n_peaks_in_islands": 5, "n_tss": 4},
    }
    assert warnings == [
        "1 of 4 cells have no open island; they are kept, with zeros. To leave them out: "
        "islands = islands[islands.X.getnnz(axis=1) > 0].copy()."
    ]
    islands = found
    assert islands[islands.X.getnnz(axis=1) > 0].copy().obs_names.tolist() == list("abc")


def test_every_bin_without_starts(adata: AnnData, warnings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(_logging, "info", lambda text, **_: said.append(text))
    found = peak_islands(adata)
    assert found.var_names.tolist() == [*NAMES, "chrX:0-5000"]
    assert found.X.toarray().tolist() == [[*row, closed] for row, closed in zip(VALUES, [0, 1, 0, 2], strict=True)]
    assert found.uns["peak_islands"]["n_tss"] == 0
    assert warnings == []
    assert "    4 islands with and without a transcription start (no tss=) hold 6 of 6 peaks" in said
    said.clear()
    peak_islands(adata, GENES)
    assert "    3 islands with a transcription start hold 5 of 6 peaks" in said


def test_another_width(adata: AnnData) -> None:
    found = peak_islands(adata, bin_size=200)
    assert found.var_names.tolist() == [
        "chr1:0-200", "chr1:600-800", "chr1:5000-5200", "chr2:600-800", "chrX:0-200"
    ]  # fmt: skip
    assert found.X.toarray()[0].tolist() == [1, 4, 1, 0, 0]


def test_files(adata: AnnData, tmp_path: Path) -> None:
    genes = zip(*GENES.to_dict("list").values(), strict=True)
    bed = "".join(f"{chrom}\t{start}\t{end}\t.\t0\t{strand}\n" for chrom, start, end, strand in genes)
    (tmp_path / "genes.bed").write_text(bed)
    (tmp_path / "genes.bed.gz").write_bytes(gzip.compress(bed.encode()))
    gtf = GENES.assign(source="x", feature="gene", score=".", frame=".", start=GENES["start"] + 1)
    columns = ["chrom", "source", "feature", "start", "end", "score", "strand", "frame"]
    gtf[columns].to_csv(tmp_path / "genes.gtf", sep="\t", header=False, index=False)
    expected = snapshot(peak_islands(adata, GENES))
    for name in ("genes.bed", "genes.bed.gz", "genes.gtf"):
        assert_same(snapshot(peak_islands(adata, tmp_path / name)), expected, name)
        assert_same(snapshot(peak_islands(adata, str(tmp_path / name))), expected, name)


KINDS: dict[str, Any] = {
    "dense": np.asarray,
    "CSR": sp.csr_matrix,
    "CSC": sp.csc_matrix,
    "CSR array": sp.csr_array,
    "integers": lambda X: sp.csr_matrix(X.astype(np.int64)),
    "Dask": lambda X: da.from_array(X, chunks=(2, 6)),
    "sparse Dask": lambda X: da.from_array(X, chunks=(2, 6)).map_blocks(sp.csr_matrix),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_kinds_of_counts(kind: str, adata: AnnData) -> None:
    expected = snapshot(peak_islands(adata, GENES))
    other = AnnData(KINDS[kind](X), obs=adata.obs, var=adata.var, uns=adata.uns)
    assert_same(snapshot(peak_islands(other, GENES)), expected)
    layered = AnnData(obs=adata.obs, var=adata.var, uns=adata.uns, layers={"counts": KINDS[kind](X)})
    assert_same(snapshot(peak_islands(layered, GENES, layer="counts")), expected)


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_on_disk_and_in_a_mudata(layout: Any, adata: AnnData, tmp_path: Path) -> None:
    expected = snapshot(peak_islands(adata, GENES))
    adata.X = layout(X)
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata.write_zarr(tmp_path / "a.zarr")
    assert_same(snapshot(peak_islands(tmp_path / "a.h5ad", GENES)), expected)
    assert_same(snapshot(peak_islands(read_h5ad(tmp_path / "a.h5ad", backed="r"), GENES)), expected)
    assert_same(snapshot(peak_islands(read_lazy(tmp_path / "a.zarr"), GENES)), expected)
    mdata = MuData({"rna": AnnData(np.ones((4, 2)), obs=adata.obs), "peaks": adata})
    assert_same(snapshot(peak_islands(mdata, GENES, mod="peaks")), expected)
    with pytest.raises(KeyError, match="no modality 'atac', only"):
        peak_islands(mdata, GENES)


def test_blocks_of_cells(adata: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = snapshot(peak_islands(adata, GENES))
    blocks = _counts.count_blocks
    monkeypatch.setattr("scllmda.pp._peak_islands.count_blocks", lambda *a: blocks(*a, block_size=3))
    assert_same(snapshot(peak_islands(adata, GENES)), expected)


def test_no_cells(adata: AnnData, warnings: list[str]) -> None:
    assert peak_islands(adata[:0], GENES).shape == (0, 3)
    assert warnings == []


def test_the_order_of_peaks_and_cells_changes_nothing(adata: AnnData) -> None:
    expected = snapshot(peak_islands(adata, GENES))
    shuffled = adata[:, np.random.default_rng(0).permutation(6)].copy()
    assert_same(snapshot(peak_islands(shuffled, GENES.iloc[::-1])), expected)
    back = peak_islands(adata[::-1], GENES)[::-1].copy()
    assert_same(snapshot(back), expected)


def test_like_a_dense_computation() -> None:
    rng = np.random.default_rng(0)
    chrom, start, width = rng.integers([1, 0, 1], [4, 60_000, 3000], (400, 3)).T.tolist()
    names = [f"chr{c}:{s}-{s + w}" for c, s, w in zip(chrom, start, width, strict=True)]
    counts = rng.poisson(0.4, (50, 400)).astype(np.float32)
    genes = pd.DataFrame({"chrom": "chr" + pd.Series(rng.integers(1, 4, 20)).astype(str)})
    genes["start"] = rng.integers(0, 60_000, 20)
    genes["end"], genes["strand"] = genes["start"] + rng.integers(2, 9000, 20), rng.choice(["+", "-"], 20)
    found = peak_islands(AnnData(counts, var=pd.DataFrame(index=names)), genes)
    starts = {(g.chrom, (g.start if g.strand == "+" else g.end - 1) // 5000) for g in genes.itertuples(index=False)}
    bin_of = []
    for name in names:
        chrom, _, ends = name.partition(":")
        bin_of.append((chrom, sum(map(int, ends.split("-"))) // 2 // 5000))
    kept = sorted(starts & set(bin_of))
    assert found.var_names.tolist() == [f"{c}:{i * 5000}-{i * 5000 + 5000}" for c, i in kept]
    assert len(kept) > 10
    for column, place in enumerate(kept):
        inside = counts[:, [other == place for other in bin_of]]
        expected = [math.ceil(cell.sum() / len(cell)) for cell in inside]
        assert found.X.toarray()[:, column].tolist() == expected
        assert found.var["n_peaks"].iloc[column] == inside.shape[1]


def test_islands_can_be_matched_and_written(adata: AnnData, tmp_path: Path) -> None:
    """Those of two studies, whatever their contigs are called."""
    found = peak_islands(adata, GENES)
    other = adata[:, [0, 3, 5]].copy()
    other.var_names = [name.removeprefix("chr") for name in other.var_names]
    matched = match_peaks(peak_islands(other), found)
    assert matched.X.toarray().tolist() == [[3, 0, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]]
    found.write_h5ad(tmp_path / "a.h5ad")
    again = read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(again.X.toarray(), VALUES)
    assert again.uns["peak_islands"] == found.uns["peak_islands"]


def test_what_is_noted_of_the_genome(adata: AnnData) -> None:
    adata.uns = {"reference_sequences": {"chr1": 249_250_621}, "files": {"genome": "hg19.fa"}}
    adata.var["genome"] = "GRCh37"
    found = peak_islands(adata)
    assert found.uns["genome"] == "GRCh37"
    assert found.uns["reference_sequences"] == adata.uns["reference_sequences"]
    assert found.uns["files"] is not adata.uns["files"]


def test_remarks_are_warned_of(adata: AnnData, warnings: list[str]) -> None:
    names = [f"chr5:{i}000-{i}500" for i in range(20)]
    many = AnnData(np.ones((1, 21)), var=pd.DataFrame(index=["odd", *names]))
    genes = pd.DataFrame({"chrom": "chr5", "start": np.arange(20) * 1000, "end": np.arange(20) * 1000 + 9})
    found = peak_islands(many, genes.assign(strand=["."] + ["+"] * 19))
    assert found.uns["peak_islands"]["n_peaks_in_islands"] == 20
    assert found.X.toarray().tolist() == [[1, 1, 1, 1]]
    assert len(warnings) == 2
    assert "1 of 21 peaks are no intervals" in warnings[0]
    assert "1 of 20 rows of the data frame are longer than a base and have no strand" in warnings[1]


@pytest.mark.parametrize(
    ("change", "tss", "match"),
    [
        (None, GENES.assign(chrom="NC_1"), r"on other contigs \(NC_1\) than the peaks \(chr1, chr2, chrX\)"),
        (None, GENES.assign(start=50_000, end=50_009), "No island is left: no bin of 5000 bp holds one of 6 peaks"),
        (None, GENES.iloc[:0], "Found no rows"),
        (lambda a: setattr(a, "var_names", list("abcdef")), GENES, "None of the 6 peaks is an interval by its name"),
        (lambda a: setattr(a, "var_names", ["chr1:1-2"] * 6), GENES, "1 peak names of the data repeat"),
        (lambda a: setattr(a, "X", -X), GENES, "negative values"),
        (lambda a: setattr(a, "X", X + np.nan), GENES, "NaN or infinite"),
        (lambda a: setattr(a, "X", None), GENES, "has no counts"),
        (lambda a: a.var.insert(0, "feature_types", ["Peaks"] * 5 + ["Gene Expression"]), GENES, "are no peaks"),
    ],
)
def test_errors(change: Any, tss: Any, match: str, adata: AnnData) -> None:
    if change is not None:
        change(adata)
    before = snapshot(adata)
    with pytest.raises(ValueError, match=match):
        peak_islands(adata, tss)
    assert added(before, snapshot(adata)) == set()


def test_no_peaks(adata: AnnData) -> None:
    with pytest.raises(ValueError, match="has no peaks"):
        peak_islands(adata[:, :0])


def test_an_unknown_layer_and_width(adata: AnnData) -> None:
    with pytest.raises(KeyError, match="Pass layer="):
        peak_islands(adata, GENES, layer="nothing")
    for bin_size in (0, -5, 2.5, None):
        with pytest.raises((ValueError, TypeError), match="Found bin_size="):
            peak_islands(adata, GENES, bin_size=bin_size)


class TestRealCells:
    @pytest.mark.parametrize(
        ("tss", "n_islands", "n_peaks"),
        [
            ("hg19_gencode_tss_unique.bed.gz", 1218, 1267),
            ("genes/gencode_genes_hg19.bed.gz", 1958, 2019),
            (None, 9791, 10_000),
        ],
    )
    def test_marrow(self, tss: str | None, n_islands: int, n_peaks: int, shared_data: Path) -> None:
        adata = read_h5ad(shared_data / "granja2019_bmmc_10x_hg19.h5ad")
        found = peak_islands(adata, None if tss is None else shared_data / tss)
        assert found.shape == (14_125, n_islands)
        assert found.var["n_peaks"].sum() == n_peaks
        backed = read_h5ad(shared_data / "granja2019_bmmc_10x_hg19.h5ad", backed="r")
        assert_same(snapshot(peak_islands(backed, None if tss is None else shared_data / tss)), snapshot(found))

    @pytest.mark.parametrize("build", ["hg38", "mm10"])
    def test_another_genome(self, build: str, shared_data: Path) -> None:
        adata = read_h5ad(shared_data / "granja2019_bmmc_10x_hg19.h5ad", backed="r")
        with pytest.raises(ValueError, match="They are of another genome build"):
            peak_islands(adata, shared_data / "genes" / f"gencode_genes_{build}.bed.gz")
