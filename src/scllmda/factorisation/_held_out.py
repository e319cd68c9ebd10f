"""Counts that are set aside, to say when alternations no longer learn what holds for others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._blocks import Blocks, with_rows
from ._chance import scramble, with_chance
from ._margins import Margins

Float = NDArray[np.floating]

SHARE = 0.05
"""Of the open peaks of each cell that some are held out of."""
MOST_CELLS = 10_000
"""Cells that some are held out of; as many suffice to see a gain."""


@dataclass(frozen=True)
class HeldOut:
    """Some of the open peaks of a sample of cells, drawn without a look at the order of cells and peaks."""

    all: Blocks
    margins: Margins
    counts: sp.csr_matrix
    """(n_cells, n_peaks): those held out."""
    exposure: Float
    """(n_cells,): the part of the cells' exposure that goes with them."""

    @property
    def asked(self) -> NDArray[np.bool_]:
        """(n_cells,): the cells that some are held out of."""
        return self.exposure > 0

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_peaks)."""
        return self.all.shape

    def __iter__(self) -> Iterator[sp.csr_matrix]:
        """Pass over the counts that are left once."""
        for rows, X in with_rows(self.all):
            held_out = self.counts[rows]
            yield X - held_out if held_out.nnz else X

    def take(self, cells: NDArray[np.intp]) -> HeldOut:
        """Return some cells, at increasing positions."""
        of_cells = replace(self.margins, exposure=self.margins.exposure[cells], view=self.margins.view[cells])
        return HeldOut(self.all.take(cells), of_cells, self.counts[cells], self.exposure[cells])

    @property
    def margins_of_rest(self) -> Margins:
        """The independence model of the counts that are left."""
        return replace(self.margins, exposure=self.margins.exposure - self.exposure)

    def gain(self, cells: NDArray[np.float32], loadings: NDArray[np.float32]) -> tuple[float, float]:
        """Return by how much likelier the held-out counts are than under independence, and its standard error.

        To second order around the base rates, as in the fit: Σ (x − c m) w·b − ½ c m (w·b)².

        Parameters
        ----------
        cells
            (n_asked, k).
        loadings
            (n_peaks, k).
        """
        exposure, view = self.exposure[self.asked], self.margins.view[self.asked]
        gain = (cells * (self.counts[self.asked] @ loadings)).sum(axis=1, dtype=np.float64)
        for v, expected in enumerate(self.margins.expected.astype(np.float32)):
            here = view == v
            gram = (expected[:, None] * loadings).T @ loadings
            independent = cells[here] @ (expected @ loadings)
            squared = ((cells[here] @ gram) * cells[here]).sum(axis=1)
            gain[here] -= exposure[here] * (independent + squared / 2)
        return gain.sum(), float(np.linalg.norm(gain - gain.sum() / max(len(gain), 1)))


def hold_out(counts: Blocks, margins: Margins) -> HeldOut:
    """Set counts aside.

    Chance is a hash of what cells and peaks are open in, so that neither their order nor the size of blocks matters.

    Parameters
    ----------
    counts
        (n_cells, n_peaks).
    margins
        Their independence model.
    """
    used = margins.rate > 0
    of_peak = keys_of_peaks(counts, used, rounds=1)
    held_out, share = [sp.csr_matrix((0, counts.shape[1]), dtype=np.float32)], [np.zeros(0)]
    for X in counts:
        of_cell = np.repeat(scramble(_is_open(X, used) @ of_peak), np.diff(X.indptr))
        drawn = with_chance(MOST_CELLS / counts.shape[0], of_cell)
        drawn &= with_chance(SHARE, scramble(of_cell ^ of_peak[X.indices])) & used[X.indices]
        part = X.copy()
        part.data *= drawn
        part.eliminate_zeros()
        depth = X @ used.astype(np.float64)
        held_out.append(part)
        share.append(np.divide(part @ used.astype(np.float64), depth, out=np.zeros_like(depth), where=depth > 0))
    return HeldOut(counts, margins, sp.csr_matrix(sp.vstack(held_out)), np.concatenate(share) * margins.exposure)


def keys_of_peaks(counts: Blocks, used: NDArray[np.bool_], *, rounds: int) -> NDArray[np.uint64]:
    """Return (n_peaks,) a key of each peak, made of what the cells that it is open in are made of.

    It depends on what the counts say alone, not on the order of cells and peaks; peaks that are not ``used`` have 0.

    Parameters
    ----------
    counts
        (n_cells, n_peaks).
    used
        (n_peaks,).
    rounds
        With one, cells are what their depth is; with two, what their peaks are by the first. Peaks that have the same
        keys then are next to always such as nothing but their order tells apart.
    """
    of_peak = used.astype(np.uint64)
    for _ in range(rounds):
        before, of_peak = of_peak, np.zeros(counts.shape[1], dtype=np.uint64)
        for X in counts:
            is_open = _is_open(X, used)
            of_peak += is_open.T @ scramble(is_open @ before)
    return of_peak


def _is_open(X: sp.csr_matrix, used: NDArray[np.bool_]) -> sp.csr_matrix:
    """Return whether a peak that is used is open; exact sums, whatever their order."""
    return sp.csr_matrix((used[X.indices].astype(np.uint64), X.indices, X.indptr), shape=X.shape)
