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
from ._workers import each_block

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Evidence:
    """What counts on one set of peaks say of cells, in a form that can be summed over cells that are pooled."""

    counts: Blocks
    """(n_cells, n_peaks): counts of each single cell, also where ``pull`` and ``exposure`` are those of pooled
    cells."""
    mapper: CellMapper
    """Makes embeddings of pull and exposure."""
    pull: Float
    """(n_cells, k): (counts − expected counts) @ loadings; see :meth:`CellMapper.evidence`."""
    exposure: Float
    """(n_cells,): counts that a cell would have if all peaks had been measured in it."""

    @property
    def cells(self) -> NDArray[np.float32]:
        """(n_cells, k): embedding, the posterior mean of w given pull and exposure; zero for cells without counts."""
        return self.mapper.embed(self.pull, self.exposure)

    def take(self, cells: NDArray[np.intp]) -> Evidence:
        """Return the evidence on some cells; ``cells`` are their positions, in increasing order."""
        return replace(self, counts=self.counts.take(cells), pull=self.pull[cells], exposure=self.exposure[cells])

    def pooled(self, graph: sp.csr_matrix) -> Evidence:
        """Return the evidence of each cell pooled with its neighbors, by a graph (n_cells, n_cells) of ones."""
        return replace(self, pull=self.pull + graph @ self.pull, exposure=self.exposure + graph @ self.exposure)

    def totals(self, codes: NDArray[np.integer]) -> Float:
        """Return the summed counts (n_groups, n_peaks) of groups of cells; ``codes`` (n_cells,) number them from 0."""
        return open_counts(self.counts, codes)[0]

    def scores(self, weights: Float) -> NDArray[np.float32]:
        """Return ``counts @ weights``, (n_cells, m), with ``weights`` (n_peaks, m)."""
        single = weights.astype(np.float32)
        parts = [X @ single for X in self.counts]
        return np.concatenate(parts) if parts else np.zeros((0, single.shape[1]), dtype=np.float32)


def evidence(counts: Blocks, decoder: Decoder, cells: NDArray[np.float32]) -> Evidence:
    """Return the evidence of counts on cells of the fit, as if each cell had not been in the fit.

    The part of the pull that comes from loadings fitted to the cell's own counts
    (:meth:`Decoder.pull_of_own_counts`) is subtracted.

    Parameters
    ----------
    counts
        (n_cells, n_peaks): the counts that the loadings were fitted to, or a part of them.
    decoder
        The fit.
    cells
        (n_cells, k): the fitted w of the cells.
    """
    mapper = CellMapper(decoder, decoder.rate)

    def one(block: tuple[sp.csr_matrix, Float]) -> tuple[Float, Float]:
        X, fitted = block
        pull, exposure = mapper.evidence(X)
        return (pull - decoder.pull_of_own_counts(X, fitted)).astype(np.float32), exposure

    # Vectors of cells go with their block: what the function refers to is sent to every worker.
    parts = list(each_block(one, ((X, cells[rows]) for rows, X in with_rows(counts))))
    return Evidence(counts, mapper, np.concatenate([p for p, _ in parts]), np.concatenate([e for _, e in parts]))


@dataclass(frozen=True)
class Thinned:
    """Counts of which some are dropped at random, as if the cells had been sequenced less deeply."""

    all: Blocks
    """(n_cells, n_peaks): the counts before any is dropped."""
    chance: Float
    """(n_cells,): probability, 0-1, that an open peak of the cell is kept."""
    key: NDArray[np.uint64]
    """(n_cells,): seed of each cell's draws, so that every pass, in blocks of any size, keeps the same peaks."""

    @classmethod
    def to(cls, counts: Blocks, chance: Float) -> Thinned:
        """Thin counts; the seeds of the draws are the positions of the cells."""
        key = scramble(np.arange(1, counts.shape[0] + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        return cls(counts, chance, key)

    def take(self, cells: NDArray[np.intp]) -> Thinned:
        """Return some of the cells; ``cells`` are their positions, in increasing order."""
        return Thinned(self.all.take(cells), self.chance[cells], self.key[cells])

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_peaks)."""
        return self.all.shape

    def __iter__(self) -> Iterator[sp.csr_matrix]:
        """Yield the thinned counts in blocks; every pass keeps the same."""
        for rows, X in with_rows(self.all):
            n_open = np.diff(X.indptr)
            keys = scramble(np.repeat(self.key[rows], n_open) ^ scramble(X.indices.astype(np.uint64) + np.uint64(1)))
            kept = sp.csr_matrix(X, copy=True)
            kept.data *= with_chance(np.repeat(self.chance[rows], n_open), keys)
            kept.eliminate_zeros()
            yield kept


def chance_to_match(exposure: Float, others: Float) -> Float:
    """Return the probability (n_cells,) of keeping a count that thins cells to the depths of other cells.

    Cells are matched by rank, the shallowest with the shallowest. Cells that are shallower than their match keep all.

    Parameters
    ----------
    exposure
        (n_cells,) depths of the cells that are to be thinned.
    others
        (n_others,) depths of the cells that they are to be like.
    """
    rank = np.argsort(np.argsort(exposure, kind="stable"), kind="stable")
    wanted = np.quantile(others, (rank + 0.5) / max(len(rank), 1))
    return np.minimum(np.divide(wanted, exposure, out=np.ones(len(exposure)), where=exposure > 0), 1.0)
