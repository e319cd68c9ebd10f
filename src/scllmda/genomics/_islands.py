"""Peak islands: bins of the genome in which transcription starts, and the peaks in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ._intervals import Intervals, bare_contig
from ._overlap import best_overlaps, compare_with_chance

if TYPE_CHECKING:
    import numpy.typing as npt

    from ._tss import TranscriptionStarts


@dataclass(frozen=True, eq=False)
class Islands:
    """Bins of the genome, and the peaks in them."""

    bins: Intervals
    """The m bins, in the order of the text of their contigs without "chr" (1, 10, 2, X), then of their starts."""
    assignment: sp.csr_matrix
    """(n_peaks, m) float32: 1 where a peak belongs to a bin; at most one per row."""


def islands(peaks: Intervals, bin_size: int, tss: TranscriptionStarts | None) -> Islands:
    """Return the peak islands of annATAC (Cui et al. 2025, BMC Biol 23:145).

    The genome is cut into bins of ``bin_size``, from base 0 of each contig on. Islands are the bins that hold a peak
    and a transcription start. A peak belongs to the bin of its midpoint, ``(start + end) // 2``, to that alone, so that
    no count is counted twice; the paper says that peaks within a bin are gathered, and not what becomes of those that
    span two. ``chr1`` and ``1`` are the same contig, as are ``chrM`` and ``MT``. The last bin of a contig may end after
    it, since lengths of contigs are not needed.

    Parameters
    ----------
    peaks
        n peaks, in any order.
    bin_size
        Width of the bins in base pairs; the published islands have 5,000.
    tss
        Transcription starts, in any order. None keeps all bins that hold a peak.

    Returns
    -------
    The islands, none if no bin holds both; contigs are named as those of the peaks. They do not depend on the order of
    the peaks.

    Raises
    ------
    ValueError
        ``bin_size`` is below 1.

    Examples
    --------
    >>> from scllmda.genomics import Intervals, islands
    >>> found = islands(Intervals.from_names(["chr2:4900-5200", "chr1:0-100", "chr1:400-900"]), 5000, None)
    >>> found.bins.names().tolist(), found.assignment.toarray().tolist()
    (['chr1:0-5000', 'chr2:5000-10000'], [[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    """
    if bin_size < 1:
        msg = f"Found bin_size={bin_size!r}; expected a width of at least one base pair."
        raise ValueError(msg)
    starts = np.zeros(0, dtype=np.int64) if tss is None else tss.position
    place = np.concatenate([(peaks.start + peaks.end) // 2, starts]) // bin_size
    code, contigs = pd.factorize(np.concatenate([peaks.chrom, [] if tss is None else tss.chrom]))
    contig, _ = pd.factorize(np.array([bare_contig(name) for name in contigs], dtype=object), sort=True)
    # One number for each bin of the genome, increasing in their order.
    key = contig[code] * (place.max(initial=0) + 1) + place
    of_peaks, of_starts = key[: len(peaks)], key[len(peaks) :]
    is_in = np.ones(len(peaks), dtype=bool) if tss is None else np.isin(of_peaks, of_starts)
    rows = np.flatnonzero(is_in)
    bins, column = np.unique(of_peaks[rows], return_inverse=True)
    assignment = sp.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, column)), shape=(len(peaks), len(bins)))
    first = _first_by_name(peaks.chrom[rows], column, len(bins))
    start = place[: len(peaks)][rows][first] * bin_size
    return Islands(Intervals(peaks.chrom[rows][first], start, start + bin_size), assignment)


def _first_by_name(chrom: npt.NDArray[np.str_], column: npt.NDArray[np.intp], n: int) -> npt.NDArray[np.intp]:
    """Return a peak of each bin, of the first contig by text: some objects have both chr1 and 1."""
    order = np.lexsort((chrom, column))
    return order[np.searchsorted(column[order], np.arange(n))]


def island_values(X: sp.csr_matrix, assignment: sp.csr_matrix) -> sp.csr_matrix:
    """Return the openness of islands: the mean count of the peaks in each, rounded up (annATAC's released code).

    The cost is proportional to the non-zero counts.

    Parameters
    ----------
    X
        Counts, finite and not negative, shape (n_cells, n_peaks).
    assignment
        1 where a peak belongs to an island, shape (n_peaks, n_islands); see :class:`Islands`.

    Returns
    -------
    Whole numbers, float32, above 0 where a peak of the island is open in the cell, shape (n_cells, n_islands).

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from scllmda.genomics import island_values
    >>> assignment = sp.csr_matrix(np.array([[1, 0], [1, 0], [0, 1]]))
    >>> island_values(sp.csr_matrix(np.array([[4, 1, 0], [0, 0, 7]])), assignment).toarray().tolist()
    [[3.0, 0.0], [0.0, 7.0]]
    """
    # In double precision sums are exact, whatever the order of the peaks.
    sums = sp.csr_matrix(X, dtype=np.float64) @ sp.csr_matrix(assignment, dtype=np.float64)
    sums = sp.csr_matrix(sums)
    sums.eliminate_zeros()
    sums.sort_indices()
    n_peaks = np.asarray(assignment.sum(axis=0)).ravel()
    values = np.ceil(sums.data / n_peaks[sums.indices]).astype(np.float32)
    return sp.csr_matrix((values, sums.indices, sums.indptr), shape=sums.shape)


def require_same_genome(
    peaks: Intervals,
    tss: TranscriptionStarts,
    *,
    otherwise: str = "pass tss=None, for bins with and without a start",
) -> None:
    """Raise ValueError if transcription starts are of another genome than the peaks.

    Transcription starts lie in open chromatin: in 3 to 67 times as many peaks as by chance in peak sets of blood, cell
    lines and cortex, and in 0.5 to 3.4 times as many where one of both is of another species or build. They are refused
    where :func:`compare_with_chance` finds no more than by chance. Of 14 pairs of one build none was refused, and of 21
    pairs of two builds 17; the other four are of small peak sets (1,499 and 2,501 peaks).

    Parameters
    ----------
    peaks
        n peaks, in any order.
    tss
        Transcription starts, in any order.
    otherwise
        What to do if the peaks were chosen away from promoters, for the error.

    Raises
    ------
    ValueError
        They have no contig in common, or transcription starts lie in peaks as by chance.
    """
    mine, others = (sorted(set(np.unique(chrom).tolist())) for chrom in (peaks.chrom, tss.chrom))
    if not {bare_contig(name) for name in mine} & {bare_contig(name) for name in others}:
        msg = (
            f"The transcription start sites are on other contigs ({', '.join(others[:3])}) than the peaks "
            f"({', '.join(mine[:3])}); expected those of the same genome. Pass the annotation of the genome build that "
            "the peaks were called on, or rename the contigs."
        )
        raise ValueError(msg)
    starts = Intervals(tss.chrom, tss.position, tss.position + 1)
    overlaps = best_overlaps(starts, peaks, min_overlap=0) >= 0
    by_chance, is_chance = compare_with_chance(starts, peaks, overlaps, min_overlap=0)
    if is_chance:
        msg = (
            f"{overlaps.mean():.2%} of {len(tss)} transcription start sites lie in a peak, and {by_chance:.2%} do by "
            "chance, after shifting them; expected at least twice as many in most regions of the genome, since starts "
            "are open. They are of another genome build: pass the annotation of the one that the peaks were called on. "
            f"If the peaks were chosen away from promoters, {otherwise}."
        )
        raise ValueError(msg)
