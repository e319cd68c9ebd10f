"""Best overlaps against a comparison of all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scllmda.genomics import Intervals, bare_contig, best_overlaps

PEAKS = st.lists(
    st.tuples(st.sampled_from(["chr1", "1", "chr2", "chrM", "MT"]), st.integers(0, 40), st.integers(1, 15)), max_size=25
)


def intervals(peaks: list[tuple[str, int, int]]) -> Intervals:
    return Intervals.from_names([f"{chrom}:{start}-{start + width}" for chrom, start, width in peaks])


def best_of_all_pairs(query: Intervals, reference: Intervals, min_overlap: float) -> list[int]:
    best = []
    for i in range(len(query)):
        candidates = [(0.0, 0.0, 0, -1)]
        for j in range(len(reference)):
            shared = min(query.end[i], reference.end[j]) - max(query.start[i], reference.start[j])
            same_contig = bare_contig(query.chrom[i]) == bare_contig(reference.chrom[j])
            narrower = min(query.width[i], reference.width[j])
            if same_contig and shared > 0 and shared / narrower >= min_overlap:
                candidates.append((-shared, reference.width[j], j, j))
        best.append(min(candidates)[-1])
    return best


@settings(deadline=None)
@given(PEAKS, PEAKS, st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]))
def test_same_as_all_pairs(query: list, reference: list, min_overlap: float) -> None:
    found = best_overlaps(intervals(query), intervals(reference), min_overlap=min_overlap)
    assert found.dtype == np.int64
    assert found.tolist() == best_of_all_pairs(intervals(query), intervals(reference), min_overlap)


@settings(deadline=None)
@given(PEAKS)
def test_an_interval_overlaps_itself_best(peaks: list) -> None:
    peaks = list(dict.fromkeys((bare_contig(chrom), start, width) for chrom, start, width in peaks))
    found = best_overlaps(intervals(peaks), intervals(peaks), min_overlap=1.0)
    assert found.tolist() == list(range(len(peaks)))


def test_touching_intervals_do_not_overlap() -> None:
    query = Intervals.from_names(["chr1:10-20", "chr2:0-10"])
    assert best_overlaps(query, Intervals.from_names(["chr1:20-30", "chr1:0-10"]), min_overlap=0).tolist() == [-1, -1]


@pytest.mark.parametrize(("min_overlap", "expected"), [(0.5, 0), (0.51, -1)])
def test_min_overlap_is_a_share_of_the_narrower(min_overlap: float, expected: int) -> None:
    query, reference = Intervals.from_names(["chr1:100-200"]), Intervals.from_names(["chr1:150-1000"])
    assert best_overlaps(query, reference, min_overlap=min_overlap).tolist() == [expected]
    assert best_overlaps(reference, query, min_overlap=min_overlap).tolist() == [expected]


def test_the_first_of_equals() -> None:
    query = Intervals.from_names(["chr1:100-200"])
    assert best_overlaps(query, Intervals.from_names(["1:150-250", "1:50-150"]), min_overlap=0.5).tolist() == [0]
