"""Windows of a FASTA: positions that were checked against it, and are read when their bases are needed."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, get_args

import numpy as np
import pandas as pd
from tqdm import tqdm

from ._fasta_file import fasta_of, open_fasta
from ._fasta_fit import require_ends_inside, warn_if_gc_poor
from ._intervals import bare_contig

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from os import PathLike

    import numpy.typing as npt

    from ._fasta_file import FastaFile
    from ._intervals import Intervals
    from ._remote_fasta import RemoteFasta

Missing = Literal["raise", "drop", "n"]

_CHUNK = 20_000
"""Number of sequences that are read between two steps of the progress bar; with 500 bp each, 10 MB."""
_N_SAMPLED = 1000
"""Number of bases at the start of a contig that are checked to be nucleotides. About a third of the residues of a
protein are E, F, I, L, P or Q, letters that stand for no nucleotide, so that far fewer would do."""


@dataclass(frozen=True, eq=False)
class FastaWindows:
    """Where in a FASTA n sequences are; none of their bases."""

    contig: npt.NDArray[np.intp]
    """(n,): row of the FASTA's index for the contig of each window; -1 is a window of nothing but N."""
    start: npt.NDArray[np.int64]
    """(n,): first base, counted from 0; may lie before the contig."""
    end: npt.NDArray[np.int64]
    """(n,): base after the last one; may lie after the contig."""

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.contig)

    def take(self, rows: npt.NDArray[np.integer | np.bool_]) -> Self:
        """Return some of the windows."""
        return type(self)(self.contig[rows], self.start[rows], self.end[rows])

    def among(self, n: int, rows: npt.NDArray[np.intp], width: int) -> Self:
        """Return n windows, of which these are the ``rows`` and the others are ``width`` N."""
        all_of_them = type(self)(np.full(n, -1), np.zeros(n, dtype=np.int64), np.full(n, width, dtype=np.int64))
        for name in ("contig", "start", "end"):
            getattr(all_of_them, name)[rows] = getattr(self, name)
        return all_of_them

    def read(self, fasta: FastaFile | RemoteFasta) -> list[str]:
        """Return the sequences: A, C, G and T, N for all else and beyond the ends of contigs.

        Raises
        ------
        ValueError
            The bytes at these positions are no nucleotides, or lines end elsewhere than the index says.
        """
        sequences, lacking = np.empty(len(self), dtype=object), self.contig < 0
        sequences[lacking] = np.full(lacking.sum(), "N", dtype=object) * (self.end - self.start)[lacking]
        rows = np.flatnonzero(~lacking)
        # Files are read quickest from their start to their end.
        rows = rows[np.lexsort((self.start[rows], self.contig[rows]))]
        sequences[rows] = fasta.read(self.contig[rows], self.start[rows], self.end[rows])
        return sequences.tolist()

    def read_in_chunks(self, fasta: FastaFile) -> npt.NDArray[np.object_]:
        """Return the sequences, (n,), as :meth:`read` does, behind a progress bar."""
        sequences = np.empty(len(self), dtype=object)
        in_file = np.lexsort((self.start, self.contig))
        for first in tqdm(range(0, len(self), _CHUNK), desc="reading sequences", disable=None):
            chunk = in_file[first : first + _CHUNK]
            sequences[chunk] = self.take(chunk).read(fasta)
        return sequences


@contextmanager
def fasta_windows(
    fasta: str | PathLike[str],
    intervals: Intervals,
    *,
    window: int | None = None,
    flank: int = 0,
    missing: Missing = "raise",
) -> Iterator[tuple[FastaFile, FastaWindows]]:
    """Open a FASTA and find windows in it, one per interval.

    Everything is checked, warned about and raised that :func:`fetch_sequences` does, but for letters that are found as
    the windows are read. Windows on contigs that the FASTA lacks have contig -1.

    Parameters
    ----------
    fasta
        As in :func:`fetch_sequences`, like all that follow.
    intervals
        n intervals.
    window
        Width in base pairs.
    flank
        Base pairs on either side.
    missing
        ``"raise"`` an error for contigs that the FASTA lacks; what else becomes of their windows the caller decides.
    """
    if missing not in get_args(Missing):
        msg = f"Found missing={missing!r}; expected one of {list(get_args(Missing))}."
        raise ValueError(msg)
    if window is not None and window < 1:
        msg = f"Found window={window}; expected a width of at least 1 base pair, or None for the intervals themselves."
        raise ValueError(msg)
    if window is None:
        start, end = intervals.start, intervals.end
    else:
        start = (intervals.start + intervals.end) // 2 - window // 2
        end = start + window
    with open_fasta(fasta_of(fasta)) as genome:
        code, chrom = pd.factorize(intervals.chrom)
        contig = _find_contigs(chrom, genome.index.names)[code]
        found = contig >= 0
        if missing == "raise":
            _require_contigs(intervals, found, genome.index.names)
        require_ends_inside(intervals, found, np.where(found, genome.index.length[contig], 0))
        _require_nucleotides(genome, np.unique(contig[found]))
        warn_if_gc_poor(genome, contig, intervals, np.flatnonzero(found))
        yield genome, FastaWindows(contig, start - flank, end + flank)


def _find_contigs(chrom: Iterable[str], available: Sequence[str]) -> npt.NDArray[np.intp]:
    """Return the position of each contig among the available ones, -1 where it is lacking."""
    exact = {name: i for i, name in enumerate(available)}
    alias = {bare_contig(name): i for i, name in enumerate(available)}
    return np.asarray([exact.get(name, alias.get(bare_contig(name), -1)) for name in chrom], dtype=np.intp)


def _require_contigs(intervals: Intervals, found: npt.NDArray[np.bool_], available: list[str]) -> None:
    if found.all():
        return
    lacking = pd.unique(intervals.chrom[~found])
    msg = (
        f"{(~found).sum()} of {len(intervals)} peaks lie on {len(lacking)} contigs that the FASTA lacks "
        f"({_some(lacking)}); it has {len(available)} contigs ({_some(available)}). Pass the FASTA of the genome that "
        "the peaks were called on, or missing='drop' or missing='n' to go on without these peaks."
    )
    raise ValueError(msg)


def _require_nucleotides(genome: FastaFile, contig: npt.NDArray[np.intp]) -> None:
    """Refuse a FASTA of proteins, by reading the start of each contig."""
    start = np.zeros(len(contig), dtype=np.int64)
    genome.read(contig, start, np.minimum(genome.index.length[contig], _N_SAMPLED))


def _some(names: npt.NDArray[np.str_] | list[str], n: int = 5) -> str:
    return ", ".join(str(name) for name in names[:n]) + (" ..." if len(names) > n else "")
