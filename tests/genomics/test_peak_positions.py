"""Where the peaks of an object lie, by columns or names that may be wrong or contradict each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scllmda.genomics import peak_positions

NAMES = [f"chr1:{100 * i}-{100 * i + 60}" for i in range(20)]


def columns(names: list[str], chrom: str = "chrom") -> pd.DataFrame:
    parts = pd.Series(names).str.extract(r"(.*):(\d+)-(\d+)").set_axis([chrom, "start", "end"], axis=1)
    return parts.astype({"start": int, "end": int}).set_axis(pd.Index(names))


@pytest.mark.parametrize("chrom", ["chrom", "chr", "seqnames"])
def test_columns_are_taken_where_names_are_no_intervals(chrom: str) -> None:
    var = pd.DataFrame(
        {chrom: pd.Categorical(["2", "X"]), "start": pd.array([1, 5], dtype="Int64"), "end": ["3", "9"]},
        index=["a", "b"],
    )
    found = peak_positions(var)
    assert found.intervals.names().tolist() == ["2:1-3", "X:5-9"]
    assert found.remarks == ()


def test_names_are_taken_if_a_column_is_absent() -> None:
    var = pd.DataFrame({"chrom": ["chr2"], "start": [1]}, index=["chr1:7-8"])
    assert peak_positions(var).intervals.names().tolist() == ["chr1:7-8"]


def test_columns_are_taken_that_differ_from_names_by_a_base_or_a_prefix() -> None:
    var = columns(NAMES)
    var["start"] += 1
    var["chrom"] = "1"
    found = peak_positions(var)
    assert found.intervals.names()[:2].tolist() == ["1:1-60", "1:101-160"]
    assert found.remarks == ()


@pytest.mark.parametrize("n_apart", [1, 20])
@pytest.mark.parametrize("where", ["contig", "position"])
def test_names_are_taken_where_columns_contradict_them(n_apart: int, where: str) -> None:
    var = columns(NAMES, "chr")
    rows = var.index[:n_apart]
    if where == "contig":
        var.loc[rows, "chr"] = "chr7"
    else:
        var.loc[rows, ["start", "end"]] += 60
    found = peak_positions(var)
    assert found.intervals.names().tolist() == NAMES
    (remark,) = found.remarks
    assert f"{n_apart} of 20 peaks lie elsewhere by the columns .var['chr']" in remark
    assert "(first: 'chr1:0-60', at chr" in remark


def test_names_are_taken_where_columns_have_holes() -> None:
    var = columns(NAMES).astype({"start": object})
    var.loc[NAMES[3], "start"] = "NA"
    found = peak_positions(var)
    assert found.intervals.names().tolist() == NAMES
    assert "hold no position of 1 peaks" in found.remarks[0]


@pytest.mark.parametrize("bad", ["chr1-443-943.1", "chr1:500-500", "chr1:500-400", "GATA1", "", None, "chr1:0-60-1"])
def test_an_odd_name_is_left_out(bad: str | None) -> None:
    names = [*NAMES[:5], bad, *NAMES[5:]]
    found = peak_positions(pd.DataFrame(index=pd.Index(names, dtype=object)))
    assert found.rows.tolist() == [i for i in range(21) if i != 5]
    assert found.intervals.names().tolist() == NAMES
    assert np.flatnonzero(~found.is_known).tolist() == [5]
    assert f"1 of 21 peaks are no intervals by their names (first: {bad!r})" in found.remarks[0]


@pytest.mark.parametrize(("start", "end"), [(-5, 60), (60, 60), (np.nan, 60), ("x", 60)])
def test_an_odd_row_of_the_columns_is_left_out(start: object, end: object) -> None:
    var = columns(NAMES).astype({"start": object, "end": object})
    var.index = pd.Index([f"peak{i}" for i in range(20)])
    var.iloc[4, [1, 2]] = [start, end]
    found = peak_positions(var)
    assert found.rows.tolist() == [i for i in range(20) if i != 4]
    assert "(first: 'peak4')" in found.remarks[0]


def test_many_odd_names_are_refused_with_advice_that_works() -> None:
    var = pd.DataFrame(index=[*NAMES, *[f"GENE{i}" for i in range(5)]])
    with pytest.raises(ValueError, match=r"5 of 25 peaks are no intervals .*genes for example, leave them out"):
        peak_positions(var)
    kept = var[var.index.str.contains(r"[:_-][0-9]+[-_][0-9]+$")]
    assert peak_positions(kept).intervals.names().tolist() == NAMES


def test_names_that_are_no_intervals_at_all_have_no_position() -> None:
    found = peak_positions(pd.DataFrame(index=["a", "b"]))
    assert len(found.rows) == len(found.intervals) == 0
    assert found.is_known.tolist() == [False, False]
    assert found.remarks == ()


def test_no_peaks() -> None:
    assert peak_positions(pd.DataFrame()).n_peaks == 0
