"""Best overlaps against a comparison of all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scllmda.genomics import Intervals, bare_contig, best_overlaps, compare_with_chance

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


CONTIG = 10_000_000


def scattered(n: int, rng: np.random.Generator, *, width: int = 500, n_contigs: int = 5) -> Intervals:
    start = rng.integers(0, CONTIG, n)
    return Intervals(np.char.add("chr", rng.integers(1, n_contigs + 1, n).astype(str)), start, start + width)


def shifted(given: Intervals, offset: int | np.ndarray) -> Intervals:
    return Intervals(given.chrom, given.start + offset, given.end + offset)


def some(given: Intervals, keep: np.ndarray) -> Intervals:
    return Intervals(given.chrom[keep], given.start[keep], given.end[keep])


def compared(query: Intervals, reference: Intervals, min_overlap: float = 0.5) -> tuple[float, bool]:
    overlaps = best_overlaps(query, reference, min_overlap=min_overlap) >= 0
    return compare_with_chance(query, reference, overlaps, min_overlap=min_overlap)


@pytest.mark.parametrize(("min_overlap", "reach"), [(0, 999), (0.5, 501), (1, 1)])
def test_what_chance_gives(min_overlap: float, reach: int) -> None:
    rng = np.random.default_rng(0)
    expected, _ = compared(scattered(20_000, rng), scattered(10_000, rng), min_overlap)
    # Starts of the reference are a Poisson process; any of them within reach overlaps enough.
    assert expected == pytest.approx(1 - np.exp(-10_000 * reach / (5 * CONTIG)), rel=0.1)


def test_other_places_are_chance_and_the_same_places_are_not() -> None:
    rng = np.random.default_rng(0)
    reference = scattered(5_000, rng)
    assert not compared(reference, reference)[1]
    assert not compared(shifted(reference, 200), reference)[1]
    assert compared(shifted(reference, 250_000), reference)[1]
    assert compared(scattered(5_000, rng), reference)[1]


def test_order_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    query, reference = scattered(3_000, rng), scattered(3_000, rng)
    expected = compared(query, reference)
    assert compared(some(query, rng.permutation(3_000)), some(reference, rng.permutation(3_000))) == expected


def test_a_share_of_the_peaks_in_common_is_enough() -> None:
    rng = np.random.default_rng(0)
    common, reference = scattered(600, rng), scattered(3_000, rng)
    parts = common, scattered(2_400, rng)
    query = Intervals(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("chrom", "start", "end")))
    parts = common, reference
    reference = Intervals(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("chrom", "start", "end"))
    )
    expected, is_chance = compared(query, reference)
    assert 0.02 < expected < 0.05
    assert not is_chance


def test_a_stretch_with_the_same_coordinates_does_not_decide() -> None:
    reference = scattered(20_000, np.random.default_rng(0), n_contigs=10)
    query = shifted(reference, np.where(reference.chrom == "chr3", 0, 250_000))
    overlaps = best_overlaps(query, reference, min_overlap=0.5) >= 0
    expected, is_chance = compare_with_chance(query, reference, overlaps, min_overlap=0.5)
    assert overlaps.mean() > 2 * expected / 1.5
    assert is_chance


@pytest.mark.parametrize("n", [1, 2, 5, 20, 100])
def test_few_peaks_are_not_judged(n: int) -> None:
    rng = np.random.default_rng(0)
    assert not compared(scattered(n, rng), scattered(1_000, rng))[1]
    assert not compared(scattered(1_000, rng), scattered(n, rng))[1]


@pytest.mark.parametrize("share", [1, 0.9, 0.5, 0.3])
def test_bins_that_tile_the_genome_are_not_judged(share: float) -> None:
    rng = np.random.default_rng(0)
    start = np.arange(0, CONTIG, 5_000)
    tiles = Intervals(np.repeat("chr1", len(start)), start, start + 5_000)
    query, reference = (some(tiles, rng.random(len(start)) < share) for _ in range(2))
    expected, is_chance = compared(query, reference)
    assert expected == pytest.approx(share, abs=0.1)
    assert not is_chance


def test_wide_intervals_do_not_meet_themselves_when_shifted() -> None:
    start = np.arange(0, 50 * CONTIG, 5_000_000)
    wide = Intervals(np.repeat("chr1", len(start)), start, start + 500_000)
    assert compared(wide, wide) == (0, False)


def test_nothing_to_compare() -> None:
    none, one = Intervals.from_names([]), Intervals.from_names(["chr1:0-100"])
    assert compared(none, one) == compared(one, none) == (0, False)
