"""Peak names and columns to intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scllmda.genomics import Intervals, bare_contig

CONTIGS = st.sampled_from(
    [
        "chr1",
        "1",
        "X",
        "chrM",
        "chr1_KI270706v1_random",
        "KI270706.1",
        "HLA-A",
        "scaffold_12",
        "GL-3_4.5",
        "chrUn-7",
        "HLA-DRB1*15:01:01:01",
    ]
)
POSITIONS = st.tuples(CONTIGS, st.integers(0, 10**10), st.integers(1, 10**6)).map(lambda p: (p[0], p[1], p[1] + p[2]))
FORMS = ["{}:{}-{}", "{}-{}-{}", "{}_{}_{}", "{}:{:,}-{:,}", "{}-{:,}-{:,}", "{}_{:,}_{:,}"]


@settings(deadline=None)
@given(st.lists(st.tuples(POSITIONS, st.sampled_from(FORMS)), max_size=20))
def test_names_in_every_form_are_read(peaks: list[tuple[tuple[str, int, int], str]]) -> None:
    intervals = Intervals.from_names([form.format(*position) for position, form in peaks])
    found = zip(intervals.chrom.tolist(), intervals.start.tolist(), intervals.end.tolist(), strict=True)
    assert list(found) == [position for position, _ in peaks]
    assert intervals.start.dtype == intervals.end.dtype == np.int64
    assert len(intervals) == len(peaks)
    assert intervals.width.tolist() == [end - start for (_, start, end), _ in peaks]
    assert intervals.names().tolist() == [FORMS[0].format(*position) for position, _ in peaks]
    assert Intervals.from_names(intervals.names()).names().tolist() == intervals.names().tolist()


@pytest.mark.parametrize(
    "name",
    [
        "chr1",
        "chr1:1",
        "chr1:-1-2",
        "chr1--1-2",
        ":1-2",
        "-1-2",
        "chr1:1,00-200",
        "chr1:1-2:+",
        "",
        "GATA1",
        "chr 1:1-2",
        "chr1:1.5-2",
        "chr1:1-2 ",
        "chr1:a-b",
        f"chr1:1-{10**18}",
        None,
        np.nan,
    ],
)
def test_names_that_are_no_intervals(name: object) -> None:
    with pytest.raises(
        ValueError, match=r"1 of 2 peak names are no intervals .*expected chr1:100-200.*\.var\['chrom'\]"
    ):
        Intervals.from_names(pd.Index(["chr1:1-2", name], dtype=object))


def test_only_the_first_bad_names_are_shown() -> None:
    with pytest.raises(ValueError, match=r"50 of 50 .*\(first: 'gene0', 'gene1', 'gene2'\)"):
        Intervals.from_names([f"gene{i}" for i in range(50)])


@pytest.mark.parametrize("name", ["chr1:5-5", "chr1:9-5"])
def test_empty_and_reversed_intervals(name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"1 of 2 intervals are empty or reversed \(first: {name}\); expected end > start"
    ):
        Intervals.from_names(["chr1:1-2", name])


def test_start_before_the_contig() -> None:
    with pytest.raises(ValueError, match=r"1 of 2 intervals start before .*\(first: chr1:-1-5\); expected start >= 0"):
        Intervals.from_columns(["chr1", "chr1"], [0, -1], [5, 5])


def test_arrays_of_different_lengths() -> None:
    with pytest.raises(ValueError, match="Found 2 contigs, 1 starts and 1 ends"):
        Intervals.from_columns(["chr1", "chr1"], [1], [2])


def test_no_intervals() -> None:
    assert len(Intervals.from_names([])) == len(Intervals.from_names([]).names()) == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chr1-1e+05-100500", "chr1:100000-100500"),
        ("chr1:99500-1e5", "chr1:99500-100000"),
        ("chr1_1.5E+06_1500600", "chr1:1500000-1500600"),
        ("HLA-DRB1*15:01:01:01:100-600", "HLA-DRB1*15:01:01:01:100-600"),
        ("atac:chr1:1-2", "atac:chr1:1-2"),
    ],
)
def test_names_of_r_and_contigs_with_colons(name: str, expected: str) -> None:
    assert Intervals.from_names([name]).names().tolist() == [expected]


@pytest.mark.parametrize("name", ["chr1-1.23e+01-50", "chr1-1e+100-50"])
def test_powers_that_are_no_positions(name: str) -> None:
    with pytest.raises(ValueError, match="1 of 1 peak names are no intervals"):
        Intervals.from_names([name])


@pytest.mark.parametrize("bad", ["one", 1.5, np.nan, np.inf])
@pytest.mark.parametrize("column", ["start", "end"])
def test_positions_that_are_no_whole_numbers(column: str, bad: object) -> None:
    positions: dict[str, list[object]] = {"start": [1, 2], "end": [3, 4]}
    positions[column][1] = bad
    with pytest.raises(ValueError, match=rf"1 of 2 values of '{column}' are no whole numbers .*Convert the column"):
        Intervals.from_columns(["chr1"] * 2, **positions)


def test_missing_contigs() -> None:
    with pytest.raises(ValueError, match="1 of 2 peaks have no contig"):
        Intervals.from_columns(["chr1", None], [1, 1], [2, 2])


def test_bare_contig() -> None:
    names = ["chr1", "1", "chrX", "chrM", "M", "MT", "chrMT", "chr1_KI270706v1_random", "GL000194.1"]
    assert [bare_contig(name) for name in names] == [
        *["1", "1", "X", "MT", "MT", "MT", "MT", "1_KI270706v1_random", "GL000194.1"]
    ]
