"""Counts of reference and query cells on the peaks that they are compared by: made here, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._counts import CountBlocks, count_blocks
from .._peak_pairs import PeakPairs, pair_peaks
from ..factorisation import scramble, with_rows
from ..genomics import PeakPositions, bare_contig, peak_positions


@dataclass(frozen=True)
class Side:
    """Cells of one of two objects on all of its peaks."""

    counts: CountBlocks
    """(n_cells, n_peaks) open or closed."""
    peaks: NDArray[np.intp]
    """(n_peaks,): positions of the peaks in the object."""
    n_shared: int
    """Peaks that the other object has too."""

    @property
    def has_own_peaks(self) -> bool:
        """Whether it has peaks that the other object lacks."""
        return self.n_shared < len(self.peaks)


@dataclass(frozen=True)
class Union:
    """Cells of both objects on the peaks that either of them has: the reference's, then those of the query alone."""

    counts: CountBlocks
    """(n_cells, n_peaks)."""
    measured: NDArray[np.bool_]
    """(2, n_peaks): whether reference and query have a peak."""
    own: NDArray[np.intp]
    """(n_own,): positions, in the query, of its own peaks."""


@dataclass(frozen=True)
class JointCounts:
    """Cells of reference and query, open or closed, on the peaks that both have.

    Cells and peaks stand in an order that their content makes (cells where their counts fit into memory): whatever is
    drawn, summed or broken a tie of afterwards is the same in whatever order the user has them.
    """

    counts: CountBlocks
    """(n_cells, n_peaks)."""
    is_query: NDArray[np.bool_]
    """(n_cells,)."""
    order: NDArray[np.intp]
    """(n_cells,): where each cell comes from: labeled reference cells, then the query; of one object its own cells."""
    peaks: NDArray[np.intp]
    """(n_peaks,): positions of the peaks in the reference."""
    n_vars: int
    """Peaks of the object with the query."""
    coverage: Mapping[str, Any]
    """For ``.uns``: numbers of peaks."""
    sides: tuple[Side, Side] | None = None
    """Reference and query, where they are two objects."""
    assignment: sp.csr_matrix | None = None
    """(query peaks, union peaks): 1 where they are the same."""

    @property
    def union_peaks(self) -> NDArray[np.intp]:
        """(n_vars,): the union peak that each peak of the query's object is, -1 for none."""
        assert self.sides is not None
        assert self.assignment is not None
        found = np.full(self.n_vars, -1)
        # Every query peak is one of the union, so that its rows have one entry each.
        found[self.sides[1].peaks] = self.assignment.indices
        return found

    @property
    def shared_peaks(self) -> NDArray[np.intp]:
        """(n_vars,): the peak of ``counts`` that each peak of the query's object is, -1 for none."""
        at = np.arange(len(self.peaks))
        if self.sides is None:
            found = np.full(self.n_vars, -1)
            found[self.peaks] = at
            return found
        assert self.assignment is not None
        # What is no union peak is the last one here.
        of_union = np.full(self.assignment.shape[1] + 1, -1)
        of_union[np.flatnonzero(np.isin(self.sides[0].peaks, self.peaks))] = at
        return of_union[self.union_peaks]

    @property
    def union(self) -> Union:
        """The same cells of two objects on the peaks that either has."""
        assert self.sides is not None
        assert self.assignment is not None
        known, new = self.sides
        n_peaks = self.assignment.shape[1]
        counts = known.counts.widen(n_peaks).above(new.counts.onto(self.assignment).binary())
        seen = np.asarray(self.assignment.sum(axis=0)).ravel() > 0
        # Every query peak is one of the union, so that its rows have one entry each.
        own = new.peaks[self.assignment.indices >= len(known.peaks)]
        return Union(counts.ready(), np.stack([np.arange(n_peaks) < len(known.peaks), seen]), own)


def joint_counts_of_one(adata: AnnData, codes: NDArray[np.integer], layer: str | None) -> JointCounts:
    """Return labeled and unlabeled (code -1) cells of one object on its peaks."""
    peaks = _order_of_peaks(adata.var)[0]
    blocks = count_blocks(adata, layer).binary().onto(_select(peaks, adata.n_vars)).ready()
    order = _order_of_cells(blocks, codes)
    n_peaks = adata.n_vars
    return JointCounts(blocks.take(order).ready(), codes[order] < 0, order, peaks, n_peaks, {"n_peaks": n_peaks})


