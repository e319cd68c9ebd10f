from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import scipy.sparse as sp


class Blocks(Protocol):
    """Cells × peaks as consecutive blocks of rows, read anew on every pass."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_peaks)."""

    def __iter__(self) -> Iterator[sp.csr_matrix]:
        """Pass over the rows once."""


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


def with_rows(counts: Blocks) -> Iterator[tuple[slice, sp.csr_matrix]]:
    """Yield each block with the rows that it holds."""
    first = 0
    for X in counts:
        yield slice(first, first + X.shape[0]), X
        first += X.shape[0]
