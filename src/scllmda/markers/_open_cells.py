"""How many cells each peak is open in, by label and by depth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class OpenCells:
    """Sums over cells that a comparison of labels within strata of depth needs: no table of labels × strata × peaks."""

    cells: NDArray[np.int64]
    """(n_groups, n_strata) number of cells."""
    of_group: NDArray[np.float64]
    """(n_groups, n_peaks) number of cells of a group that a peak is open in."""
    weighted: NDArray[np.float64]
    """(n_groups, n_peaks) the same, each cell times its :attr:`weights`."""
    of_stratum: NDArray[np.float64]
    """(n_strata, n_peaks) number of cells of a stratum that a peak is open in."""

    @property
    def weights(self) -> NDArray[np.float64]:
        """(n_groups, n_strata): cells of the group for each other cell; 0 where there is no other."""
        return _weights(self.cells)


def count_open_cells(
    blocks: Iterable[sp.csr_matrix], group: NDArray[np.integer], stratum: NDArray[np.integer], n_peaks: int
) -> OpenCells:
    """Count in one pass over the cells in which of them each peak is open.

    Parameters
    ----------
    blocks
        Cells × peaks, canonical CSR with positive values, from the first cell to the last.
    group
        (n_cells,) codes from 0; -1 for cells that take no part.
    stratum
        (n_cells,) codes from 0; those of cells that take no part are not looked at.
    n_peaks
        Number of peaks.
    """
    known = group >= 0
    n_groups, n_strata = int(group.max()) + 1, int(stratum[known].max()) + 1
    cells = np.zeros((n_groups, n_strata), dtype=np.int64)
    np.add.at(cells, (group[known], stratum[known]), 1)
    weights = _weights(cells)
    of_group, weighted = np.zeros((2, n_groups, n_peaks))
    of_stratum = np.zeros((n_strata, n_peaks))
    first = 0
    for block in blocks:
        rows = slice(first, first + block.shape[0])
        first = rows.stop
        kept = np.flatnonzero(known[rows])
        g, s = group[rows][kept], stratum[rows][kept]
        is_open = block if len(kept) == block.shape[0] else block[kept]
        _add(of_group, g, np.ones(len(g)), is_open)
        _add(weighted, g, weights[g, s], is_open)
        _add(of_stratum, s, np.ones(len(s)), is_open)
    return OpenCells(cells, of_group, weighted, of_stratum)


def _weights(cells: NDArray[np.int64]) -> NDArray[np.float64]:
    others = cells.sum(axis=0) - cells
    return np.divide(cells, others, out=np.zeros(cells.shape), where=others > 0)


def _add(
    total: NDArray[np.float64], row: NDArray[np.integer], weight: NDArray[np.float64], is_open: sp.csr_matrix
) -> None:
    """Add the weighted cells of a block to the rows of a sum. It takes a third of the time of a sparse product."""
    n_open = np.diff(is_open.indptr)
    place = np.repeat(row.astype(np.int64) * total.shape[1], n_open) + is_open.indices
    total += np.bincount(place, np.repeat(weight, n_open), total.size).reshape(total.shape)
