"""The index beside a FASTA: it is trusted if it fits the file, not for its time stamp."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyfaidx import Faidx

from scllmda.genomics import Intervals, fetch_sequences

BASES = np.random.default_rng(0).choice(list("ACGT"), 400)
GENOME = {"chr1": "".join(BASES[:50]), "chr2": "".join(BASES[50:100]), "chr3": "".join(BASES[100:127])}
OTHER = {"chr1": "".join(BASES[200:243]), "chr2": "".join(BASES[250:311]), "chr3": "".join(BASES[320:347])}


def text_of(
    genome: dict[str, str], line: int = 12, newline: str = "\n", header: str = "", end: str = "\n", before: str = ""
) -> bytes:
    rows = []
    for name, bases in genome.items():
        rows += [f">{name}{header}", *(bases[i : i + line] for i in range(0, len(bases), line))]
    return (before + newline.join(rows) + end.replace("\n", newline)).encode()


def index_beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.fai")


def write(path: Path, text: bytes) -> Path:
    """Write a FASTA as cp -p, rsync, tar and downloads do, which keep an old time stamp."""
    path.write_bytes(text)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


def fetch(path: Path, genome: dict[str, str]) -> tuple[list[str], list[str]]:
    """Return sequences all over a genome, as read and as cut out of it by hand."""
    places = [
        (name, start, end)
        for name, bases in genome.items()
        for start in range(0, len(bases), 3)
        for end in (start + 1, min(start + 30, len(bases)))
    ]
    names = [f"{name}:{start}-{end}" for name, start, end in places]
    found = fetch_sequences(path, Intervals.from_names(names))[0].tolist()
    return found, [genome[name][start:end] for name, start, end in places]


def fresh_index(path: Path) -> bytes:
    """Return the index that pyfaidx makes of a FASTA that has none; before 0.9 it took comments for a contig None."""
    index = path.parent / "fresh.fai"
    Faidx(path, indexname=index).close()
    return b"".join(line for line in index.read_bytes().splitlines(True) if not line.startswith(b"None\t"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """FASTA whose index lies beside it and is younger."""
    path = write(tmp_path / "genome.fa", text_of(GENOME))
    assert np.equal(*fetch(path, GENOME)).all()
    assert index_beside(path).stat().st_mtime > path.stat().st_mtime
    return path


def assert_mended(path: Path, genome: dict[str, str], warnings: list[str]) -> None:
    """Check that a genome is read as it is now, that the user hears of it once, and that the index is right then."""
    for _ in range(2):
        found, expected = fetch(path, genome)
        assert found == expected
    assert len(warnings) == 1
    assert f"The index {str(index_beside(path))!r} does not fit its FASTA: " in warnings[0]
    assert index_beside(path).read_bytes() == fresh_index(path)


REPLACED = {
    "other headers": (GENOME, text_of(GENOME, header=" dna:chromosome another release")),
    "other genome": (OTHER, text_of(OTHER)),
    "swapped contigs of one length": (
        {name: GENOME[name] for name in ("chr2", "chr1", "chr3")},
        text_of({name: GENOME[name] for name in ("chr2", "chr1", "chr3")}),
    ),
    "as many bytes in longer lines": (GENOME, text_of(GENOME, line=11)),
    "one line per contig": (GENOME, text_of(GENOME, line=1000)),
    "Windows line ends": (GENOME, text_of(GENOME, newline="\r\n")),
    "another contig at the end": ({**GENOME, "chr4": "ACGT"}, text_of({**GENOME, "chr4": "ACGT"})),
    "another contig at the start": ({"chr4": "ACGT", **GENOME}, text_of({"chr4": "ACGT", **GENOME})),
    "without the last contig": (dict(list(GENOME.items())[:2]), text_of(dict(list(GENOME.items())[:2]))),
    "without the first contig": (dict(list(GENOME.items())[1:]), text_of(dict(list(GENOME.items())[1:]))),
    "a base more": ({**GENOME, "chr3": GENOME["chr3"] + "A"}, text_of({**GENOME, "chr3": GENOME["chr3"] + "A"})),
    "cut off in a line": (
        {**GENOME, "chr3": GENOME["chr3"][:-5]},
        text_of({**GENOME, "chr3": GENOME["chr3"][:-5]}, end=""),
    ),
    "an emptied contig": ({**GENOME, "chr2": ""}, text_of({**GENOME, "chr2": ""})),
    "other names": (
        {name.removeprefix("chr"): bases for name, bases in GENOME.items()},
        text_of({name.removeprefix("chr"): bases for name, bases in GENOME.items()}),
    ),
    "a name that goes on": ({"chr1.1": GENOME["chr1"]}, text_of({"chr1.1": GENOME["chr1"]})),
    "comments before it": (GENOME, text_of(GENOME, before="; the reference\n")),
}


@pytest.mark.parametrize("kind", REPLACED)
def test_a_fasta_replaced_by_one_that_is_older_than_the_index(path: Path, warnings: list[str], kind: str) -> None:
    genome, text = REPLACED[kind]
    write(path, text)
    assert_mended(path, genome, warnings)


def test_a_fasta_of_the_same_shape_needs_no_other_index(path: Path, warnings: list[str]) -> None:
    index = index_beside(path).read_bytes()
    genome = {name: bases[7:] + bases[:7] for name, bases in GENOME.items()}
    write(path, text_of(genome))
    found, expected = fetch(path, genome)
    assert found == expected
    assert (index_beside(path).read_bytes(), warnings) == (index, [])


BROKEN = {
    "empty": b"",
    "no text": b"\xff\xfe\x00",
    "no table": b"<html>Not found</html>\n",
    "of a FASTQ": b"chr1\t50\t6\t12\t13\t80\n",
    "a blank line": b"chr1\t50\t6\t12\t13\n\n",
    "no numbers": b"chr1\tlength\toffset\tbases\tbytes\n",
    "below 0": b"chr1\t50\t-6\t12\t13\n",
    "beyond all numbers": b"chr1\t" + b"9" * 30 + b"\t6\t12\t13\n",
    "lines without bases": b"chr1\t50\t6\t0\t1\n",
    "bytes short of bases": b"chr1\t50\t6\t12\t11\n",
    "no line ends": b"chr1\t50\t6\t12\t12\n",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_index_is_made_again(path: Path, warnings: list[str], kind: str) -> None:
    index_beside(path).write_bytes(BROKEN[kind])
    assert_mended(path, GENOME, warnings)


@pytest.mark.parametrize("column", [1, 2, 3, 4])
@pytest.mark.parametrize("row", [0, 1, 2])
@pytest.mark.parametrize("by", [-1, 1, 12, 10**9, 10**30])
def test_an_index_with_one_wrong_number_is_made_again(
    path: Path, warnings: list[str], row: int, column: int, by: int
) -> None:
    rows = [line.split("\t") for line in index_beside(path).read_text().splitlines()]
    rows[row][column] = str(int(rows[row][column]) + by)
    index_beside(path).write_text("".join("\t".join(line) + "\n" for line in rows))
    assert_mended(path, GENOME, warnings)


@pytest.mark.parametrize("rows", [[1, 2], [0, 2], [0, 1], [0, 0, 1, 2], [0, 1, 2, 2]])
def test_an_index_that_lacks_or_repeats_contigs_is_made_again(path: Path, warnings: list[str], rows: list[int]) -> None:
    lines = index_beside(path).read_text().splitlines(keepends=True)
    index_beside(path).write_text("".join(lines[row] for row in rows))
    assert_mended(path, GENOME, warnings)


def test_the_order_of_the_index_plays_no_part(path: Path, warnings: list[str]) -> None:
    index_beside(path).write_text(
        "".join(sorted(index_beside(path).read_text().splitlines(keepends=True), reverse=True))
    )
    found, expected = fetch(path, GENOME)
    assert found == expected
    assert warnings == []


def test_an_index_from_the_future_is_not_trusted(path: Path, warnings: list[str]) -> None:
    write(path, text_of(OTHER))
    os.utime(index_beside(path), (4_000_000_000, 4_000_000_000))
    assert_mended(path, OTHER, warnings)


def test_a_folder_in_the_place_of_the_index(path: Path) -> None:
    index_beside(path).unlink()
    index_beside(path).mkdir()
    found, expected = fetch(path, GENOME)
    assert found == expected
    assert sorted(path.parent.iterdir()) == [path, index_beside(path)]


def test_an_index_that_does_not_fit_stays_in_a_read_only_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, text_of(OTHER))
    index = index_beside(path).read_bytes()

    def refuse(**_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("scllmda.genomics._fasta_index.TemporaryDirectory", refuse)
    for _ in range(2):
        found, expected = fetch(path, OTHER)
        assert found == expected
    assert index_beside(path).read_bytes() == index


def test_the_index_beside_an_archive_is_not_that_of_the_unpacked_file(path: Path, warnings: list[str]) -> None:
    write(path, gzip.compress(text_of(OTHER), mtime=0))
    index = index_beside(path).read_bytes()
    found, expected = fetch(path, OTHER)
    assert found == expected
    assert (index_beside(path).read_bytes(), warnings) == (index, [])


def test_a_fasta_that_is_none_any_more(path: Path) -> None:
    for text in (b"", b"ACGT\n", text_of(GENOME) + b">chr1\nACGT\n"):
        write(path, text)
        with pytest.raises(ValueError, match=r"Cannot index .*genome\.fa.*Download it again"):
            fetch(path, GENOME)


@pytest.mark.parametrize(
    "text",
    [
        text_of(GENOME, end=""),
        text_of(GENOME, newline="\r\n", end=""),
        text_of(GENOME, line=1000, end=""),
        text_of(GENOME, end="\n\n"),
        text_of(GENOME, line=1),
        text_of({"chr0": "", **GENOME}),
        text_of({**GENOME, "chr4": ""}),
        text_of(GENOME, header=" a > b\t>c"),
        text_of(GENOME, before="; a comment\n\n"),
        text_of(GENOME).replace(b"\n>", b"\n\n>"),
    ],
)
def test_an_index_made_here_fits_ever_after(tmp_path: Path, warnings: list[str], text: bytes) -> None:
    path = write(tmp_path / "genome.fa", text)
    for _ in range(2):
        found, expected = fetch(path, GENOME)
        assert found == expected
    assert warnings == []


@pytest.mark.parametrize("end", ["\n" * 4, "\r\n\r\n\n"])
def test_blank_lines_at_the_end_fit_an_index_that_was_made_elsewhere(path: Path, warnings: list[str], end: str) -> None:
    write(path, text_of(GENOME, end=end))
    found, expected = fetch(path, GENOME)
    assert found == expected
    assert warnings == []


@pytest.mark.parametrize("place", ["chr1:13-20", "chr1:30-50"])
def test_bases_moved_to_another_line_are_refused_where_they_are_read(path: Path, place: str) -> None:
    # The header, the number of lines, their bytes, the first and the last line are as before.
    lines = text_of(GENOME).split(b"\n")
    lines[2:4] = [lines[2][:5], lines[2][5:] + lines[3]]
    write(path, b"\n".join(lines))
    assert fetch_sequences(path, Intervals.from_names(["chr1:0-12", "chr1:48-50", "chr2:0-50"]))[0].tolist() == [
        GENOME["chr1"][:12],
        GENOME["chr1"][48:],
        GENOME["chr2"],
    ]
    with pytest.raises(ValueError, match=rf"line ends at unforeseen places in {place} of .*delete the \.fai"):
        fetch_sequences(path, Intervals.from_names([place]))


genomes = st.dictionaries(st.sampled_from(["chr1", "chr2", "X"]), st.text("ACGT", min_size=1, max_size=30), min_size=1)
shapes = st.fixed_dictionaries(
    {
        "line": st.integers(1, 12),
        "newline": st.sampled_from(["\n", "\r\n"]),
        "header": st.sampled_from(["", " >d"]),
        "end": st.sampled_from(["", "\n"]),
    }
)


@settings(deadline=None)
@given(genomes, shapes, genomes, shapes)
def test_whatever_replaces_a_fasta_is_read_as_it_is(
    tmp_path_factory: pytest.TempPathFactory,
    first: dict[str, str],
    first_shape: dict[str, object],
    then: dict[str, str],
    then_shape: dict[str, object],
) -> None:
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    for genome, shape in ((first, first_shape), (then, then_shape)):
        write(path, text_of(genome, **shape))
        found, expected = fetch(path, genome)
        assert found == expected
