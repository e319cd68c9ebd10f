"""Genome builds by all their names, and by the length of their first chromosome."""

from __future__ import annotations

import pytest

from scllmda.genomics import build_of_lengths, known_build


@pytest.mark.parametrize(
    ("names", "build"),
    [
        (["hg19", "HG19", " GRCh37 ", "GRCh37.p13", "hs37d5", "b37", "human_g1k_v37", "hg19.fa.gz"], "hg19"),
        (["hg38", "GRCh38", "GRCh38.p14", "hs38DH", "refdata-cellranger-arc-GRCh38-2020-A", "GRCh38 (hg38)"], "hg38"),
        (["T2T-CHM13", "CHM13v2.0", "hs1", "T2T-CHM13v2.0"], "hs1"),
        (["mm9", "NCBIM37", "MGSCv37"], "mm9"),
        (["mm10", "GRCm38", "GRCm38.p6", "refdata-cellranger-atac-mm10-2020-A-2.0.0"], "mm10"),
        (["mm39", "GRCm39"], "mm39"),
        (["rn6", "Rnor_6.0", "Rnor6.0"], "rn6"),
        (["rn7", "mRatBN7.2"], "rn7"),
        (["danRer11", "GRCz11"], "danrer11"),
        (["dm6", "BDGP6", "BDGP6.32"], "dm6"),
        (["ce11", "WBcel235"], "ce11"),
        (["Sscrofa11.1", "susScr11"], "susscr11"),
        (["TAIR10"], "aratha1"),
    ],
)
def test_names_of_one_build(names: list[str], build: str) -> None:
    assert [known_build(name) for name in names] == [build] * len(names)


@pytest.mark.parametrize("name", ["", "my assembly", "hg381", "GRCh38_and_mm10", "xmm10x", "human", "ncbi"])
def test_names_of_no_one_build(name: str) -> None:
    assert known_build(name) is None


@pytest.mark.parametrize(
    ("lengths", "build"),
    [
        ({"chr1": 249_250_621}, "hg19"),
        ({"1": 248_956_422}, "hg38"),
        ({"chr2": 1, "chr1": 195_471_971}, "mm10"),
        ({"chr1": 1000}, None),
        ({"chr2": 248_956_422}, None),
        ({}, None),
    ],
)
def test_lengths(lengths: dict[str, int], build: str | None) -> None:
    assert build_of_lengths(lengths) == build
