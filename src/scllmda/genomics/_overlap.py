"""Overlaps between two peak sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ._intervals import Intervals, bare_contig

if TYPE_CHECKING:
    import numpy.typing as npt


def best_overlaps(query: Intervals, reference: Intervals, *, min_overlap: float) -> npt.NDArray[np.int64]:
    """Return the reference interval that each query interval overlaps best.

    Of the reference intervals with ``overlap / min(width) >= min_overlap``, the one with most base pairs in common is
    taken; among equals the narrowest, so that an interval meets itself before one that contains it, then the first.
    Intervals of one set may overlap each other. ``chr1`` and ``1`` are the same contig, as are ``chrM`` and ``MT``.

    Parameters
    ----------
    query
        n intervals, in any order.
    reference
        m intervals, in any order.
    min_overlap
        Smallest overlap, as a fraction (0-1) of the narrower interval. One base is needed at least.

    Returns
    -------
    Index into ``reference`` for each query interval, -1 for none, shape (n,).

    Examples
    --------
    >>> from scllmda.genomics import Intervals, best_overlaps
    >>> query = Intervals.from_names(["chr1:0-100", "chr2:0-100"])
    >>> best_overlaps(query, Intervals.from_names(["1:90-300", "1:20-120"]), min_overlap=0.5).tolist()
    [1, -1]
    """
    query_start, reference_start = _line_up(query, reference)
    # Two intervals overlap when one starts inside the other. A shared start counts for the first kind only.
    q, r = _points_inside(query_start, query_start + query.width, reference_start)
    r_of_rest, q_of_rest = _points_inside(reference_start + 1, reference_start + reference.width, query_start)
    q, r = np.concatenate([q, q_of_rest]), np.concatenate([r, r_of_rest])

    overlap = np.minimum(query.end[q], reference.end[r]) - np.maximum(query.start[q], reference.start[r])
    enough = overlap / np.minimum(query.width[q], reference.width[r]) >= min_overlap
    q, r, overlap = q[enough], r[enough], overlap[enough]
    best_first = np.lexsort((r, reference.width[r], -overlap, q))
    matched, first = np.unique(q[best_first], return_index=True)
    best = np.full(len(query), -1, dtype=np.int64)
    best[matched] = r[best_first][first]
    return best


def _line_up(query: Intervals, reference: Intervals) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return all starts on one axis on which the contigs follow each other."""
    code, contigs = pd.factorize(np.concatenate([query.chrom, reference.chrom]))
    contig, _ = pd.factorize(np.asarray([bare_contig(name) for name in contigs], dtype=object))
    longest = max(query.end.max(initial=0), reference.end.max(initial=0))
    start = np.concatenate([query.start, reference.start]) + contig[code] * longest
    return start[: len(query)], start[len(query) :]


def _points_inside(
    start: npt.NDArray[np.int64], end: npt.NDArray[np.int64], point: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the index pairs (interval, point) with ``start <= point < end``."""
    order = np.argsort(point, kind="stable")
    first = np.searchsorted(point, start, sorter=order)
    count = np.searchsorted(point, end, sorter=order) - first
    interval = np.repeat(np.arange(len(start)), count)
    rank = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return interval, order[np.repeat(first, count) + rank]
