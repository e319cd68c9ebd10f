"""What a fit holds beside the blocks of counts that it is working on."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from scllmda.factorisation import _blocks as blocks
from scllmda.factorisation import _held_out as held_out
from scllmda.factorisation import fit, margins

BLOCK, N_PEAKS, K = 200, 300, 64


@dataclass(frozen=True)
class Drawn:
    """Counts that are drawn anew whenever they are read, and stored nowhere."""

    n_cells: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_cells, N_PEAKS

    def __iter__(self) -> Iterator[sp.csr_matrix]:
        for first in range(0, self.n_cells, BLOCK):
            rng = np.random.default_rng(first)
            odds = np.where(np.arange(N_PEAKS) % 3 == rng.integers(3, size=(BLOCK, 1)), 0.15, 0.05)
            yield sp.csr_matrix(rng.random((BLOCK, N_PEAKS)) < odds, dtype=np.float32)


def peak_of_fit(counts: Drawn) -> int:
    """Return the most bytes allocated at a time while fitting."""
    expected = margins(counts)
    tracemalloc.start()
    with threadpool_limits(1):  # so that as many blocks are under way each time
        fit(counts, expected, K, rng=np.random.default_rng(0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_hardly_grows_with_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "MOST_CELLS", 200)
    monkeypatch.setattr(blocks, "MOST_KEPT", 0)
    peak_of_fit(Drawn(BLOCK))  # what is imported on the way is not of the cells
    few, many = 4_000, 12_000
    per_cell = (peak_of_fit(Drawn(many)) - peak_of_fit(Drawn(few))) / (many - few)
    embedding = 4 * K
    assert per_cell < 1.5 * embedding, "more than the embedding itself is kept of every cell"
