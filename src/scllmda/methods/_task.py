from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


@dataclass(frozen=True)
class Counts:
    """What a method's own representation is made of: all cells, and labels of the reference alone."""

    X: sp.csr_matrix
    """(n_cells, n_peaks) 1 where a peak is open, on peaks that are open in the reference and in the query."""
    labels: NDArray[np.integer]
    """(n_cells,) class codes; -1 marks the query."""
    rng: np.random.Generator
    batch: NDArray[np.integer] | None = None
    """(n_cells,) batch codes, read for reference cells only."""


@dataclass(frozen=True)
class Task:
    """What an annotator sees: all cells, and labels of the reference alone."""

    X: NDArray[np.floating]
    """(n_cells, d) representation of reference and query cells."""
    labels: NDArray[np.integer]
    """(n_cells,) class codes; -1 marks the query."""
    n_classes: int
    connectivities: sp.csr_matrix
    """(n_cells, n_cells) kNN graph, within domains."""
    ppmi: sp.csr_matrix
    """(n_cells, n_cells) PPMI graph, within domains."""
    rng: np.random.Generator
    batch: NDArray[np.integer] | None = None
    """(n_cells,) batch codes, read for reference cells only."""
    device: str = "cpu"

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
