"""Sequences from a FASTA."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from anndata import read_h5ad
from hypothesis import given, settings
from hypothesis import strategies as st
from pyfaidx import Fasta

from scllmda.genomics import Intervals, fetch_sequences

GENOME = {"chr1": "ACGTacgtNNrykmGATTACA", "chr2": "TTTTTGGGGG", "MT": "GATTACA"}


def write_fasta(path: Path, genome: dict[str, str] = GENOME, *, line: int = 6, newline: str = "\n") -> Path:
    rows = []
    for name, sequence in genome.items():
        rows += [f">{name} a description", *(sequence[i : i + line] for i in range(0, len(sequence), line))]
    path.write_bytes((newline.join(rows) + newline).encode())
    return path


def gzipped(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return packed


def bgzipped(path: Path) -> Path:
    """Several gzip members, the last one empty: what bgzip writes."""
    packed, content = path.with_name(f"{path.name}.bgz"), path.read_bytes()
    packed.write_bytes(b"".join(gzip.compress(content[i : i + 10], mtime=0) for i in range(0, len(content) + 10, 10)))
    return packed


def without_suffix(path: Path) -> Path:
    return gzipped(path).rename(path.with_name("packed"))


def fetch(path: Path, names: list[str], **kwargs: object) -> list[str]:
    return fetch_sequences(path, Intervals.from_names(names), **kwargs)[0].tolist()


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "genome.fa")


def test_sequences(fasta: Path) -> None:
    sequences, kept = fetch_sequences(fasta, Intervals.from_names(["chr2:4-6", "chr1:0-21", "chr1:4-8", "chr2:0-10"]))
    assert sequences.tolist() == ["TG", "ACGTACGTNNNNNNGATTACA", "ACGT", "TTTTTGGGGG"]
    assert sequences.dtype == object
    assert kept.tolist() == [True] * 4


@pytest.mark.parametrize("packed", [gzipped, bgzipped, without_suffix])
def test_compressed(fasta: Path, packed: Callable[[Path], Path]) -> None:
    path = packed(fasta)
    fasta.unlink()
    assert fetch(path, ["chr1:14-21", "chr2:4-6"]) == ["GATTACA", "TG"]
    assert list(path.parent.iterdir()) == [path], "nothing is left beside it"


def test_temporary_files_go(fasta: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = fasta.parent / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    fetch(gzipped(fasta), ["chr1:0-3"])
    with pytest.raises(ValueError, match="lacks"):
        fetch(gzipped(fasta), ["chr9:0-3"])
    assert list(scratch.iterdir()) == []


def test_windows_line_ends(tmp_path: Path) -> None:
    assert fetch(write_fasta(tmp_path / "genome.fa", newline="\r\n"), ["chr1:4-18"]) == ["ACGTNNNNNNGATT"]


@pytest.mark.parametrize(
    ("name", "window", "expected"),
    [
        ("chr2:0-2", 4, "NTTT"),
        ("chr2:8-10", 4, "GGGN"),
        ("chr2:4-6", 1, "G"),
        ("chr2:3-6", 3, "TTG"),
        ("chr2:0-10", 16, "NNNTTTTTGGGGGNNN"),
        ("MT:0-1", 30, "N" * 15 + "GATTACA" + "N" * 8),
    ],
)
def test_window(fasta: Path, name: str, window: int, expected: str) -> None:
    assert fetch(fasta, [name], window=window) == [expected]


@pytest.mark.parametrize("names", [["1:0-4", "2:0-4", "chrM:0-4"], ["chr1:0-4", "chr2:0-4", "M:0-4"]])
def test_contig_aliases(fasta: Path, names: list[str]) -> None:
    assert fetch(fasta, names) == ["ACGT", "TTTT", "GATT"]


def test_the_exact_contig_comes_before_its_alias(tmp_path: Path) -> None:
    path = write_fasta(tmp_path / "genome.fa", {"chr1": "AAAA", "1": "CCCC"})
    assert fetch(path, ["1:0-4", "chr1:0-4"]) == ["CCCC", "AAAA"]


@st.composite
def genome_and_peaks(draw: st.DrawFn) -> tuple[dict[str, str], int, list[tuple[str, int, int]]]:
    genome = draw(
        st.dictionaries(
            st.sampled_from(["chr1", "2", "chrX", "KI270706.1"]),
            st.text("ACGTacgtNnRYx", min_size=1, max_size=40),
            min_size=1,
        )
    )
    peaks = []
    for _ in range(draw(st.integers(0, 12))):
        name = draw(st.sampled_from(sorted(genome)))
        start = draw(st.integers(0, len(genome[name]) - 1))
        peaks.append((name, start, draw(st.integers(start + 1, len(genome[name])))))
    return genome, draw(st.integers(1, 12)), peaks


@settings(deadline=None)
@given(genome_and_peaks(), st.none() | st.integers(1, 60))
def test_same_as_one_peak_at_a_time(tmp_path_factory: pytest.TempPathFactory, case: tuple, window: int | None) -> None:
    genome, line, peaks = case
    path = write_fasta(tmp_path_factory.mktemp("genome") / "genome.fa", genome, line=line)
    expected = []
    with Fasta(path, as_raw=True) as contigs:
        for name, start, end in peaks:
            first = start if window is None else (start + end) // 2 - window // 2
            last = end if window is None else first + window
            bases = contigs[name][max(first, 0) : min(last, len(genome[name]))].upper()
            assert bases == genome[name][max(first, 0) : last].upper()
            known = "".join(base if base in "ACGT" else "N" for base in bases)
            expected.append("N" * max(-first, 0) + known + "N" * max(last - len(genome[name]), 0))
    intervals = Intervals.from_names([f"{name}:{start}-{end}" for name, start, end in peaks])
    found, kept = fetch_sequences(path, intervals, window=window)
    assert found.tolist() == expected
    assert kept.tolist() == [True] * len(peaks)


ABSENT = ["chr2:0-3", "chr9:5-9", "chr1:0-3", "chrUn_7:1-2", "chr9:1-2"]


def test_absent_contigs_raise(fasta: Path) -> None:
    expected = (
        r"3 of 5 peaks lie on 2 contigs that the FASTA lacks \(chr9, chrUn_7\); it has 3 contigs \(chr1, chr2, MT\)"
    )
    with pytest.raises(ValueError, match=expected):
        fetch(fasta, ABSENT)


@pytest.mark.parametrize(("window", "unknown"), [(None, ["NNNN", "N", "N"]), (2, ["NN"] * 3)])
def test_absent_contigs_become_n(fasta: Path, window: int | None, unknown: list[str]) -> None:
    sequences, kept = fetch_sequences(fasta, Intervals.from_names(ABSENT), window=window, missing="n")
    assert sequences[[1, 3, 4]].tolist() == unknown
    assert sequences[[0, 2]].tolist() == (["TTT", "ACG"] if window is None else ["TT", "AC"])
    assert kept.all()


def test_absent_contigs_are_dropped(fasta: Path) -> None:
    sequences, kept = fetch_sequences(fasta, Intervals.from_names(ABSENT), missing="drop")
    assert sequences.tolist() == ["TTT", "ACG"]
    assert kept.tolist() == [True, False, True, False, False]


def test_index_is_kept_beside_the_fasta(fasta: Path) -> None:
    fetch(fasta, ["chr1:0-3"])
    index = fasta.with_name("genome.fa.fai")
    assert sorted(fasta.parent.iterdir()) == [fasta, index]
    assert index.read_text().splitlines()[0] == "chr1\t21\t20\t6\t7"
    written = index.stat().st_mtime_ns
    fetch(fasta, ["chr1:0-3"])
    assert index.stat().st_mtime_ns == written, "a fresh index is not written again"


def test_stale_index_is_renewed(fasta: Path) -> None:
    fetch(fasta, ["chr1:0-3"])
    os.utime(fasta.with_name("genome.fa.fai"), (0, 0))
    write_fasta(fasta, {"chr2": "CCCCC"})
    assert fetch(fasta, ["chr2:0-5"]) == ["CCCCC"]


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX users")
def test_read_only_folder() -> None:
    with TemporaryDirectory() as folder:
        fasta = write_fasta(Path(folder, "genome.fa"))
        Path(folder).chmod(0o555)
        user = os.geteuid()
        try:
            if user == 0:  # root may write everywhere, nobody may not
                os.seteuid(65534)
            assert fetch(fasta, ["chr1:0-3"]) == ["ACG"]
        finally:
            os.seteuid(user)
            Path(folder).chmod(0o755)
        assert list(Path(folder).iterdir()) == [fasta]


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Found no FASTA at '.*hg38\.fa'"):
        fetch(tmp_path / "hg38.fa", ["chr1:0-3"])


def test_home_folder(fasta: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(fasta.parent))
    assert fetch(Path("~/genome.fa"), ["chr1:0-3"]) == ["ACG"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "Cannot index"),
        ("ACGT\n", "Cannot index"),
        (">chr1\nAC\n>chr1\nAC\n", "Duplicate key"),
        (">chr1\nAC\nACGT\nA\n", "not consistent"),
        (">chr1\nAC\nACGT\n", "the lines of contig 'chr1' are not 2 bases long"),
        (">chr1\nACGT\nAC\n\n\n\n", "without blank lines"),
        (">chr1\nACGT\nA\n\nACGT\n", "without blank lines"),
        (">chr1\nACGT\nACG\r\nACGT\n", "Cannot index"),
        (">chr1\nACGT\n>chr2", "expected the header line of contig 'chr2' to end"),
        (">chr1\rACGT\r", "expected the header line of contig 'chr1' to end"),
        ("\x1f\x1f\x80\n", "Cannot index"),
    ],
)
def test_no_fasta(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "genome.fa"
    path.write_text(content)
    with pytest.raises(ValueError, match=expected) as error:
        fetch(path, ["chr1:0-1"])
    assert "Expected a FASTA with unique contig names" in str(error.value)


@pytest.mark.parametrize("window", [None, 9])
def test_every_code_of_a_nucleotide_is_read(tmp_path: Path, window: int | None) -> None:
    codes = "ACGTURYSWKMBDHVNX-"
    path = write_fasta(tmp_path / "genome.fa", {"chr1": codes + codes.lower()}, line=7)
    known = ("ACGT" + "N" * 14) * 2
    middle = slice(0, 36) if window is None else slice(14, 23)
    assert fetch(path, ["chr1:0-36"], window=window) == [known[middle]]


PROTEIN = "MEEPQSDPSVEPPLSQETFSDLWKLLPENNVLSPLPSQAMDDLMLSPDDIEQWFTEDPGPDEAPRMPEAA"


@pytest.mark.parametrize("packed", [Path, gzipped])
def test_proteins_are_refused(tmp_path: Path, packed: Callable[[Path], Path]) -> None:
    path = packed(write_fasta(tmp_path / "proteins.fa", {"TP53": PROTEIN}))
    with pytest.raises(ValueError, match=r"Found 'E' in TP53:0-70 of .*proteins\.fa.*not of proteins"):
        fetch(path, ["TP53:36-38"])


@pytest.mark.parametrize("letter", [*"EFILPQZJO*.?0 ", "\t", "\x00"])
def test_what_is_no_nucleotide_is_refused_where_it_is_read(tmp_path: Path, letter: str) -> None:
    bases = "ACGT" * 600
    path = write_fasta(tmp_path / "genome.fa", {"chr1": bases[:2001] + letter + bases[2002:]}, line=2500)
    assert fetch(path, ["chr1:1990-2001"]) == [bases[1990:2001]]
    with pytest.raises(ValueError, match=r"in chr1:1990-2002 of .*genome\.fa.*; expected IUPAC codes"):
        fetch(path, ["chr1:1990-2002"])


@pytest.mark.parametrize("blank", [" ", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_blanks_at_line_ends_are_refused(tmp_path: Path, blank: str, newline: str) -> None:
    path = write_fasta(tmp_path / "genome.fa", GENOME, newline=blank + newline)
    with pytest.raises(ValueError, match=r"in chr2:0-\d+ of .*genome\.fa.*take blanks out of one with sed"):
        fetch(path, ["chr2:0-2"])


@pytest.mark.parametrize("content", [b">chr1\nACGT\n", gzip.compress(b">chr1\nACGT\n" * 99, mtime=0)[:-9]])
def test_broken_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="Expected a complete gzip or bgzip file"):
        fetch(path, ["chr1:0-1"])


@pytest.mark.parametrize("bad", [{"missing": "ignore"}, {"window": 0}, {"window": -5}])
def test_bad_parameters(tmp_path: Path, bad: dict) -> None:
    with pytest.raises(ValueError, match=r"Found (missing|window)=.*expected"):
        fetch(tmp_path / "never-read.fa", ["chr1:0-3"], **bad)


def test_real_genome(shared_data: Path) -> None:
    path = shared_data / "hg19_chr20_9.995-11.095Mb.fa.gz"
    text = "".join(gzip.decompress(path.read_bytes()).decode().split("\n")[1:]).upper()
    start = np.random.default_rng(0).integers(9_990_000, 11_100_000, 300)
    end = start + 501
    sequences, _ = fetch_sequences(path, Intervals.from_columns(["20"] * 300, start, end), window=256)
    expected = [text[(a + b) // 2 - 128 : (a + b) // 2 + 128] for a, b in zip(start, end, strict=True)]
    assert sequences.tolist() == expected
    assert len(set(sequences)) > 250


def test_ten_thousand_random_intervals(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    genome = {
        name: "".join(rng.choice(list("ACGTacgtN"), n)) for name, n in [("chr1", 20_011), ("2", 7_001), ("X", 60)]
    }
    path = write_fasta(tmp_path / "genome.fa", genome, line=60)
    names = rng.choice(list(genome), 12_000)
    length = np.asarray([len(genome[name]) for name in names])
    start = rng.integers(0, length)
    end = start + rng.integers(1, np.minimum(length - start, 900) + 1)
    # Both ends of a contig, single bases, and whole contigs.
    start[:300], end[300:600], end[600:900] = 0, length[300:600], start[600:900] + 1
    start[900:1000], end[900:1000] = 0, length[900:1000]
    with Fasta(path, as_raw=True) as contigs:
        expected = [contigs[name][a:b].upper() for name, a, b in zip(names, start.tolist(), end.tolist(), strict=True)]
    assert fetch_sequences(path, Intervals.from_columns(names, start, end))[0].tolist() == expected


def gc_rich_peaks(path: Path, n: int = 120) -> tuple[Path, np.ndarray]:
    """Write a genome of which only the peaks are rich in G and C, and return their starts."""
    rng = np.random.default_rng(0)
    text = rng.choice(list("ACGT"), 700 * (n + 40), p=[0.35, 0.15, 0.15, 0.35])
    start = 700 * (np.arange(n) + 20)
    text[start[:, None] + np.arange(200)] = rng.choice(list("ACGT"), (n, 200))
    return write_fasta(path, {"chr1": "".join(text)}, line=60), start


@pytest.mark.parametrize(("shift", "n", "warned"), [(0, 120, 0), (350, 120, 1), (350, 90, 0)])
def test_peaks_no_richer_in_gc_than_their_surroundings(
    tmp_path: Path, warnings: list[str], shift: int, n: int, warned: int
) -> None:
    path, start = gc_rich_peaks(tmp_path / "genome.fa", n)
    start = start + shift
    fetch_sequences(path, Intervals.from_columns(["1"] * n, start, start + 200))
    assert len(warnings) == warned
    assert all("of 120 peaks looked at are richer in G and C" in text for text in warnings)


@pytest.fixture(scope="module")
def real_genome(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three stretches of hg19, a megabase each."""
    path = tmp_path_factory.mktemp("hg19") / "hg19.fa"
    parts = ["hg19_chr20_9.995-11.095Mb.fa.gz", "hg19_chr1_chr17_first1Mb.fa.gz"]
    path.write_bytes(b"".join(gzip.decompress((shared_data / part).read_bytes()) for part in parts))
    return path


@pytest.mark.parametrize(("shift", "warned"), [(0, False), (50_000, True), (200_000, True), (800_000, True)])
def test_real_peaks_where_another_build_would_have_them(
    shared_data: Path, real_genome: Path, warnings: list[str], shift: int, warned: bool
) -> None:
    data = ["cao2018_a549_scicar_hg19_atac", "celllines_gm_hek_k562_h1_hg19", "granja2019_bmmc_10x_hg19"]
    peaks = [Intervals.from_names(read_h5ad(shared_data / f"{name}.h5ad", backed="r").var_names) for name in data]
    chrom, start, end = (np.concatenate([getattr(p, part) for p in peaks]) for part in ("chrom", "start", "end"))
    known_from = np.where(chrom == "chr20", 9_995_000, 0)
    known = np.isin(chrom, ["chr1", "chr17", "chr20"]) & (start >= known_from) & (end < known_from + 1_000_000)
    width, known_from = (end - start)[known], known_from[known]
    moved = known_from + (start[known] - known_from + shift) % 995_000
    fetch_sequences(real_genome, Intervals.from_columns(chrom[known], moved, moved + width))
    assert len(warnings) == warned
