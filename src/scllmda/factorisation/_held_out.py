"""Counts that are set aside, to say when alternations no longer learn what holds for others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._blocks import Blocks, with_rows
from ._chance import scramble, with_chance
from ._margins import Margins
from ._threads import in_order

Float = NDArray[np.floating]

SHARE = 0.05
"""Probability with which an open peak of a sampled cell is held out. With .02, .05, .1 and .2 accuracies of robust are
.801, .792, .789 and .788, the other way .771, .766, .763 and .762 on bone marrow, and .597, .606, .604 and .591 on
cortex."""
MOST_CELLS = 10_000
"""Largest number of cells of which peaks are held out; it bounds the memory that their counts need. With 1,000, 3,000,
10,000 and all 14,125 cells accuracies on bone marrow are .799, .793, .792 and .790, the other way .766, .768, .766 and
.763."""
FEW = 128
"""Cells whose counts are hashed at once by a thread, which takes several times their memory."""


@dataclass(frozen=True)
class HeldOut:
    """Counts of which some are held out: a random share of the open peaks, in a sample of the cells.

    As :class:`Blocks` it holds the counts that are left. What is drawn does not depend on the order of cells and peaks.
    """

    all: Blocks
    """(n_cells, n_peaks): all counts."""
    margins: Margins
    """The independence model of all counts."""
    counts: sp.csr_matrix
    """(n_cells, n_peaks): the counts that are held out."""
    exposure: Float
    """(n_cells,): exposure of the held-out counts; a cell's exposure × the share of its counts that is held out."""

    @property
    def sampled(self) -> NDArray[np.bool_]:
        """(n_cells,): whether a cell has held-out counts."""
        return self.exposure > 0

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_peaks)."""
        return self.all.shape

    def __iter__(self) -> Iterator[sp.csr_matrix]:
        """Yield the counts that are left in blocks."""
        for rows, X in with_rows(self.all):
            held_out = self.counts[rows]
            yield X - held_out if held_out.nnz else X

    def take(self, cells: NDArray[np.intp]) -> HeldOut:
        """Return some of the cells; ``cells`` are their positions, in increasing order."""
        of_cells = replace(self.margins, exposure=self.margins.exposure[cells], view=self.margins.view[cells])
        return HeldOut(self.all.take(cells), of_cells, self.counts[cells], self.exposure[cells])

    @property
    def margins_of_rest(self) -> Margins:
        """The independence model of the counts that are left."""
        return replace(self.margins, exposure=self.margins.exposure - self.exposure)

    @cached_property
    def _by_peak(self) -> sp.csc_matrix:
        """(n_sampled, n_peaks): held-out counts of the cells that have some, stored by peaks once for all."""
        return self.counts[self.sampled].tocsc()

    def gain(self, cells: NDArray[np.float32], loadings: NDArray[np.float32]) -> tuple[float, float]:
        """Return how much larger the log likelihood of the held-out counts is than under independence.

        To second order around the base rates, as in the fit: Σ_ij (x_ij − c_j r_i) w_j · l_i − ½ c_j r_i (w_j · l_i)²,
        with exposures c and base rates r.

        Parameters
        ----------
        cells
            (n_sampled, k): w of the cells that have held-out counts.
        loadings
            (n_peaks, k).

        Returns
        -------
        The difference in nats, and its standard error over cells.
        """
        exposure, view = self.exposure[self.sampled], self.margins.view[self.sampled]
        gain = (cells * (self._by_peak @ loadings)).sum(axis=1, dtype=np.float64)
        for v, expected in enumerate(self.margins.expected.astype(np.float32)):
            here = view == v
            gram = (expected[:, None] * loadings).T @ loadings
            independent = cells[here] @ (expected @ loadings)
            squared = ((cells[here] @ gram) * cells[here]).sum(axis=1)
            gain[here] -= exposure[here] * (independent + squared / 2)
        return gain.sum(), float(np.linalg.norm(gain - gain.sum() / max(len(gain), 1)))


def hold_out(counts: Blocks, margins: Margins) -> HeldOut:
    """Hold out a random share of the open peaks, in a random sample of cells.

    The draws are hashes of the counts of each cell and peak, so that neither their order nor the size of blocks
    matters.

    Parameters
    ----------
    counts
        (n_cells, n_peaks).
    margins
        The independence model of these counts.
    """
    used = margins.rate > 0
    of_peak = keys_of_peaks(counts, used, rounds=1)

    def draw(block: sp.csr_matrix) -> list[tuple[sp.csr_matrix, Float]]:
        return [of_cells(X) for X in _few_at_once(block)]

    def of_cells(X: sp.csr_matrix) -> tuple[sp.csr_matrix, Float]:
        of_cell = np.repeat(scramble(_is_open(X, used) @ of_peak), np.diff(X.indptr))
        drawn = with_chance(MOST_CELLS / counts.shape[0], of_cell)
        drawn &= with_chance(SHARE, scramble(of_cell ^ of_peak[X.indices])) & used[X.indices]
        part = X.copy()
        part.data *= drawn
        part.eliminate_zeros()
        depth = X @ used.astype(np.float64)
        share = np.divide(part @ used.astype(np.float64), depth, out=np.zeros_like(depth), where=depth > 0)
        return part, share

    held_out = [sp.csr_matrix((0, counts.shape[1]), dtype=np.float32)]
    shares: list[Float] = [np.zeros(0)]
    for drawn in in_order(draw, counts):
        held_out += [part for part, _ in drawn]
        shares += [share for _, share in drawn]
    return HeldOut(counts, margins, sp.csr_matrix(sp.vstack(held_out)), np.concatenate(shares) * margins.exposure)


def keys_of_peaks(counts: Blocks, used: NDArray[np.bool_], *, rounds: int) -> NDArray[np.uint64]:
    """Return (n_peaks,) a hash of each peak, made of the cells in which it is open.

    It depends on the counts alone, not on the order of cells and peaks. Peaks that are not ``used`` have 0.

    Parameters
    ----------
    counts
        (n_cells, n_peaks).
    used
        (n_peaks,).
    rounds
        With one, a peak's hash is made of the depths of its cells; with two, of the hashes that their peaks got in the
        first round. Peaks with equal hashes after two rounds are nearly always open in exactly the same cells.
    """
    of_peak = used.astype(np.uint64)
    for _ in range(rounds):

        def of_block(block: sp.csr_matrix, before: NDArray[np.uint64] = of_peak) -> NDArray[np.uint64]:
            parts = (_is_open(X, used) for X in _few_at_once(block))
            return sum((part.T @ scramble(part @ before) for part in parts), start=np.zeros_like(before))

        of_peak = sum(in_order(of_block, counts), start=np.zeros_like(of_peak))
    return of_peak


def _few_at_once(X: sp.csr_matrix) -> Iterator[sp.csr_matrix]:
    """Yield the cells of a block, ``FEW`` at a time."""
    for first in range(0, X.shape[0], FEW):
        yield X[first : first + FEW]


def _is_open(X: sp.csr_matrix, used: NDArray[np.bool_]) -> sp.csr_matrix:
    """Return 1 where a used peak is open, as integers: their sums are exact in whatever order."""
    return sp.csr_matrix((used[X.indices].astype(np.uint64), X.indices, X.indptr), shape=X.shape)
