"""The DNA of open regions, and the words of six bases around each place where a transposase may cut it."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .. import _logging as logg
from ._fasta import fetch_sequences
from ._intervals import Intervals, bare_contig

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

HALF = 3
"""Bases of a word on either side of a cut."""
N_WORDS = 4 ** (2 * HALF)
_UNKNOWN = 4
_CODES = np.full(256, _UNKNOWN, dtype=np.uint8)
_CODES[np.frombuffer(b"ACGT", dtype=np.uint8)] = np.arange(4)
_POSITION_BITS = 40


def reverse_complements() -> npt.NDArray[np.int64]:
    """Return (4096,): the word that each word is on the other strand."""
    words = np.arange(N_WORDS)
    found = np.zeros(N_WORDS, dtype=np.int64)
    for _ in range(2 * HALF):
        found = found << 2 | 3 - (words & 3)
        words >>= 2
    return found


def steps(starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return starts[0], starts[0] + 1, … (lengths[0] of them), starts[1], … one after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


@dataclass(frozen=True, eq=False)
class OpenDna:
    """Disjoint open regions. A place is a boundary between two bases: it has the number of the base after it.

    Places of all contigs are numbered together, so that they can be looked up at once; :meth:`place` numbers them.
    """

    contigs: dict[str, int]
    """Number of each contig, by its bare name."""
    first: npt.NDArray[np.int64]
    """(n_regions,): first place of each region, in increasing order."""
    last: npt.NDArray[np.int64]
    """(n_regions,): place after its last one."""
    regions: Intervals
    """The regions, in the same order."""
    sequences: Sequence[str]
    """(n_regions,) DNA of each."""
    flank: int
    """Places on either side of a region whose words are known too."""
    words: npt.NDArray[np.int16]
    """(m,): word around each place, three bases before it and three after; -1 where one of them is not known."""
    offset: npt.NDArray[np.int64]
    """(n_regions,): index in ``words`` of the first place of each region."""

    def place(self, contig: npt.NDArray[np.str_] | pd.Series, position: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the numbers of places; -1 on contigs without a region."""
        codes, names = pd.factorize(contig)
        number = np.array([self.contigs.get(bare_contig(str(name)), -1) for name in names], dtype=np.int64)
        of_place = number[codes] if len(names) else np.zeros(0, dtype=np.int64)
        return np.where((of_place >= 0) & (position >= 0), of_place << _POSITION_BITS | position, -1)

    def region_of(self, place: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the region of each place, -1 for those in none."""
        region = np.searchsorted(self.first, place, side="right") - 1
        return np.where((region >= 0) & (place < self.last[region]), region, -1)


def open_dna(fasta: str | PathLike[str], peaks: Intervals, *, flank: int) -> OpenDna:
    """Read the DNA of peaks, those that overlap joined.

    Parameters
    ----------
    fasta
        Of their genome, as :func:`fetch_sequences` reads it.
    peaks
        Open regions, in any order.
    flank
        Places on either side of each region whose words are to be known.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`fetch_sequences` raises; or the FASTA has no contig of the peaks.
    """
    around = flank + HALF
    regions = _joined(peaks)
    texts, kept = fetch_sequences(fasta, regions, flank=around, missing="drop")
    if not kept.all():
        lacking = f"{(~kept).sum()} of {len(kept)} regions with peaks (first: {regions.names()[~kept][0]})"
        msg = f"{lacking} are on contigs that the FASTA {str(fasta)!r} lacks"
        if not kept.any():
            msg += "; expected those of the peaks. Pass genome= the FASTA of the build that the peaks were called on."
            raise ValueError(msg)
        logg.warning(f"{msg}. They are left out.")
    regions = Intervals(regions.chrom[kept], regions.start[kept], regions.end[kept])
    bare = [bare_contig(name) for name in regions.chrom.tolist()]
    contigs = {name: i for i, name in enumerate(dict.fromkeys(bare))}
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    bases = _CODES[np.frombuffer("".join(texts).encode("ascii"), dtype=np.uint8)]
    number = np.array([contigs[name] for name in bare], dtype=np.int64) << _POSITION_BITS
    return OpenDna(
        contigs,
        number | regions.start,
        number | regions.end,
        regions,
        [text[around:-around] for text in texts],
        flank,
        _words(bases),
        np.cumsum(lengths) - lengths + flank,
    )


def _words(bases: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Return the word of six bases that begins at each base, -1 where one of them is not known."""
    n = max(len(bases) - 2 * HALF + 1, 0)
    words = np.zeros(n, dtype=np.int16)
    known = np.ones(n, dtype=bool)
    for i in range(2 * HALF):
        words = (words << 2 | bases[i : i + n] & 3).astype(np.int16)
        known &= bases[i : i + n] != _UNKNOWN
    return np.where(known, words, np.int16(-1))


def _joined(peaks: Intervals) -> Intervals:
    """Return the regions that peaks cover, by contig and start; the contigs in the order in which they come."""
    codes = pd.factorize(pd.Series(peaks.chrom).map(bare_contig))[0]
    order = np.lexsort((peaks.start, codes))
    code, start, end = codes[order].astype(np.int64), peaks.start[order], peaks.end[order]
    # Ends of earlier contigs are smaller than any start of a later one.
    reach = np.maximum.accumulate(code << _POSITION_BITS | end)
    begins = np.ones(len(code), dtype=bool)
    begins[1:] = (code << _POSITION_BITS | start)[1:] > reach[:-1]
    rows = np.flatnonzero(begins)
    stops = reach[np.append(rows[1:], len(code)) - 1] & (1 << _POSITION_BITS) - 1
    return Intervals(peaks.chrom[order][rows], start[rows], stops)
