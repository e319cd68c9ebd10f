"""Cells as sets of open peaks: which peaks, and how many of them are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._task import Task
from ._vocabulary import Coverage, Vocabulary


@dataclass(frozen=True)
class PeakCells:
    """Cells on the peaks of a vocabulary."""

    X: sp.csr_matrix
    """(n_cells, n_vocabulary) ones where a peak is open; columns in order, no zeros stored."""
    vocabulary: Vocabulary
    max_peaks: int
    """Of a cell that are read."""

    def __len__(self) -> int:
        """Return the number of cells."""
        return self.X.shape[0]

    @property
    def n_open(self) -> NDArray[np.integer]:
        """(n_cells,) open peaks of the vocabulary."""
        return np.diff(self.X.indptr)

    def take(self, cells: NDArray[np.intp]) -> PeakCells:
        """Return some of the cells."""
        return PeakCells(sp.csr_matrix(self.X[cells]), self.vocabulary, self.max_peaks)

    def sets(
        self, cells: NDArray[np.intp], draw: Callable[[int], np.random.Generator] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the ids of the open peaks of some cells, one cell after the other, and the number of each cell's.

        Parameters
        ----------
        cells
            Positions.
        draw
            In training, from a position to what draws among the peaks of a cell that has too many; None takes those
            that come first in the vocabulary's own order.
        """
        ids = []
        for cell in cells:
            mine = self.X.indices[self.X.indptr[cell] : self.X.indptr[cell + 1]].astype(np.int64)
            if len(mine) > self.max_peaks:
                first = self.vocabulary.rank[mine] if draw is None else draw(int(cell)).permutation(len(mine))
                mine = mine[np.sort(np.argsort(first)[: self.max_peaks])]
            ids.append(mine)
        lengths = np.array([len(mine) for mine in ids], dtype=np.int64)
        return np.concatenate(ids) if ids else np.zeros(0, dtype=np.int64), lengths


def peak_cells(
    task: Task, vocabulary: Vocabulary | None, *, min_overlap: float, max_peaks: int, source: str
) -> tuple[PeakCells, dict[str, float]]:
    """Return the cells of a task on those peaks of a vocabulary that reference and query both have.

    Peaks that one side alone has would tell the sides apart, not the cells.

    Parameters
    ----------
    task
        Read for its sides.
    vocabulary
        None for that of the reference's peaks.
    min_overlap, max_peaks
        See the recipe.
    source
        Whose vocabulary it is, for messages.

    Returns
    -------
    The cells in the order of the task; and numbers of known and unknown peaks.

    Raises
    ------
    ValueError
        A side has no peak of the vocabulary, or the two have none in common.
    """
    sides = task.sides
    if vocabulary is None:
        vocabulary = Vocabulary.of(sides[0].peaks)
    placed = [
        vocabulary.place(side.counts, side.peaks, min_overlap=min_overlap, what=what, source=source)
        for side, what in zip(sides, ("reference", "query"), strict=True)
    ]
    both = placed[0][1] & placed[1][1]
    if not both.any():
        msg = (
            f"Of the {len(vocabulary):,} peaks that {source} knows, the reference has {placed[0][1].sum():,} and the "
            f"query {placed[1][1].sum():,}, and none both; expected peaks that both have. Pass data counted on the "
            "same peaks."
        )
        raise ValueError(msg)
    X = sp.csr_matrix(sp.vstack([found[0] for found in placed]).multiply(both[None, :].astype(np.float32)))
    X.eliminate_zeros()
    X.sort_indices()
    place = np.concatenate([side.cells for side in sides])
    coverage: list[Coverage] = [found[2] for found in placed]
    history = {"n_vocabulary": len(vocabulary), "n_peaks_of_both": int(both.sum())}
    numbers = history | coverage[0].numbers("reference") | coverage[1].numbers("query")
    return PeakCells(sp.csr_matrix(X[np.argsort(place)]), vocabulary, max_peaks), numbers
