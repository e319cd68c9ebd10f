from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._cells import Cells


@dataclass(frozen=True)
class Counts:
    """What a method's own representation is made of: all cells, and labels of the reference alone."""

    X: sp.csr_matrix
    """(n_cells, n_peaks) 1 where a peak is open, on peaks that are evidence in the reference and in the query."""
    labels: NDArray[np.integer]
    """(n_cells,) class codes; -1 marks the query."""
    rng: np.random.Generator
    batch: NDArray[np.integer] | None = None
    """(n_cells,) batch codes, read for reference cells only."""


@dataclass(frozen=True)
class Task:
    """What an annotator sees: all cells, and labels of the reference alone."""

    cells: Cells
    labels: NDArray[np.integer]
    """(n_cells,) class codes; -1 marks the query."""
    n_classes: int
    nearest: sp.csr_matrix
    """(n_cells, n_cells) from each cell to its nearest neighbors, within domains."""
    connectivities: sp.csr_matrix
    """(n_cells, n_cells) the same, symmetric: kNN graph."""
    ppmi: sp.csr_matrix
    """(n_cells, n_cells) PPMI graph, within domains."""
    rng: np.random.Generator
    batch: NDArray[np.integer] | None = None
    """(n_cells,) batch codes, read for reference cells only."""
    device: str = "cpu"
    n_neighbors: int = 15
    """That a cell is to have in the graphs, where there are enough cells."""

    @property
    def X(self) -> NDArray[np.floating]:
        """(n_cells, d) representation of reference and query cells."""
        return self.cells.X

    @property
    def query(self) -> NDArray[np.bool_]:
        """(n_cells,) True for cells to annotate."""
        return self.labels < 0

    @property
    def X_at_unit_scale(self) -> NDArray[np.floating]:
        """``X`` scaled as a whole to unit mean square: learning rates are published for features of that order."""
        return self.X / np.sqrt(np.mean(np.square(self.X, dtype=np.float64)))

    def in_order(self, reference: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return reference and query cells (n, k) as all cells in their order."""
        cells = np.empty((len(self.X), reference.shape[1]), dtype=np.float32)
        cells[~self.query], cells[self.query] = reference, query
        return cells

    @property
    def seed(self) -> int:
        """A seed for torch, drawn from ``rng``."""
        return int(self.rng.integers(2**31))


@dataclass(frozen=True)
class Result:
    """What an annotator returns."""

    proba: NDArray[np.floating]
    """(n_query, n_classes) probabilities."""
    aligned: NDArray[np.floating]
    """(n_cells, k) aligned representation of all cells."""
    history: Mapping[str, Any] = field(default_factory=dict)
    """Losses or fitted constants, numbers or lists of numbers."""
    as_query: NDArray[np.floating] | None = None
    """(n_reference, k): the reference cells in it as if they had the query's depths; None where that is no matter."""
    held_out: NDArray[np.floating] | None = None
    """(n_reference, n_classes): probabilities of reference cells by the others."""
