from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


class Blocks(Protocol):
    """Counts (cells × peaks) as consecutive blocks of rows, which may be read from disk again on every pass."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_peaks)."""

    def __iter__(self) -> Iterator[sp.csr_matrix]:
        """Yield the blocks, from the first cell to the last."""

    def take(self, cells: NDArray[np.intp]) -> Blocks:
        """Return the counts of some cells; ``cells`` are their positions, in increasing order."""


@dataclass(frozen=True)
class InMemory:
    """Counts in memory, as a single block."""

    X: sp.csr_matrix

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_peaks)."""
        return self.X.shape

    def __iter__(self) -> Iterator[sp.csr_matrix]:
        """Yield the one block."""
        yield self.X

    def take(self, cells: NDArray[np.intp]) -> InMemory:
        """Return the counts of some cells, by their positions."""
        return InMemory(self.X[cells])


MOST_KEPT = 2**26
"""Largest number of non-zero counts of which a copy in another order is kept in memory: .5 GB, at 8 bytes per count
(value and row)."""


class Converted:
    """Counts in blocks of another form, which are kept for further passes if the counts are few enough.

    Parameters
    ----------
    counts
        (n_cells, n_peaks).
    convert
        To the other form.
    most_kept
        Largest number of non-zero counts that are kept.
    """

    def __init__(self, counts: Blocks, convert: Callable[[sp.csr_matrix], Any], most_kept: int) -> None:
        self.by_cell = counts
        self._convert, self._most_kept = convert, most_kept
        self._kept: list[Any] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_peaks)."""
        return self.by_cell.shape

    def __iter__(self) -> Iterator[Any]:
        """Yield the blocks, from the first cell to the last."""
        if self._kept is not None:
            yield from self._kept
            return
        passed, n_counts = [], 0
        for X in self.by_cell:
            n_counts += X.nnz
            X = self._convert(X)  # here, so that the threads that work on it do not hold it twice
            if n_counts <= self._most_kept:
                passed.append(X)
            yield X
        if n_counts <= self._most_kept:
            self._kept = passed


class ByPeak(Converted):
    """The same counts, each block stored by peaks (CSC), so that products with dense matrices are quick.

    By peaks, the vector of a peak is read once for all cells of a block, whose vectors fit a processor's cache; by
    cells, vectors of peaks are read from all over memory. On 8,000 cells × 100,000 peaks and 128 dimensions the two
    products of a pass take .4 s that way, and 1.6 s the other.
    """

    def __init__(self, counts: Blocks) -> None:
        super().__init__(counts, lambda X: X.tocsc(), MOST_KEPT)


def with_rows(counts: Iterable[Any]) -> Iterator[tuple[slice, Any]]:
    """Yield each block of counts with the slice of the cells that it holds."""
    first = 0
    for X in counts:
        yield slice(first, first + X.shape[0]), X
        first += X.shape[0]
