from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._blocks import Blocks, with_rows
from ._chance import scramble, with_chance
from ._decoder import CellMapper, Decoder
from ._margins import open_counts
from ._threads import in_order

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Evidence:
    """What the same peaks say of cells, in a form that can be added up over cells."""

    counts: Blocks
    """(n_cells, n_peaks): of the cells each for itself, also where their evidence is pooled."""
    mapper: CellMapper
    pull: Float
    """(n_cells, k)."""
    exposure: Float
    """(n_cells,)."""

    @property
    def cells(self) -> NDArray[np.float32]:
        """(n_cells, k): posterior means; zero for cells without evidence."""
        return self.mapper.embed(self.pull, self.exposure)

    def take(self, cells: NDArray[np.intp]) -> Evidence:
        """Return what is said of some cells, at increasing positions."""
        return replace(self, counts=self.counts.take(cells), pull=self.pull[cells], exposure=self.exposure[cells])

    def pooled(self, graph: sp.csr_matrix) -> Evidence:
        """Return what each cell says together with its neighbors in a graph (n_cells, n_cells) of ones."""
        return replace(self, pull=self.pull + graph @ self.pull, exposure=self.exposure + graph @ self.exposure)

    def totals(self, codes: NDArray[np.integer]) -> Float:
        """Return counts (n_groups, n_peaks) per group of cells, which ``codes`` (n_cells,) number from 0."""
        return open_counts(self.counts, codes)[0]

    def scores(self, weights: Float) -> NDArray[np.float32]:
        """Return the cells' counts times ``weights`` (n_peaks, m), (n_cells, m)."""
        single = weights.astype(np.float32)
        parts = [X @ single for X in self.counts]
        return np.concatenate(parts) if parts else np.zeros((0, single.shape[1]), dtype=np.float32)


def evidence(counts: Blocks, decoder: Decoder, cells: NDArray[np.float32]) -> Evidence:
    """Return what counts say of cells that took part in the fit, without what they say through loadings of their own.

    Parameters
    ----------
    counts
        (n_cells, n_peaks): those that the loadings were fitted to, or a part of them.
    decoder
        The fit.
    cells
        (n_cells, k): the cells as fitted.
    """
    mapper = CellMapper(decoder, decoder.rate)

    def one(block: tuple[slice, sp.csr_matrix]) -> tuple[Float, Float]:
        rows, X = block
        pull, exposure = mapper.evidence(X)
        return (pull - decoder.pull_of_itself(X, cells[rows])).astype(np.float32), exposure

    parts = list(in_order(one, with_rows(counts)))
    return Evidence(counts, mapper, np.concatenate([p for p, _ in parts]), np.concatenate([e for _, e in parts]))


@dataclass(frozen=True)
class Thinned:
    """Counts of which each is kept by chance, as if the cells had been sequenced less deeply."""

    all: Blocks
    chance: Float
    """(n_cells,): of each open peak of a cell to be kept, 0-1."""
    key: NDArray[np.uint64]
    """(n_cells,): what the draws of each cell are tied to."""

    @classmethod
    def to(cls, counts: Blocks, chance: Float) -> Thinned:
        """Thin counts, with keys by the positions of the cells."""
        key = scramble(np.arange(1, counts.shape[0] + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        return cls(counts, chance, key)

    def take(self, cells: NDArray[np.intp]) -> Thinned:
        """Return some cells, at increasing positions."""
        return Thinned(self.all.take(cells), self.chance[cells], self.key[cells])

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_peaks)."""
        return self.all.shape

    def __iter__(self) -> Iterator[sp.csr_matrix]:
        """Pass over the rows once; the same are kept on every pass."""
        for rows, X in with_rows(self.all):
            n_open = np.diff(X.indptr)
            keys = scramble(np.repeat(self.key[rows], n_open) ^ scramble(X.indices.astype(np.uint64) + np.uint64(1)))
            kept = sp.csr_matrix(X, copy=True)
            kept.data *= with_chance(np.repeat(self.chance[rows], n_open), keys)
            kept.eliminate_zeros()
            yield kept


def chance_to_match(exposure: Float, others: Float) -> Float:
    """Return the chance (n_cells,) of a count to be kept with which cells are no deeper than others of the same rank.

    Parameters
    ----------
    exposure
        (n_cells,) of the cells that are to be thinned.
    others
        (n_others,) of those that they are to be like: the shallowest cell is matched with the shallowest.
    """
    rank = np.argsort(np.argsort(exposure, kind="stable"), kind="stable")
    wanted = np.quantile(others, (rank + 0.5) / max(len(rank), 1))
    return np.minimum(np.divide(wanted, exposure, out=np.ones(len(exposure)), where=exposure > 0), 1.0)
