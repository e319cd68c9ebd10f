"""Sets of open peaks: which are read, and of which side."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from tests.methods.epifoundation._cells import cells

from scllmda.genomics import Intervals
from scllmda.methods import SideCounts, Source, Task
from scllmda.methods.epifoundation._cells import PeakCells, peak_cells
from scllmda.methods.epifoundation._vocabulary import Vocabulary


class Sides(Source):
    """Counts of reference and query, each on its own peaks."""

    def __init__(self, *sides: SideCounts) -> None:
        self._sides = sides

    @property
    def sides(self) -> tuple[SideCounts, SideCounts]:
        return self._sides


def task(reference: list[str], query: list[str]) -> Task:
    """Return two cells of each, alternating, with the first of their peaks open and then the others."""
    sides = []
    for names, at in ((reference, [0, 2]), (query, [1, 3])):
        X = np.zeros((2, len(names)))
        X[0, 0], X[1, 1:] = 2, 1
        sides.append(SideCounts(sp.csr_matrix(X), Intervals.from_names(names), np.array(at)))
    labels = np.array([0, -1, 0, -1])
    return Task(Sides(*sides), frozenset({"sides"}), np.arange(4), labels, 1, np.random.default_rng(0))


def read(reference: list[str], query: list[str], known: list[str] | None = None) -> tuple[PeakCells, dict[str, float]]:
    vocabulary = None if known is None else Vocabulary.of_names(known)
    return peak_cells(task(reference, query), vocabulary, min_overlap=0.5, max_peaks=9, source="it")


def test_peaks_of_both_are_read() -> None:
    found, numbers = read(["chr1:0-100", "chr1:200-300", "chr2:0-100"], ["2:10-90", "1:0-90", "3:0-100"])
    assert found.vocabulary.names == ("1:0-100", "1:200-300", "2:0-100")
    # What the reference alone has, 1:200-300, tells the sides apart.
    np.testing.assert_array_equal(found.X.toarray(), [[1, 0, 0], [0, 0, 1], [0, 0, 1], [1, 0, 0]])
    assert numbers == {
        "n_vocabulary": 3,
        "n_peaks_of_both": 2,
        "n_peaks_reference": 3,
        "n_unknown_peaks_reference": 0,
        "share_of_counts_known_reference": 1.0,
        "n_peaks_query": 3,
        "n_unknown_peaks_query": 1,
        "share_of_counts_known_query": 0.75,
    }


def test_peaks_that_weights_know_are_read() -> None:
    known = ["1:0-100", "2:0-100", "4:0-100"]
    found, numbers = read(["chr1:0-100", "chr2:0-100"], ["2:10-90", "1:0-90"], known)
    assert found.vocabulary.names == tuple(known)
    assert (numbers["n_vocabulary"], numbers["n_peaks_of_both"]) == (3, 2)
    with pytest.raises(ValueError, match=r"Of the 3 peaks that it knows, the reference has 1 and the query 1, and non"):
        read(["chr1:0-100", "chr5:0-100"], ["2:10-90", "6:0-90"], known)


def test_sets_are_the_open_peaks() -> None:
    data, _ = cells()
    ids, lengths = data.sets(np.array([7, 3]))
    expected = [np.flatnonzero(data.X[i].toarray().ravel()) for i in (7, 3)]
    assert lengths.tolist() == [len(x) for x in expected]
    np.testing.assert_array_equal(ids, np.concatenate(expected))
    assert data.sets(np.zeros(0, dtype=int))[0].shape == (0,)


def test_of_too_many_peaks_always_the_same_are_read() -> None:
    data, _ = cells(max_peaks=5)
    ids, lengths = data.sets(np.arange(90))
    np.testing.assert_array_equal(data.sets(np.arange(90))[0], ids)
    assert (lengths == np.minimum(data.n_open, 5)).all()
    first = 0
    for cell, length in enumerate(lengths):
        mine, rank = np.flatnonzero(data.X[cell].toarray().ravel()), data.vocabulary.rank
        kept = ids[first : first + length]
        first += length
        assert set(kept) <= set(mine)
        assert rank[kept].max(initial=-1) <= rank[np.setdiff1d(mine, kept)].min(initial=10**6)


def test_in_training_they_are_drawn_anew() -> None:
    data, _ = cells(max_peaks=5)

    def drawn(epoch: int) -> np.ndarray:
        return data.sets(np.arange(90), lambda cell: np.random.default_rng([epoch, cell]))[0]

    np.testing.assert_array_equal(drawn(0), drawn(0))
    assert (drawn(0) != drawn(1)).any()
    # A cell's draw does not depend on the others.
    alone = data.sets(np.array([8]), lambda cell: np.random.default_rng([0, cell]))[0]
    first = int(data.sets(np.arange(8))[1].sum())
    np.testing.assert_array_equal(drawn(0)[first : first + len(alone)], alone)
