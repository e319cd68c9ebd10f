"""Islands, their classes and their positions, compared with dense computations."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from scllmda.genomics import Intervals, TranscriptionStarts
from scllmda.methods import SideCounts, Source, Task
from scllmda.methods.annatac._tokens import (
    IslandCells,
    Tokens,
    canonical,
    classes_of_openness,
    island_cells,
    positions,
)


class Sides(Source):
    """Counts of reference and query, each on its own peaks."""

    def __init__(self, *sides: SideCounts) -> None:
        self._sides = sides

    @property
    def sides(self) -> tuple[SideCounts, SideCounts]:
        return self._sides


def peaks(*names: str) -> Intervals:
    return Intervals.from_names(list(names))


def task_of(reference: SideCounts, query: SideCounts) -> Task:
    labels = np.zeros(len(reference.cells) + len(query.cells), dtype=int)
    labels[query.cells] = -1
    reads = frozenset({"sides"})
    return Task(Sides(reference, query), reads, np.arange(len(labels)), labels, 1, np.random.default_rng(0))


# Cells of both sides alternate. Bins of 100 bp; chr1 and 1 are the same.
REFERENCE = SideCounts(
    sp.csr_matrix(np.array([[1, 2, 0, 9, 0, 4], [0, 0, 3, 0, 1, 0]])),
    peaks("chr1:10-20", "chr1:30-40", "chr1:110-120", "chr2:10-20", "chr2:310-320", "chr10:10-20"),
    np.array([0, 2]),
)
QUERY = SideCounts(
    sp.csr_matrix(np.array([[7, 0, 1, 1], [0, 5, 0, 2]])),
    peaks("2:50-60", "1:70-80", "1:210-220", "2:330-360"),
    np.array([1, 3]),
)


def test_cells_are_compared_on_islands_of_both_sides() -> None:
    cells = island_cells(task_of(REFERENCE, QUERY), bin_size=100, tss=None, n_values=5)
    assert cells.names == ("1:0-100", "2:0-100", "2:300-400")
    # ⌈(1 + 2) / 2⌉ = 2 of the first cell's two peaks; 9 and 7 are above 5.
    np.testing.assert_array_equal(cells.values.toarray(), [[2, 5, 0], [0, 5, 1], [0, 0, 1], [5, 0, 2]])
    assert cells.values.dtype == np.uint8


def test_islands_hold_a_transcription_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scllmda.methods.annatac._tokens.require_same_genome", lambda *_: None)
    empty = np.array(["", ""])
    tss = TranscriptionStarts(np.array(["chr2", "chr1"]), np.array([399, 150]), np.array(["+", "-"]), empty)
    cells = island_cells(task_of(REFERENCE, QUERY), bin_size=100, tss=tss, n_values=5)
    assert cells.names == ("2:300-400",)


def test_no_island_left() -> None:
    with pytest.raises(
        ValueError, match=r"No island is left: of bins of 5 bp, 6 hold .* reference, 4 one of the query"
    ):
        island_cells(task_of(REFERENCE, QUERY), bin_size=5, tss=None, n_values=5)


def test_classes_of_openness() -> None:
    rng = np.random.default_rng(0)
    dense = rng.integers(0, 12, (20, 30)) * (rng.random((20, 30)) < 0.3)
    X = sp.csr_matrix(dense.astype(np.float32))
    np.testing.assert_array_equal(classes_of_openness(X, 5).toarray(), np.minimum(dense, 5))


def test_positions_are_the_singular_vectors() -> None:
    X = np.random.default_rng(0).poisson(0.5, (30, 20)).astype(float)
    _, S, Vt = np.linalg.svd(X, full_matrices=False)
    found = positions(sp.csr_matrix(X), 6)
    expected = Vt[:6].T * S[:6]
    expected /= np.sqrt(np.mean(expected**2))
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * signs, expected, atol=1e-4)
    np.testing.assert_array_equal(positions(sp.csr_matrix(X), 6), found)


def test_positions_of_few_cells_are_zero_beyond_their_rank() -> None:
    X = sp.csr_matrix(np.random.default_rng(0).poisson(1.0, (4, 20)).astype(float))
    found = positions(X, 6)
    assert found.shape == (20, 6)
    assert found[:, :3].any(axis=0).all()
    assert not found[:, 3:].any()


def test_tokens_do_not_collide() -> None:
    for n_values in (1, 5, 9):
        tokens = Tokens(n_values)
        ids = [*range(n_values + 1), tokens.mask, tokens.absent]
        assert sorted(set(ids)) == list(range(len(tokens)))


def test_the_most_open_islands_are_kept() -> None:
    X = canonical(sp.csr_matrix(np.array([[1, 0, 2, 1], [1, 0, 0, 3]], dtype=np.uint8)))
    kept = IslandCells(X, ("a", "b", "c", "d"), np.ones(4, dtype=bool)).most_open(3)
    assert kept.names == ("a", "c", "d")
    np.testing.assert_array_equal(kept.values.toarray(), [[1, 2, 1], [1, 0, 3]])


def test_islands_that_the_data_lack_have_a_token_of_their_own() -> None:
    X = canonical(sp.csr_matrix(np.array([[1, 0, 2], [0, 4, 0]], dtype=np.uint8)))
    placed = IslandCells(X, ("a", "b", "c"), np.ones(3, dtype=bool)).onto(["c", "x", "a"])
    assert placed.is_there.tolist() == [True, False, True]
    tokens = Tokens(5)
    np.testing.assert_array_equal(placed.tokens(np.array([0, 1]), tokens), [[2, 7, 1], [0, 7, 0]])
