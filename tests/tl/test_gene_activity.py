"""Cells × genes, of objects of every kind."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from tests._objects import added, assert_same, snapshot

import scllmda as sl
from scllmda import _counts

PEAKS = ["chr1:900-1000", "chr2:600-700", "chr1:4000-4100", "chr1:9000-9100", "chr1:4900-6100", "chrX:7-9"]
X = np.float32([[1, 0, 2, 4, 0, 0], [0, 3, 0, 0, 0, 1], [1, 0, 0, 0, 5, 0], [0, 0, 0, 0, 0, 2]])
COLUMNS = ["chrom", "start", "end", "strand", "name"]
GENES = pd.DataFrame(
    [
        ("1", 2500, 5000, "+", "A"),
        ("1", 6000, 7500, "-", "B"),
        ("chr3", 0, 9, "+", "C"),
        ("chr2", 0, 601, "-", "D"),
        ("chr1", 900, 901, "+", "D"),
    ],
    columns=COLUMNS,
)
VALUES = [[3, 4, 0, 1], [0, 0, 0, 3], [6, 5, 0, 1], [0, 0, 0, 0]]
"""By hand: A has the peaks at 900 (upstream), 4000 and 4900; B those at 4900 and 9000 (upstream); D those at 600 on
chr2 and at 900 on chr1."""


@pytest.fixture
def adata() -> AnnData:
    obs = pd.DataFrame({"cell_type": pd.Categorical(list("ABAB"))}, index=list("abcd"))
    return AnnData(sp.csr_matrix(X), obs=obs, var=pd.DataFrame(index=PEAKS), uns={"genome": "hg19", "other": 1})


def test_all_that_is_written(adata: AnnData, warnings: list[str]) -> None:
    before = snapshot(adata)
    found = sl.tl.gene_activity(adata, GENES)
    assert added(before, snapshot(adata)) == set()
    assert found.X.toarray().tolist() == VALUES
    assert (found.X.format, found.X.dtype) == ("csr", np.float32)
    assert found.var_names.tolist() == list("ABCD")
    assert found.var.to_dict("list") == {
        "chrom": ["1", "1", "chr3", "chr2"],
        "start": [2500, 6000, 0, 0],
        "end": [5000, 7500, 9, 601],
        "strand": ["+", "-", "+", "-"],
        "n_intervals": [1, 1, 1, 2],
        "n_peaks": [3, 2, 0, 2],
    }
    pd.testing.assert_frame_equal(found.obs, adata.obs)
    assert found.obs is not adata.obs
    assert found.uns == {
        "genome": "hg19",
        "gene_activity": {
            "upstream": 2000,
            "n_genes": 4,
            "n_genes_with_peaks": 3,
            "n_peaks": 6,
            "n_peaks_in_genes": 5,
        },
    }
    assert warnings == ["1 of 4 cells have no open peak in any gene; they are kept, with zeros."]


def test_upstream(adata: AnnData) -> None:
    assert sl.tl.gene_activity(adata, GENES, upstream=0).X.toarray()[:, 0].tolist() == [2, 0, 5, 0]
    assert sl.tl.gene_activity(adata, GENES, upstream=10_000).X.toarray()[0].tolist() == [3, 4, 0, 1]
    # The first base before the gene, and none further away.
    assert sl.tl.gene_activity(adata, GENES, upstream=1500).var["n_peaks"].tolist() == [2, 1, 0, 2]
    assert sl.tl.gene_activity(adata, GENES, upstream=1501).var["n_peaks"].tolist() == [3, 2, 0, 2]


def test_files(adata: AnnData, tmp_path: Path) -> None:
    rows = GENES.itertuples(index=False)
    bed = "".join(f"{g.chrom}\t{g.start}\t{g.end}\t{g.name}\t0\t{g.strand}\n" for g in rows)
    (tmp_path / "a.bed").write_text(bed)
    (tmp_path / "a.bed.gz").write_bytes(gzip.compress(bed.encode()))
    rows = GENES.itertuples(index=False)
    gtf = "".join(
        f'{g.chrom}\tx\tgene\t{g.start + 1}\t{g.end}\t.\t{g.strand}\t.\tgene_name "{g.name}";\n' for g in rows
    )
    (tmp_path / "a.gtf").write_text(gtf)
    expected = snapshot(sl.tl.gene_activity(adata, GENES))
    for name in ("a.bed", "a.bed.gz", "a.gtf"):
        assert_same(snapshot(sl.tl.gene_activity(adata, tmp_path / name)), expected, name)


KINDS: dict[str, Any] = {
    "dense": np.asarray,
    "CSC": sp.csc_matrix,
    "CSR array": sp.csr_array,
    "integers": lambda X: sp.csr_matrix(X.astype(np.int64)),
    "Dask": lambda X: da.from_array(X, chunks=(2, 6)),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_kinds_of_counts(kind: str, adata: AnnData) -> None:
    expected = snapshot(sl.tl.gene_activity(adata, GENES))
    layered = AnnData(obs=adata.obs, var=adata.var, uns=adata.uns, layers={"counts": KINDS[kind](X)})
    assert_same(snapshot(sl.tl.gene_activity(layered, GENES, layer="counts")), expected)
    layered.X = KINDS[kind](X)
    assert_same(snapshot(sl.tl.gene_activity(layered, GENES)), expected)


def test_on_disk_and_in_a_mudata(adata: AnnData, tmp_path: Path) -> None:
    found = sl.tl.gene_activity(adata, GENES)
    expected = snapshot(found)
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata.write_zarr(tmp_path / "a.zarr")
    for source in (tmp_path / "a.h5ad", tmp_path / "a.zarr", ad.read_h5ad(tmp_path / "a.h5ad", backed="r")):
        assert_same(snapshot(sl.tl.gene_activity(source, GENES)), expected)
    mdata = MuData({"rna": AnnData(np.ones((4, 2)), obs=adata.obs), "peaks": adata})
    of_modality = sl.tl.gene_activity(mdata, GENES, mod="peaks")
    assert isinstance(of_modality, AnnData)
    assert_same(snapshot(of_modality), expected)
    mdata.mod["activity"] = of_modality
    assert mdata["activity"].shape == (4, 4)
    with pytest.raises(KeyError, match="no modality 'atac', only"):
        sl.tl.gene_activity(mdata, GENES)
    found.write_h5ad(tmp_path / "activity.h5ad")
    again = ad.read_h5ad(tmp_path / "activity.h5ad")
    np.testing.assert_array_equal(again.X.toarray(), VALUES)
    assert again.uns["gene_activity"] == found.uns["gene_activity"]


def test_blocks_and_order_change_nothing(adata: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = snapshot(sl.tl.gene_activity(adata, GENES))
    shuffled = adata[:, np.random.default_rng(0).permutation(6)].copy()
    assert_same(snapshot(sl.tl.gene_activity(shuffled, GENES)), expected)
    assert sl.tl.gene_activity(adata[:0], GENES).shape == (0, 4)
    blocks = _counts.count_blocks
    monkeypatch.setattr("scllmda.tl._gene_activity.count_blocks", lambda *a: blocks(*a, block_size=3))
    assert_same(snapshot(sl.tl.gene_activity(adata, GENES)), expected)


def test_odd_peaks_and_genes_are_warned_of(warnings: list[str]) -> None:
    names = [f"chr5:{i}000-{i}500" for i in range(20)]
    many = AnnData(np.ones((1, 21)), var=pd.DataFrame(index=["odd", *names]))
    table = pd.DataFrame([("chr5", i * 1000, i * 1000 + 9, "+", f"G{i}") for i in range(20)], columns=COLUMNS)
    table.loc[0, "strand"] = "."
    found = sl.tl.gene_activity(many, table, upstream=0)
    assert found.X.toarray().tolist() == [[1] * 19]
    assert found.uns["gene_activity"]["n_peaks"] == 21
    assert len(warnings) == 2
    assert "1 of 21 peaks are no intervals" in warnings[0]
    assert "1 of 20 rows of the data frame have no strand" in warnings[1]


@pytest.mark.parametrize(
    ("change", "genes", "match"),
    [
        (None, GENES.assign(chrom="NC_1"), r"on other contigs \(NC_1\) than the peaks \(chr1, chr2, chrX\)"),
        (
            None,
            GENES.assign(start=50_000, end=50_009),
            "None of 6 peaks .* overlaps one of 4 genes .first: 'A', 1:50000",
        ),
        (None, GENES.iloc[:0], "Found no rows"),
        (None, GENES.assign(name=""), "have no name"),
        (lambda a: setattr(a, "var_names", list("abcdef")), GENES, "None of the 6 peaks is an interval by its name"),
        (lambda a: setattr(a, "var_names", ["chr1:1-2"] * 6), GENES, "1 peak names of the data repeat"),
        (lambda a: setattr(a, "X", -X), GENES, "negative values"),
        (lambda a: setattr(a, "X", X + np.nan), GENES, "NaN or infinite"),
        (lambda a: a.var.insert(0, "feature_types", ["Peaks"] * 5 + ["Gene Expression"]), GENES, "are no peaks"),
    ],
)
def test_errors(change: Any, genes: pd.DataFrame, match: str, adata: AnnData) -> None:
    if change is not None:
        change(adata)
    before = snapshot(adata)
    with pytest.raises(ValueError, match=match):
        sl.tl.gene_activity(adata, genes)
    assert added(before, snapshot(adata)) == set()


def test_contigs_are_named_where_the_check_is_off(adata: AnnData) -> None:
    with pytest.raises(ValueError, match=r"They are on other contigs \(1, NC_1\)"):
        sl.tl.gene_activity(adata, GENES.assign(chrom="NC_1"), check_genome=False)


class TestCortex:
    """SNARE-seq: libraries E to H, against expression of the same cells."""

    @pytest.fixture(scope="class")
    def cortex(self, shared_data: Path) -> tuple[AnnData, AnnData]:
        atac, rna = (
            ad.read_h5ad(shared_data / f"chen2019_cortex_snareseq_mm10_{kind}.h5ad") for kind in ("atac", "rna")
        )
        held_out = atac.obs["batch"].isin(["09E", "09F", "09G", "09H"]).to_numpy()
        atac, rna = atac[held_out].copy(), rna[held_out].copy()
        sc.pp.normalize_total(rna, target_sum=1e4)
        sc.pp.log1p(rna)
        return atac, rna

    def test_says_something_of_expression(self, cortex: tuple[AnnData, AnnData], shared_data: Path) -> None:
        atac, rna = cortex
        activity = sl.tl.gene_activity(atac, shared_data / "genes" / "gencode_genes_mm10.bed.gz")
        assert activity.shape == (3431, 48_587)
        report = sl.metrics.expression_report(rna, activity, labels="cell_type")
        assert (report["n_genes"], report["n_genes_absent"]) == (1675, 2)
        assert report["spearman"] == pytest.approx(0.0217, abs=5e-4)
        assert report["spearman_labels"] == pytest.approx(0.081, abs=2e-3)

    @pytest.mark.parametrize("build", ["hg19", "hg38"])
    def test_another_genome(self, build: str, cortex: tuple[AnnData, AnnData], shared_data: Path) -> None:
        genes = shared_data / "genes" / f"gencode_genes_{build}.bed.gz"
        with pytest.raises(ValueError, match=r"of another genome build.*pass check_genome=False"):
            sl.tl.gene_activity(cortex[0], genes)
        sl.tl.gene_activity(cortex[0], genes, check_genome=False)
