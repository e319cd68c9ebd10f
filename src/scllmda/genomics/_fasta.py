"""Sequences of intervals from a FASTA.

pyfaidx makes the index; the bases are read by own code, in the order of the file: 100,000 peaks of 501 bp take .22 s of
CPU time, with all checks, and .47 s with one query of pyfaidx per peak (``benchmarks/peak_sequences.py``); the
sequences are equal. pyfaidx does not refuse proteins, or an index that does not fit the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
from tqdm import tqdm

from ._fasta_file import fasta_of, open_fasta
from ._fasta_fit import require_ends_inside, warn_if_gc_poor
from ._intervals import bare_contig

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike

    import numpy.typing as npt

    from ._fasta_file import FastaFile, fasta_of
    from ._intervals import Intervals

Missing = Literal["raise", "drop", "n"]

_CHUNK = 20_000
"""Number of sequences that are read between two steps of the progress bar; with 500 bp each, 10 MB."""
_N_SAMPLED = 1000
"""Number of bases at the start of a contig that are checked to be nucleotides. About a third of the residues of a
protein are E, F, I, L, P or Q, letters that stand for no nucleotide, so that far fewer would do."""


def fetch_sequences(
    fasta: str | PathLike[str],
    intervals: Intervals,
    *,
    window: int | None = None,
    flank: int = 0,
    missing: Missing = "raise",
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.bool_]]:
    r"""Fetch the sequence of each interval from a FASTA.

    Only the bases asked for and the start of their contigs are read, in their order in the file. ``chr1`` finds ``1``
    and ``chrM`` finds ``MT``, and the other way round. Intervals that are no richer in G and C than what lies around
    them, as peaks on the wrong genome build, are warned about (if there are 100 to tell by).

    A few intervals that start inside their contig and end after it, as where peaks were widened, get N beyond its end
    and are warned about. They are at most 1 % of the intervals, or one. More of them, or more than one in 10,000 that
    starts where its contig has ended, are of another genome build and refused.

    Parameters
    ----------
    fasta
        Plain, gzipped or bgzipped FASTA. A compressed one is unpacked into a temporary folder at each call, so unpack
        large genomes once. The index (``.fai``) of a plain one is kept beside it if the folder is writable. One that is
        there already is used if it is no older than the file and fits what the file holds, and made again if not.
    intervals
        n intervals.
    window
        Width in base pairs of the sequences, centered on ``(start + end) // 2``; N beyond the ends of the contig.
        ``None`` takes the intervals themselves.
    flank
        Base pairs on either side that are fetched too; N beyond the ends of the contig.
    missing
        What becomes of intervals whose contig is not in the FASTA: ``"raise"`` an error, ``"drop"`` them, or give them
        a sequence of ``"n"``.

    Returns
    -------
    Sequences of the intervals kept (upper-case A, C, G, T; N for other IUPAC codes, gaps and X, and beyond the ends of
    the contig), and which were kept, shape (n,).

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        No valid FASTA; letters that are no nucleotides, as in proteins, or blanks among the bases read; contigs that
        the FASTA lacks; or intervals past the end of their contig, more than the few above (whatever ``missing`` says:
        they belong to another genome build).

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from scllmda.genomics import Intervals, fetch_sequences
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "genome.fa").write_text(">chr1\nacgtacgt\n")
    ...     sequences, kept = fetch_sequences(f"{folder}/genome.fa", Intervals.from_names(["1:0-2"]), window=4)
    >>> sequences.tolist(), kept.tolist()
    (['NACG'], [True])
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
    start, end = start - flank, end + flank

    with open_fasta(fasta_of(fasta)) as genome:
        code, chrom = pd.factorize(intervals.chrom)
        contig = _find_contigs(chrom, genome.index.names)[code]
        found = contig >= 0
        if missing == "raise":
            _require_contigs(intervals, found, genome.index.names)
        require_ends_inside(intervals, found, np.where(found, genome.index.length[contig], 0))

        sequences = np.empty(len(intervals), dtype=object)
        sequences[~found] = np.full((~found).sum(), "N", dtype=object) * (end - start)[~found]
        rows = np.flatnonzero(found)
        _require_nucleotides(genome, np.unique(contig[rows]))
        warn_if_gc_poor(genome, contig, intervals, rows)
        rows = rows[np.argsort(genome.index.offset[contig[rows]] + start[rows])]
        for first in tqdm(range(0, len(rows), _CHUNK), desc="reading sequences", disable=None):
            chunk = rows[first : first + _CHUNK]
            sequences[chunk] = genome.read(contig[chunk], start[chunk], end[chunk])
    kept = found if missing == "drop" else np.ones(len(intervals), dtype=bool)
    return sequences[kept], kept


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
