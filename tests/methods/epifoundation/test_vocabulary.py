"""Peaks that are known, and which of other data's peaks they are."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from scllmda.genomics import Intervals
from scllmda.methods.epifoundation._vocabulary import Vocabulary

KNOWN = Vocabulary.of(Intervals.from_names(["chr2:0-100", "chr1:500-600", "chr1:0-100", "chrX:0-50"]))


def place(names: list[str], counts: list[list[float]]) -> tuple[np.ndarray, list[bool], tuple[int, int, float]]:
    X, is_there, found = KNOWN.place(
        sp.csr_matrix(np.array(counts)),
        Intervals.from_names(names),
        min_overlap=0.5,
        what="query",
        source="the reference",
    )
    assert not np.any(X.data == 0)
    return X.toarray(), is_there.tolist(), (found.n_peaks, found.n_known, found.share_of_counts)


def test_ids_are_places_along_the_genome() -> None:
    assert KNOWN.names == ("1:0-100", "1:500-600", "2:0-100", "X:0-50")
    assert KNOWN.contigs == ("1", "2", "X")
    assert KNOWN.contig_of_peak.tolist() == [0, 0, 1, 2]
    again = Vocabulary.of_names(KNOWN.names)
    assert again.names == KNOWN.names
    assert again.contig_of_peak.tolist() == KNOWN.contig_of_peak.tolist()
    assert sorted(KNOWN.rank.tolist()) == [0, 1, 2, 3]
    np.testing.assert_array_equal(again.rank, KNOWN.rank)


def test_peaks_are_the_same_where_they_overlap() -> None:
    # Two halves of one peak, a shifted one, one that barely touches, one elsewhere; 1 and chr1 are the same.
    names = ["1:0-50", "1:50-100", "chr2:40-140", "chr1:590-700", "chr9:0-100"]
    X, is_there, numbers = place(names, [[1, 2, 0, 5, 2], [0, 0, 3, 0, 0], [0, 0, 0, 0, 4]])
    np.testing.assert_array_equal(X, [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    assert is_there == [True, False, True, False]
    assert numbers == (5, 3, pytest.approx(6 / 17))


def test_unknown_peaks_are_counted_and_said(warnings: list[str]) -> None:
    place(["chr1:0-100", "chr7:0-100", "chr8:0-100"], [[1, 8, 1]])
    assert [w for w in warnings if "1 of the 3 peaks of the query" in w and "with 10.0% of its counts" in w]


def test_no_peak_is_known() -> None:
    with pytest.raises(ValueError, match=r"No peak is the same among the query's \(such as 'chr7:0-100'\) and those"):
        place(["chr7:0-100"], [[1]])


def test_peaks_of_another_genome_are_known_by_chance_alone() -> None:
    rng = np.random.default_rng(0)

    def genome(n: int) -> Intervals:
        start = rng.integers(0, 200_000_000, n)
        return Intervals(np.array(["chr1", "chr2"])[rng.integers(0, 2, n)], start, start + 500)

    known, others = Vocabulary.of(genome(30_000)), genome(30_000)
    with pytest.raises(ValueError, match=r"of the peaks are the same among the data's .* would be by chance"):
        known.place(
            sp.csr_matrix((1, 30_000)), others, min_overlap=0.5, what="data", source="the checkpoint weights='a'"
        )
