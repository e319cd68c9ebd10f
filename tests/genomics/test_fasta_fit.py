"""Peaks past the end of their contig: a few are read as far as it goes, those of another build are refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from anndata import read_h5ad

from scllmda.genomics import Intervals, fetch_sequences

CONTIG = "".join(np.random.default_rng(0).choice(list("ACGT"), 1000))


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text("".join(f">{name}\n{CONTIG}\n" for name in ("chr1", "chr2")))
    return path


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr("scllmda._logging.warning", lambda text: found.append(text) if "contig" in text else None)
    return found


def peaks(n: int, *odd: str) -> Intervals:
    """Return n peaks, the last of which are the odd ones."""
    return Intervals.from_names([f"chr1:{i % 900}-{i % 900 + 50}" for i in range(n - len(odd))] + list(odd))


@pytest.mark.parametrize("n", [1, 2, 99, 500])
@pytest.mark.parametrize("missing", ["raise", "drop", "n"])
def test_one_peak_past_the_end_is_read_as_far_as_the_contig_goes(
    fasta: Path, warnings: list[str], n: int, missing: str
) -> None:
    sequences, kept = fetch_sequences(fasta, peaks(n, "2:980-1020"), missing=missing)
    expected = [CONTIG[i % 900 : i % 900 + 50] for i in range(n - 1)] + [CONTIG[980:] + "N" * 20]
    assert sequences.tolist() == expected
    assert kept.all()
    found = f"1 of {n} peaks end after their contig (first: 2:980-1020, but the contig is 1000 bp long)"
    assert [text.startswith(f"{found}; what lies beyond its end is read as N.") for text in warnings] == [True]


@pytest.mark.parametrize(
    ("start", "end", "window"), [(980, 1020, 8), (980, 1020, 100), (990, 1300, 30), (999, 1400, 4)]
)
def test_windows_of_peaks_past_the_end(fasta: Path, start: int, end: int, window: int) -> None:
    first = (start + end) // 2 - window // 2
    expected = (CONTIG + "N" * 1000)[first : first + window]
    assert fetch_sequences(fasta, peaks(1, f"chr2:{start}-{end}"), window=window)[0].tolist() == [expected]


@pytest.mark.parametrize("window", [None, 60])
@pytest.mark.parametrize("missing", ["raise", "drop", "n"])
@pytest.mark.parametrize(
    ("n", "odd", "count"),
    [
        (2, ["chr1:970-1001"] * 2, 2),
        (99, ["chr1:970-1001"] * 2, 2),
        (300, ["chr2:970-1001"] * 4, 4),
        (1, ["2:1000-1050"], 1),
        (2, ["2:1000-1050"], 1),
        (9999, ["2:1000-1050"], 1),
        (10_000, ["chr1:970-1001", "chr1:1000-1050", "chr2:5000-5050"], 3),
    ],
)
def test_peaks_of_another_build_are_refused(
    fasta: Path, missing: str, window: int | None, n: int, odd: list[str], count: int
) -> None:
    match = rf"^{count} of {n} peaks end after their contig \(first: .*1000 bp long.*another genome build"
    with pytest.raises(ValueError, match=match):
        fetch_sequences(fasta, peaks(n, *odd), missing=missing, window=window)


@pytest.mark.parametrize(
    ("n", "odd"),
    [
        (300, ["chr2:970-1001"] * 3),
        (10_000, ["chr1:970-1001"] * 100),
        (10_000, ["2:1000-1050"]),
        (20_000, ["chr1:970-1001", "chr2:5000-5050", "2:1000-1050"]),
    ],
)
@pytest.mark.parametrize("window", [None, 60])
def test_a_few_of_many_peaks_are_read(
    fasta: Path, warnings: list[str], n: int, odd: list[str], window: int | None
) -> None:
    intervals = peaks(n, *odd)
    sequences, kept = fetch_sequences(fasta, intervals, window=window)
    text = "N" * 100 + CONTIG + "N" * 5000
    for i in range(n - len(odd) - 5, n):
        start, end = int(intervals.start[i]), int(intervals.end[i])
        first, last = (start, end) if window is None else ((start + end) // 2 - 30, (start + end) // 2 + 30)
        assert sequences[i] == text[100 + first : 100 + last]
    assert kept.all()
    assert [text.startswith(f"{len(odd)} of {n} peaks end after their contig") for text in warnings] == [True]


def test_only_peaks_whose_contig_is_there_count(fasta: Path) -> None:
    elsewhere = [f"chr9:{i}-{i + 50}" for i in range(500)]
    with pytest.raises(ValueError, match="2 of 502 peaks end after their contig"):
        fetch_sequences(fasta, Intervals.from_names([*elsewhere, *["chr1:970-1001"] * 2]), missing="n")


def test_inside_up_to_the_last_base(fasta: Path, warnings: list[str]) -> None:
    assert fetch_sequences(fasta, peaks(1, "chr1:950-1000"))[0].tolist() == [CONTIG[950:]]
    assert warnings == []


@pytest.mark.parametrize(
    ("name", "build", "fits"),
    [
        ("cao2018_a549_scicar_hg19_atac", "hg19", True),
        ("cao2018_a549_scicar_hg19_atac", "hg38", False),
        ("celllines_gm_hek_k562_h1_hg19", "hg19", True),
        ("celllines_gm_hek_k562_h1_hg19", "hg38", False),
        ("granja2019_bmmc_10x_hg19", "hg38", False),
        ("schep2017_cells12_c1_hg19", "hg38", False),
    ],
)
def test_real_peaks_on_contigs_as_long_as_in_another_build(
    shared_data: Path, tmp_path: Path, warnings: list[str], name: str, build: str, fits: bool
) -> None:
    from scllmda.genomics._fasta_fit import require_ends_inside

    with gzip.open(shared_data / "chain" / "hg19ToHg38.over.chain.gz", "rt") as file:
        chains = [line.split() for line in file if line.startswith("chain")]
    length = {chain[2]: int(chain[3]) for chain in chains} if build == "hg19" else {c[7]: int(c[8]) for c in chains}
    intervals = Intervals.from_names(read_h5ad(shared_data / f"{name}.h5ad", backed="r").var_names)
    of_contig = np.asarray([length.get(f"chr{c.removeprefix('chr')}", 0) for c in intervals.chrom])
    if fits:
        require_ends_inside(intervals, of_contig > 0, of_contig)
        assert len(warnings) == (intervals.end > of_contig)[of_contig > 0].any()
    else:
        with pytest.raises(ValueError, match="another genome build"):
            require_ends_inside(intervals, of_contig > 0, of_contig)
