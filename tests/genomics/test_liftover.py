"""Lift-over against walking every chain base by base."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scllmda.genomics import Chains, Intervals, lift_over, read_chains

SIZE = 300

BLOCKS = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=5)
CHAINS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["chr1", "chr2"]),
        st.integers(0, 40),
        st.sampled_from(["chrA", "chrB"]),
        st.sampled_from("+-"),
        st.integers(0, 150),
        BLOCKS,
    ),
    min_size=1,
    max_size=4,
)
PEAKS = st.lists(
    st.tuples(st.sampled_from(["chr1", "1", "chr2", "chr3"]), st.integers(0, 90), st.integers(1, 25)), max_size=20
)


def written(chains: list) -> str:
    lines = []
    for score, contig, start, target, strand, target_start, blocks in chains:
        *gaps, (last, _, _) = blocks
        end, target_end = (
            s + last + sum(size + gap[k] for size, *gap in gaps) for k, s in [(0, start), (1, target_start)]
        )
        lines.append(
            f"chain {score} {contig} {SIZE} + {start} {end} {target} {SIZE} {strand} {target_start} {target_end} 1"
        )
        lines += [f"{size}\t{gap}\t{target_gap}" for size, gap, target_gap in gaps]
        lines += [str(last), ""]
    return "\n".join(lines)


def base_by_base(chains: list) -> dict[tuple[str, int], tuple[str, int, str]]:
    """Return where each base goes, by the best chain."""
    to: dict[tuple[str, int], tuple[str, int, str]] = {}
    # The best is walked last and overwrites the others; of equals the first is.
    for i in sorted(range(len(chains)), key=lambda i: (chains[i][0], -i)):
        _, contig, base, target, strand, target_base, blocks = chains[i]
        forward = list(range(SIZE)) if strand == "+" else list(reversed(range(SIZE)))
        for size, gap, target_gap in blocks:
            for _ in range(size):
                to[contig, base] = target, forward[target_base], strand
                base, target_base = base + 1, target_base + 1
            base, target_base = base + gap, target_base + target_gap
    return to


def one_by_one(chains: list, peaks: list) -> dict[int, str]:
    to, lifted = base_by_base(chains), {}
    for i, (contig, start, width) in enumerate(peaks):
        contig = f"chr{contig.removeprefix('chr')}"
        first, last = to.get((contig, start)), to.get((contig, start + width - 1))
        if first is None or last is None or (first[0], first[2]) != (last[0], last[2]):
            continue
        low, high = (first[1], last[1] + 1) if first[2] == "+" else (last[1], first[1] + 1)
        if width / 2 <= high - low <= 2 * width:
            lifted[i] = f"{first[0]}:{low}-{high}"
    return lifted


def intervals(peaks: list) -> Intervals:
    return Intervals.from_names([f"{contig}:{start}-{start + width}" for contig, start, width in peaks])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chains")


def read(folder: Path, text: str | bytes) -> Chains:
    file = folder / "aToB.over.chain"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_chains(file)


@settings(deadline=None, max_examples=150)
@given(CHAINS, PEAKS)
def test_same_as_base_by_base(folder: Path, chains: list, peaks: list) -> None:
    lifted, given_ = lift_over(intervals(peaks), read(folder, written(chains)))
    assert dict(zip(given_.tolist(), lifted.names().tolist(), strict=True)) == one_by_one(chains, peaks)


CHAIN = "chain 9 chr1 300 + 100 200 chr7 300 - 50 160 1\n40\t10\t20\n50\n"


def test_reverse_strand(folder: Path) -> None:
    lifted, given_ = lift_over(Intervals.from_names(["chr1:110-120", "1:99-120", "chr1:130-160"]), read(folder, CHAIN))
    # 50 on the reverse strand of 300 bases is 249; the gap of the last peak grows from 10 to 20 bases.
    assert lifted.names().tolist() == ["chr7:230-240", "chr7:180-220"]
    assert given_.tolist() == [0, 2]


@pytest.mark.parametrize(("width", "is_lifted"), [(20, False), (60, True)])
@pytest.mark.parametrize("grows", [True, False])
def test_width_changes_by_a_factor_of_two_at_most(folder: Path, width: int, is_lifted: bool, grows: bool) -> None:
    (gap, end), (target_gap, target_end) = [(1, 201), (41, 241)][:: 1 if grows else -1]
    chain = f"chain 9 chr1 900 + 100 {end} chr1 900 + 100 {target_end} 1\n50\t{gap}\t{target_gap}\n50\n"
    start = 150 - width // 2
    peak = Intervals.from_names([f"chr1:{start}-{start + width + gap - 1}"])
    _, given_ = lift_over(peak, read(folder, chain))
    assert len(given_) == is_lifted


@pytest.mark.parametrize(
    ("there", "lifted"),
    [
        (("chr1", "+", 500), ["chr1:495-505"]),
        (("chr2", "+", 500), []),
        (("chr1", "-", 395), []),
        (("chr1", "+", 391), []),
    ],
    ids=["moved", "other contig", "other strand", "other order"],
)
def test_halves_of_a_peak_in_two_chains(folder: Path, there: tuple[str, str, int], lifted: list[str]) -> None:
    first = "chain 9 chr1 900 + 100 200 chr1 900 + 400 500 1\n100\n\n"
    contig, strand, start = there
    second = f"chain 9 chr1 900 + 200 300 {contig} 900 {strand} {start} {start + 100} 2\n100\n"
    found, _ = lift_over(Intervals.from_names(["chr1:195-205"]), read(folder, first + second))
    assert found.names().tolist() == lifted


@pytest.mark.parametrize(
    "text",
    [
        f"#from A\n\n{CHAIN}\n# to B\n",
        CHAIN.replace("\n", "\r\n"),
        CHAIN.replace("\t", " "),
        CHAIN.replace(" 1\n", "\n"),
        CHAIN.rstrip(),
        CHAIN.replace("chain 9", "chain 9.5"),
    ],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_how_chain_files_are_written(folder: Path, text: str, compress: Callable[[bytes], bytes]) -> None:
    chains = read(folder, compress(text.encode()))
    assert chains.source.names().tolist() == ["chr1:100-140", "chr1:150-200"]
    assert chains.contig.tolist() == ["chr7", "chr7"]
    assert (chains.first.tolist(), chains.step.tolist()) == ([249, 189], [-1, -1])


def test_nothing_to_lift(folder: Path) -> None:
    lifted, given_ = lift_over(Intervals.from_names([]), read(folder, CHAIN))
    assert (len(lifted), len(given_)) == (0, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no chain file: its first line is ''"),
        ("chr1\t0\t100\n", r"no chain file: its first line is 'chr1\\t0\\t100'"),
        (b"\x89HDF\r\n\x1a\n\x00\xff", "no chain file"),
        (f"track\n{CHAIN}", "no chain file: its first line is 'track'"),
        (gzip.compress(CHAIN.encode(), mtime=0)[:-12], "Cannot decompress"),
        (gzip.compress(CHAIN.encode(), mtime=0)[:10] + b"nonsense", "Cannot decompress"),
        ("chain 9 chr1\n10\n", "Found 'chain 9 chr1'; expected at least 11 values"),
        (CHAIN.replace("+", "-"), "Found the strands '-' and '-'"),
        (CHAIN.replace("chr7 300 -", "chr7 300 x"), "Found the strands '\\+' and 'x'"),
        (CHAIN.replace("40\t10\t20", "40\t10"), "Found 3 numbers"),
        (CHAIN.replace("\n50\n", "\n"), "Found 3 numbers"),
        (CHAIN.replace("\n50\n", "\n49\n"), "end at 199 and 159; expected 200 and 160"),
        (CHAIN.replace("chr7 300", "chr7 150"), "expected 200 and 160, in the contig"),
        (CHAIN.replace("40\t10", "40\tten"), "holds a broken chain.*'ten'"),
        (CHAIN.replace("40\t10\t20", "0\t50\t60"), "holds a broken chain. 1 of 2 intervals are empty"),
    ],
)
def test_no_chain_file(folder: Path, text: str | bytes, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        read(folder, text)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"hg19ToHg38\.chain.*expected a UCSC chain file"):
        read_chains(str(tmp_path / "hg19ToHg38.chain"))
    with pytest.raises(FileNotFoundError, match="Found no file"):
        read_chains(tmp_path)


def test_many_blocks(folder: Path) -> None:
    rng = np.random.default_rng(0)
    size, gap = rng.integers(50, 500, 20_000), rng.integers(1, 20, 20_000)
    end = int((size + gap).sum() - gap[-1])
    blocks = "\n".join(f"{s}\t{g}\t0" for s, g in zip(size[:-1], gap[:-1], strict=True))
    text = f"chain 9 chr1 {end} + 0 {end} chr1 {end} + 0 {size.sum()} 1\n{blocks}\n{size[-1]}\n"
    starts, target_starts = np.cumsum(size + gap) - size - gap, np.cumsum(size) - size
    peaks = Intervals(np.repeat("chr1", len(size)), starts, starts + size)
    lifted, given_ = lift_over(peaks, read(folder, text))
    np.testing.assert_array_equal(given_, np.arange(len(size)))
    np.testing.assert_array_equal(lifted.start, target_starts)
    np.testing.assert_array_equal(lifted.width, size)
