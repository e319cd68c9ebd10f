from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


class Blocks(Protocol):
    """Cells × peaks as consecutive blocks of rows, read anew on every pass."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_peaks)."""

    def __iter__(self) -> Iterator[sp.csr_matrix]:
        """Pass over the rows once."""

    def take(self, cells: NDArray[np.intp]) -> Blocks:
        """Return some cells, at increasing positions."""


@dataclass(frozen=True)
class InMemory:
    """A matrix in memory as a single block."""

    X: sp.csr_matrix

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_peaks)."""
        return self.X.shape

    def __iter__(self) -> Iterator[sp.csr_matrix]:
        """Pass over the rows once."""
        yield self.X

    def take(self, cells: NDArray[np.intp]) -> InMemory:
        """Return some cells."""
        return InMemory(self.X[cells])


def with_rows(counts: Blocks) -> Iterator[tuple[slice, sp.csr_matrix]]:
    """Yield each block with the rows that it holds."""
    first = 0
    for X in counts:
        yield slice(first, first + X.shape[0]), X
        first += X.shape[0]
