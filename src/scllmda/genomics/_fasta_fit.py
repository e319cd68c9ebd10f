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
"""Share of the peaks, at most, that may end after their contig; one may in any case.

A peak that starts inside its contig and ends after it tells nothing of the build: callers widen peaks without a look at
the contig's length, as one of the 51,320 peaks of Cao et al. 2018 (A549 cells) on its own hg19. A contig ends only
once, so hardly more of them are met than there are contigs; where there are, the contigs are cut or other ones.
"""
_MAX_BEYOND = 0.0001
"""Share of the peaks, at most, that may start where their contig has ended.

That is how peaks of another build look: 0.7-1.3 % of five peak sets of hg19 on hg38, 0.06 and 0.13 % of two of mm10 on
mm39, none on their own build. Larger shares let peaks of another build through, whose other bases are wrong as well.
"""
_FLANK = 10_000
"""Base pairs on either side of a peak that its GC content is compared with."""
_N_CHECKED = 300
"""Peaks that are compared, at most: the share of the richer ones is known to 0.03, in a tenth of a second."""
_MIN_CHECKED = 100
"""Fewer peaks do not tell."""
_MIN_GC_RICH = 0.65
"""Right builds show about 84 %, wrong ones 45-57 % (see `n_gc_rich`)."""


def require_ends_inside(intervals: Intervals, found: npt.NDArray[np.bool_], length: npt.NDArray[np.int64]) -> None:
    """Refuse peaks that do not fit their contigs, and warn about a few that end after them.

    Parameters
    ----------
    intervals
        n peaks.
    found
        Whether the FASTA has the contig of each, shape (n,).
    length
        Of these contigs in base pairs, shape (n,).

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
    seen = (
        f"{past.sum()} of {len(intervals)} peaks end after their contig (first: {intervals.names()[first]}, "
        f"but the contig is {length[first]} bp long)"
    )
    if past.sum() > max(1, _MAX_PAST * found.sum()) or beyond.sum() > _MAX_BEYOND * found.sum():
        msg = (
            f"{seen}; expected all inside. The peaks were called on another genome build: pass the FASTA of that one "
            "(hg19 or hg38, mm10 or mm39 ...). If it is the right one, leave these peaks out."
        )
        raise ValueError(msg)
    logg.warning(
        f"{seen}; what lies beyond its end is read as N. If the peaks were called on another genome build, pass the "
        "FASTA of that one."
    )


def warn_if_gc_poor(
    genome: FastaFile, contig: npt.NDArray[np.integer], intervals: Intervals, rows: npt.NDArray[np.intp]
) -> None:
    """Warn if peaks are no richer in G and C than what lies around them, as on another build.

    Parameters
    ----------
    genome
        What to read them from.
    contig
        Row of the genome's index for each peak, shape (n,).
    intervals
        n peaks.
    rows
        Which of them the genome has the contigs of.
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
