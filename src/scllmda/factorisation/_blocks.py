from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

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


def with_rows(counts: Blocks) -> Iterator[tuple[slice, sp.csr_matrix]]:
    """Yield each block of counts with the slice of the cells that it holds."""
    first = 0
    for X in counts:
        yield slice(first, first + X.shape[0]), X
        first += X.shape[0]
