"""Genes and their peaks, against a loop over both."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scllmda.genomics import Intervals, bare_contig, gene_peaks, overlapping_pairs, read_genes

COLUMNS = ["chrom", "start", "end", "strand", "name"]
CONTIGS = st.sampled_from(["chr1", "1", "chr2", "10", "chrM", "MT"])
SPANS = st.tuples(CONTIGS, st.integers(0, 90), st.integers(1, 40))
GENES = st.lists(st.tuples(SPANS, st.sampled_from("+-"), st.sampled_from("ABCD")), min_size=1, max_size=12)


def frame(*rows: tuple[str, int, int, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def intervals(spans: list[tuple[str, int, int]]) -> Intervals:
    chrom, start, width = zip(*spans, strict=True) if spans else ((), (), ())
    first = np.array(start, dtype=np.int64)
    return Intervals(np.array(chrom, dtype="U5"), first, first + np.array(width, dtype=np.int64))


def meet(one: tuple[str, int, int], other: tuple[str, int, int]) -> bool:
    return bare_contig(one[0]) == bare_contig(other[0]) and one[1] < other[2] and other[1] < one[2]


@given(one=st.lists(SPANS, max_size=12), other=st.lists(SPANS, max_size=12))
def test_all_pairs_that_overlap(one: list, other: list) -> None:
    q, r = overlapping_pairs(intervals(one), intervals(other))
    ends = [[(chrom, start, start + width) for chrom, start, width in spans] for spans in (one, other)]
    expected = {(i, j) for i, a in enumerate(ends[0]) for j, b in enumerate(ends[1]) if meet(a, b)}
    assert set(zip(q.tolist(), r.tolist(), strict=True)) == expected
    assert len(q) == len(expected)


@given(peaks=st.lists(SPANS, max_size=12), genes=GENES, upstream=st.integers(0, 50))
def test_like_a_loop(peaks: list, genes: list, upstream: int) -> None:
    rows = [(chrom, start, start + width, strand, name) for (chrom, start, width), strand, name in genes]
    found = gene_peaks(intervals(peaks), read_genes(frame(*rows)), upstream=upstream)
    names = list(dict.fromkeys(name for *_, name in rows))
    assert found.table.index.tolist() == names
    expected = np.zeros((len(peaks), len(names)))
    for i, (contig, first, width) in enumerate(peaks):
        for chrom, start, end, strand, name in rows:
            stretch = (start - upstream, end) if strand == "+" else (start, end + upstream)
            if meet((contig, first, first + width), (chrom, *stretch)):
                expected[i, names.index(name)] = 1
    np.testing.assert_array_equal(found.assignment.toarray(), expected)
    assert found.table["n_peaks"].tolist() == expected.sum(axis=0).tolist()
    assert found.table["n_intervals"].sum() == len(rows)
    for name, shown in found.table.iterrows():
        of_gene = [row for row in rows if row[4] == name]
        assert tuple(shown[COLUMNS[:4]]) == max(of_gene, key=lambda row: row[2] - row[1])[:4]


def test_strand_and_contig_end() -> None:
    genes = read_genes(frame(("chr1", 500, 900, "+", "A"), ("chr1", 500, 900, "-", "B")))
    assert genes.extended(2000).names().tolist() == ["chr1:0-900", "chr1:500-2900"]
    assert genes.extended(0).names().tolist() == ["chr1:500-900"] * 2
    assert genes.starts.position.tolist() == [500, 899]
    assert genes.remarks == ()


@pytest.mark.parametrize("zipped", [False, True])
def test_files(zipped: bool, tmp_path: Path) -> None:
    bed = "chr1\t100\t900\tA\t0\t+\nchr1\t2000\t2500\tB\t0\t-\n"
    gtf = (
        'chr1\tx\tgene\t101\t900\t.\t+\t.\tgene_id "E1"; gene_name "A";\n'
        'chr1\tx\ttranscript\t150\t900\t.\t+\t.\tgene_id "E1"; gene_name "A";\n'
        'chr1\tx\tgene\t2001\t2500\t.\t-\t.\tgene_id "B";\n'
    )
    gff = gtf.replace('gene_id "E1"; gene_name "A";', "ID=E1;Name=A").replace('gene_id "B";', "ID=B")
    for text in (bed, gtf, gff):
        path = tmp_path / "genes"
        path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
        genes = read_genes(path)
        assert genes.name.tolist() == ["A", "B"]
        assert genes.body.names().tolist() == ["chr1:100-900", "chr1:2000-2500"]
        assert genes.strand.tolist() == ["+", "-"]


@pytest.mark.parametrize(("column", "lack"), [("strand", "have no strand"), ("name", "have no name")])
def test_a_few_without_strand_or_name_are_left_out(column: str, lack: str) -> None:
    table = frame(*[("chr1", i * 10, i * 10 + 5, "+", f"G{i}") for i in range(20)])
    table.loc[3, column] = None
    genes = read_genes(table)
    assert genes.name.tolist() == [f"G{i}" for i in range(20) if i != 3]
    (remark,) = genes.remarks
    assert remark.startswith(f"1 of 20 rows of the data frame {lack} (first: 'chr1 30 35')")
    assert remark.endswith("They are left out.")
    table.loc[:9, column] = None
    with pytest.raises(ValueError, match=rf"10 of 20 rows of the data frame {lack} .*expected .*Add {column}s"):
        read_genes(table)


def test_starts_are_no_genes() -> None:
    (remark,) = read_genes(frame(("chr1", 5, 6, "+", "A"))).remarks
    assert "All rows of the data frame are of a single base: starts of transcription rather than genes" in remark


@pytest.mark.parametrize(
    ("source", "error", "match"),
    [
        (5, TypeError, "Found 5 .int. for genes; expected a path or a pandas.DataFrame"),
        ("nothing.bed", FileNotFoundError, "Found no file 'nothing.bed'; expected a BED, GTF or GFF with genes"),
        (frame(), ValueError, "Found no rows in the data frame; expected genes"),
        (frame(("chr1", 5, 2, "+", "A")), ValueError, "1 of 1 rows of the data frame are no intervals"),
        (frame(("chr1", 5, 9, "+", "A")).drop(columns="name"), ValueError, "have no name"),
        (
            frame(("chr1", 5, 9, "+", "A")).drop(columns="end"),
            ValueError,
            "The data frame of genes has no column 'end'",
        ),
    ],
)
def test_errors(source: object, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        read_genes(source)  # type: ignore[arg-type]


def test_real_genes(shared_data: Path) -> None:
    genes = read_genes(shared_data / "genes" / "gencode_genes_mm10.bed.gz")
    assert len(genes) == 48_709
    assert len(set(genes.name.tolist())) == 48_587