def joint_counts_of_two(
    query: AnnData,
    reference: AnnData,
    labeled: NDArray[np.intp],
    codes: NDArray[np.integer],
    layers: tuple[str | None, str | None],
    pairing: Mapping[str, Any],
    *,
    none_allowed: bool,
    one_build: bool = False,
) -> JointCounts:
    """Return labeled reference cells and the query's on the peaks that both have.

    Parameters
    ----------
    query, reference
        Objects with counts.
    labeled
        Positions of the labeled cells of the reference.
    codes
        (n_labeled,) their class codes.
    layers
        With the counts, of the query and of the reference.
    pairing
        What :func:`pair_peaks` is to be called with.
    none_allowed
        Whether no peak need be shared.
    one_build
        Whether both have to be of one genome build all the same.
    """
    pairs = pair_peaks(query, reference, none_allowed=none_allowed, one_build=one_build, **pairing)
    report = pairs.report
    of_query, of_reference = layers
    where_new, where_known = pairs.positions or (None, None)
    known, of_known = _side(reference, of_reference, labeled, codes, pairs.matched, where_known, "reference")
    new, of_new = _side(query, of_query, np.arange(query.n_obs), None, pairs.target >= 0, where_new, "query")
    assignment = _assignment(pairs, known, new)
    shared = np.flatnonzero(pairs.matched[known.peaks])
    columns = _select(shared, assignment.shape[1])
    counts = known.counts.onto(columns[: len(known.peaks)]).above(new.counts.onto(assignment @ columns).binary())
    return JointCounts(
        counts.ready(),
        np.repeat([False, True], [len(of_known), len(of_new)]),
        np.concatenate([of_known, len(of_known) + of_new]),
        known.peaks[shared],
        query.n_vars,
        {"n_peaks": reference.n_vars, **report},
        (known, new),
        assignment,
    )


def _side(
    adata: AnnData,
    layer: str | None,
    cells: NDArray[np.intp],
    codes: NDArray[np.integer] | None,
    is_shared: NDArray[np.bool_],
    where: PeakPositions | None,
    what: str,
) -> tuple[Side, NDArray[np.intp]]:
    """Return some cells of an object on its peaks, and which of ``cells`` each of them is.

    Features that are no intervals may be anything: they take part only where the other object has them too.
    """
    peaks, is_interval = _order_of_peaks(adata.var, where)
    peaks = peaks[(is_interval | is_shared)[peaks]]
    n_shared = int(is_shared.sum())
    blocks = count_blocks(adata, layer, what=what).take(cells).binary().onto(_select(peaks, adata.n_vars)).ready()
    order = _order_of_cells(blocks, codes)
    return Side(blocks.take(order).ready(), peaks, n_shared), order


def _assignment(pairs: PeakPairs, known: Side, new: Side) -> sp.csr_matrix:
    """Return (query peaks, union peaks): 1 where they are the same, both in the order of the sides."""
    n_known = len(known.peaks)
    at = np.empty(pairs.n_reference, dtype=np.intp)
    at[known.peaks] = np.arange(n_known)
    target = pairs.target[new.peaks]
    own = target < 0
    columns = np.where(own, n_known + np.cumsum(own) - 1, at[target])
    ones = np.ones(len(columns), dtype=np.float32)
    shape = (len(columns), n_known + int(own.sum()))
    return sp.csr_matrix((ones, (np.arange(len(columns)), columns)), shape=shape)


def _select(columns: NDArray[np.intp], n_columns: int) -> sp.csr_matrix:
    """Return (n_columns, n_selected), by which a matrix times it has those of its columns."""
    ones = np.ones(len(columns), dtype=np.float32)
    return sp.csr_matrix((ones, (columns, np.arange(len(columns)))), shape=(n_columns, len(columns)))


def _order_of_peaks(
    var: pd.DataFrame, where: PeakPositions | None = None
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the positions of the peaks in their order along the genome, and which are intervals.

    Those of which it is not known where they lie follow in the order of their names. Positions are read unless they
    have been.
    """
    names = var.index.astype(str).to_numpy(dtype=object)
    try:
        where = peak_positions(var) if where is None else where
    except ValueError:
        # Genes are among the peaks: an object may be annotated by itself all the same.
        return np.argsort(names, kind="stable"), np.zeros(len(names), dtype=bool)
    code, contigs = pd.factorize(where.intervals.chrom)
    chrom = np.array([bare_contig(name) for name in contigs], dtype=object)[code]
    along = where.rows[np.lexsort((names[where.rows], where.intervals.end, where.intervals.start, chrom))]
    others = np.flatnonzero(~where.is_known)
    return np.concatenate([along, others[np.argsort(names[others], kind="stable")]]), where.is_known


def _order_of_cells(blocks: CountBlocks, codes: NDArray[np.integer] | None) -> NDArray[np.intp]:
    """Return the positions of the cells in the order of keys made of their open peaks, then of labels.

    Cells that are too many for memory, and cannot be read in any order, stay as they are.
    """
    if not blocks.in_memory:
        return np.arange(blocks.shape[0])
    of_peak = scramble(np.arange(1, blocks.shape[1] + 1, dtype=np.uint64))
    key = np.zeros(blocks.shape[0], dtype=np.uint64)
    for rows, X in with_rows(blocks):
        is_open = sp.csr_matrix((np.ones(X.nnz, dtype=np.uint64), X.indices, X.indptr), shape=X.shape)
        key[rows] = is_open @ of_peak
    return np.lexsort((np.zeros(len(key)) if codes is None else codes, key))
