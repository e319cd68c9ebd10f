"""Whether peaks fit a FASTA: those of another genome build do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _logging as logg
from ._gc import n_gc_rich

if TYPE_CHECKING:
    import numpy.typing as npt

    from ._fasta_file import FastaFile
    from ._intervals import Intervals

_MAX_PAST = 0.01
"""Largest share of the peaks that may start inside their contig and end after it; one peak may in any case.

A single one says nothing about the build, because callers widen peaks without a look at the contig's length: it is so
with one of the 51,320 peaks of Cao et al. 2018 (A549 cells) on their own build, hg19. Each contig ends only once, so
that such peaks are hardly more than there are contigs. Where they are, the contigs are cut short, or those of another
build.
"""
_MAX_BEYOND = 0.0001
"""Largest share of the peaks that may start after the end of their contig.

Such peaks are the mark of another build: they are 0.7-1.3 % of five peak sets of hg19 on hg38 and 0.06 and 0.13 % of
two of mm10 on mm39, and none on their own build. A larger limit would let peaks of another build through, whose bases
are then all wrong.
"""
_FLANK = 10_000
"""Base pairs on either side of a peak, whose GC content that of the peak is compared with."""
_N_CHECKED = 300
"""Largest number of peaks whose GC content is compared. The standard error of a share of 300 peaks is at most 0.03, and
they are read in a tenth of a second."""
_MIN_CHECKED = 100
"""Smallest number of peaks to judge by; the standard error of their share is up to 0.05."""
_MIN_GC_RICH = 0.65
"""Share of peaks richer in G and C than their surroundings, below which the user is warned. It was 84 % on the right
build, and 45-57 % at shifted positions, as on a wrong one (:func:`n_gc_rich`)."""


def require_ends_inside(intervals: Intervals, found: npt.NDArray[np.bool_], length: npt.NDArray[np.int64]) -> None:
    """Refuse peaks that do not fit their contigs, and warn about a few that end after them.

    Parameters
    ----------
    intervals
        n peaks.
    found
        Whether the FASTA has the contig of each peak, shape (n,).
    length
        Length of the contig of each peak in base pairs, shape (n,).

    Raises
    ------
    ValueError
        More than 1 % of the peaks (and more than one) end after their contig, or more than one in 10,000 starts there.
    """
    past = found & (intervals.end > length)
    if not past.any():
        return
    beyond = found & (intervals.start >= length)
    first = np.flatnonzero(beyond if beyond.any() else past)[0]
    finding = (
        f"{past.sum()} of {len(intervals)} peaks end after their contig (first: {intervals.names()[first]}, "
        f"but the contig is {length[first]} bp long)"
    )
    if past.sum() > max(1, _MAX_PAST * found.sum()) or beyond.sum() > _MAX_BEYOND * found.sum():
        msg = (
            f"{finding}; expected all inside. The peaks were called on another genome build: pass the FASTA of that "
            "one (hg19 or hg38, mm10 or mm39 ...). If it is the right one, leave these peaks out."
        )
        raise ValueError(msg)
    logg.warning(
        f"{finding}; what lies beyond its end is read as N. If the peaks were called on another genome build, pass the "
        "FASTA of that one."
    )


def warn_if_gc_poor(
    genome: FastaFile, contig: npt.NDArray[np.integer], intervals: Intervals, rows: npt.NDArray[np.intp]
) -> None:
    """Warn if peaks are no richer in G and C than what lies around them, as on another build.

    Parameters
    ----------
    genome
        The open FASTA.
    contig
        Row of the FASTA's index for the contig of each peak, shape (n,).
    intervals
        n peaks.
    rows
        Which of the peaks lie on contigs of the FASTA.
    """
    if len(rows) < _MIN_CHECKED:
        return
    rows = rows[:: len(rows) // _N_CHECKED + 1]
    contig, start, end = contig[rows], intervals.start[rows], intervals.end[rows]
    around = np.maximum(start - _FLANK, 0), np.minimum(end + _FLANK, genome.index.length[contig])
    n_rich, n_known = n_gc_rich(genome.read(contig, start, end), genome.read(contig, *around))
    if n_known >= _MIN_CHECKED and n_rich < _MIN_GC_RICH * n_known:
        logg.warning(
            f"{n_rich} of {n_known} peaks looked at are richer in G and C than the 10 kb on either side; most peaks of "
            f"vertebrates are. Check that they were called on the genome build of {str(genome.path)!r}."
        )
