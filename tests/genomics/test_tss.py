"""Transcription starts from files of every format, and from data frames."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scllmda.genomics import TranscriptionStarts, read_tss

GENES = [("chr1", 100, 900, "A", "+"), ("chr1", 2000, 2500, "B", "-"), ("2", 7, 8, "C", "-"), ("X", 0, 50, "D", "+")]
EXPECTED = [("chr1", 100, "+", "A"), ("chr1", 2499, "-", "B"), ("2", 7, "-", "C"), ("X", 0, "+", "D")]
BED = "".join(f"{chrom}\t{start}\t{end}\t{name}\t0\t{strand}\n" for chrom, start, end, name, strand in GENES)


def gtf(feature: str = "gene", attributes: str = 'gene_id "ENSG.{0}"; gene_type "x; y"; gene_name "{0}";') -> str:
    """Return GENES with positions from 1 and closed ends, among lines that are no genes."""
    lines = ["#!genome-build GRCh38.p13"]
    for chrom, start, end, name, strand in GENES:
        fields = [chrom, "HAVANA", feature, str(start + 1), str(end), ".", strand, ".", attributes.format(name)]
        lines += ["\t".join(fields), "\t".join([*fields[:2], "exon", *fields[3:]])]
    return "\n".join([*lines, "###", "##FASTA", ">chr1", "ACGTACGT"]) + "\n"


def rows(tss: TranscriptionStarts) -> list[tuple[str, int, str, str]]:
    assert tss.position.dtype == np.int64
    assert len(tss) == len(tss.chrom) == len(tss.strand) == len(tss.name)
    return list(zip(tss.chrom.tolist(), tss.position.tolist(), tss.strand.tolist(), tss.name.tolist(), strict=True))


def write(path: Path, text: str, *, zipped: bool = False) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    return path


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        BED,
        BED.replace("\n", "\r\n"),
        BED.rstrip("\n"),
        BED.replace("\t", " "),
        "\ufeff" + BED,
        "browser position chr1\ntrack name=genes\n#chrom\tstart\n\n" + BED,
        BED.replace("\n", "\t1\t2\t0,0,0\n"),
        gtf(),
        gtf("transcript"),
        gtf("mRNA", "ID=transcript:{0};Parent=gene:1;Name={0}"),
    ],
    ids=["BED6", "CRLF", "no end", "blanks", "BOM", "comments", "BED9", "GTF", "transcripts", "GFF3"],
)
def test_a_gene_starts_at_the_end_that_its_strand_says(text: str, zipped: bool, tmp_path: Path) -> None:
    """Whatever the file is called."""
    found = read_tss(write(tmp_path / "genes.txt", text, zipped=zipped))
    assert rows(found) == EXPECTED
    assert found.remarks == ()
    assert rows(read_tss(str(tmp_path / "genes.txt"))) == EXPECTED


def test_the_first_kind_of_feature_is_read(tmp_path: Path) -> None:
    longer = gtf("transcript").replace("\t101\t", "\t51\t")
    assert rows(read_tss(write(tmp_path / "a.gtf", longer + gtf()))) == EXPECTED
    assert rows(read_tss(write(tmp_path / "a.gtf", gtf() + longer))) == EXPECTED
    assert rows(read_tss(write(tmp_path / "a.gtf", longer)))[0][1] == 50


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        ('gene_id "E{0}";', ["EA", "EB", "EC", "ED"]),
        ("ID=gene-{0};Name={0}", ["A", "B", "C", "D"]),
        ("ID=gene-{0}", ["gene-A", "gene-B", "gene-C", "gene-D"]),
        ("", [""] * 4),
    ],
)
def test_names_in_attributes(attributes: str, names: list[str], tmp_path: Path) -> None:
    assert read_tss(write(tmp_path / "a.gff", gtf(attributes=attributes))).name.tolist() == names


@pytest.mark.parametrize("n_columns", [3, 4, 5])
def test_single_bases_need_no_strand(n_columns: int, tmp_path: Path) -> None:
    lines = ["chr1\t10\t11\tA\t0", "chr2\t0\t1\tB\t0"]
    text = "\n".join("\t".join(line.split("\t")[:n_columns]) for line in lines)
    found = read_tss(write(tmp_path / "a.bed", text))
    names = ["A", "B"] if n_columns > 3 else ["", ""]
    assert rows(found) == [("chr1", 10, ".", names[0]), ("chr2", 0, ".", names[1])]


def frame(**columns: Any) -> pd.DataFrame:
    table = pd.DataFrame(GENES, columns=["chrom", "start", "end", "name", "strand"])
    return table.assign(**columns)


@pytest.mark.parametrize(
    "table",
    [
        frame(),
        frame().rename(columns={"chrom": "chr", "name": "gene_name"}),
        frame().rename(columns={"chrom": "seqnames", "name": "gene"}),
        frame().rename(columns=str.capitalize).rename(columns={"Chrom": "Chromosome"}),
        frame(strand=[1, -1, -1, 1]),
        frame(strand=[1.0, -1.0, -1.0, 1.0]),
        frame().astype({"chrom": "category", "start": "Int64", "end": str, "strand": "category"}),
        frame().set_index(pd.Index([5, 5, 5, 5]))[["strand", "name", "end", "start", "chrom"]],
    ],
    ids=["BED", "chr", "seqnames", "pyranges", "numbers", "floats", "types", "index"],
)
def test_data_frames(table: pd.DataFrame) -> None:
    before = table.copy()
    assert rows(read_tss(table)) == EXPECTED
    pd.testing.assert_frame_equal(table, before)


def test_a_data_frame_without_names() -> None:
    assert read_tss(frame().drop(columns="name")).name.tolist() == [""] * 4


def test_a_few_genes_without_strand_are_left_out() -> None:
    table = pd.concat([frame()] * 5, ignore_index=True)
    table.loc[[1, 2], "strand"] = ["?", None]
    found = read_tss(table)
    # A single base needs none.
    assert rows(found) == [*EXPECTED[:1], ("2", 7, ".", "C"), *EXPECTED[3:], *EXPECTED * 4]
    (remark,) = found.remarks
    assert (
        "1 of 20 rows of the data frame are longer than a base and have no strand (first: 'chr1 2000 2500')" in remark
    )
    assert remark.endswith("They are left out.")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "holds no line with an interval"),
        ("# nothing\ntrack name=x\n\n", "holds no line with an interval"),
        ("chr1\tstart\tend\nchr1\t1\t2\n", r"is no BED, GTF or GFF: its first line is 'chr1\\tstart\\tend'"),
        ("chr1\t5\n", "is no BED, GTF or GFF"),
        (">chr1\nACGT\n", "is no BED, GTF or GFF"),
        ("\x00\xff\x00", "is no BED, GTF or GFF"),
        ("chr1\t1\t2\nchr1\t1\t2\t3\n", "have different numbers of columns"),
        ("chr1\t1\t2\nchr1\t1\n", r"1 of 2 lines of .* are no intervals \(first: 'chr1 1 '\)"),
        ("chr1\t1\t2\nchr1\tx\t9\nchr1\t4\t4\n", r"2 of 3 lines of .* are no intervals \(first: 'chr1 x 9'\)"),
        ("chr1\t1\t2\n\t1\t9\n", "1 of 2 lines"),
        ("chr1\t1\t2\nchr1\t-1\t1\n", "1 of 2 lines"),
        ("chr1\t9\t2\tA\t0\t+\n", "1 of 1 lines"),
        ("chr1\t1\t900\n", r"1 of 1 lines of .* longer than a base and have no strand .* expected '\+' or '-'"),
        (BED.replace("+", ".").replace("-", "."), "3 of 4 lines"),
        (gtf("CDS"), "has no feature 'gene', 'transcript', 'mRNA'"),
    ],
)
def test_files_that_cannot_be_read(text: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=match):
        read_tss(write(tmp_path / "a.bed", text))


def test_a_gtf_of_0_based_positions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"1 of 4 lines of .* are no intervals \(first: 'X -1 50'\)"):
        read_tss(write(tmp_path / "a.gtf", gtf().replace("gene\t1\t50", "gene\t0\t50")))


def test_a_damaged_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.bed.gz", BED * 1000, zipped=True)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"Cannot read '.*a\.bed\.gz' .*Download it again"):
        read_tss(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Found no file 'nothing\.bed'; expected a BED, GTF or GFF"):
        read_tss("nothing.bed")
    with pytest.raises(FileNotFoundError, match="expected a BED, GTF or GFF"):
        read_tss(tmp_path)


@pytest.mark.parametrize(
    ("table", "match"),
    [
        (frame().iloc[:0], "Found no rows in the data frame"),
        (frame().drop(columns=["chrom", "end"]), r"has no column 'chrom' and no 'end', only \['start'"),
        (frame(start=[100, None, 7, 0]), r"1 of 4 rows .* \(first: 'chr1 nan 2500'\)"),
        (frame(start=[100, 2000.5, 7, 0]), "1 of 4 rows"),
        (frame(chrom=["chr1", None, "2", "X"]), "1 of 4 rows"),
        (frame(end=frame()["start"]), r"4 of 4 rows .* the base 100 of a GTF is 99 to 100"),
        (frame().drop(columns="strand"), "3 of 4 rows of the data frame are longer than a base and have no strand"),
    ],
)
def test_data_frames_that_cannot_be_read(table: pd.DataFrame, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        read_tss(table)


@pytest.mark.parametrize("source", [5, None, ["chr1"], np.ones((2, 3))])
def test_other_types(source: Any) -> None:
    with pytest.raises(TypeError, match=r"expected a path or a pandas\.DataFrame"):
        read_tss(source)


def test_real_genes_start_where_real_starts_are(shared_data: Path) -> None:
    """By two releases of GENCODE; the files are a base apart, since both wrote positions that count from 1."""
    genes = read_tss(shared_data / "genes" / "gencode_genes_mm10.bed.gz")
    starts = read_tss(shared_data / "mm10_gencode_tss_unique.bed.gz")
    assert (len(genes), len(starts)) == (48_709, 16_956)

    def share_near(strand: np.ndarray) -> float:
        of_genes = zip(genes.chrom.tolist(), genes.position.tolist(), strand.tolist(), strict=True)
        at = {(c, p + off, s) for c, p, s in of_genes for off in (-1, 0, 1)}
        of_starts = zip(starts.chrom.tolist(), starts.position.tolist(), starts.strand.tolist(), strict=True)
        return float(np.mean([place in at for place in of_starts]))

    assert share_near(genes.strand) > 0.45
    assert share_near(np.where(genes.strand == "+", "-", "+")) < 0.01
