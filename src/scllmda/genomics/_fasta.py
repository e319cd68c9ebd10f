"""Sequences of intervals from a FASTA."""

from __future__ import annotations

import gzip
import shutil
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
from tqdm import tqdm

from .. import _logging as logg
from ._gc import n_gc_rich
from ._intervals import bare_contig

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from os import PathLike

    import numpy.typing as npt
    from pyfaidx import Fasta

    from ._intervals import Intervals

Missing = Literal["raise", "drop", "n"]

_CHUNK = 20_000
"""Sequences read at once."""
_FLANK = 10_000
"""Base pairs on either side of a peak that its GC content is compared with."""
_N_CHECKED = 300
"""Peaks that are compared, at most: the share of the richer ones is known to 0.03, in a tenth of a second."""
_MIN_CHECKED = 100
_MIN_GC_RICH = 0.65
"""Right builds show about 84 %, wrong ones 45-57 % (see `n_gc_rich`)."""

_GZIP_MAGIC = b"\x1f\x8b"
_TO_ACGTN = bytes(ord(base) if (base := chr(i).upper()) in "ACGT" else ord("N") for i in range(256))


def fetch_sequences(
    fasta: str | PathLike[str], intervals: Intervals, *, window: int | None = None, missing: Missing = "raise"
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.bool_]]:
    r"""Fetch the sequence of each interval from a FASTA.

    Only the bases asked for are read, in their order in the file. ``chr1`` finds ``1`` and ``chrM`` finds ``MT``,
    and the other way round. Intervals that are no richer in G and C than what lies around them, as peaks on the wrong
    genome build, are warned about (if there are 100 to tell by).

    Parameters
    ----------
    fasta
        Plain, gzipped or bgzipped FASTA. A compressed one is unpacked into a temporary folder at each call, so unpack
        large genomes once. The index (``.fai``) of a plain one is kept beside it if the folder is writable.
    intervals
        n intervals.
    window
        Width in base pairs of the sequences, centred on ``(start + end) // 2``; N beyond the ends of the contig.
        ``None`` takes the intervals themselves.
    missing
        What becomes of intervals whose contig is not in the FASTA: ``"raise"`` an error, ``"drop"`` them, or give them
        a sequence of ``"n"``.

    Returns
    -------
    Sequences of the intervals kept (upper-case A, C, G, T; N for anything else), and which were kept, shape (n,).

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        No valid FASTA, contigs that it lacks, or an interval past the end of its contig (whatever ``missing`` says: it
        belongs to another genome build).

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

    with _open_fasta(Path(fasta).expanduser()) as genome:
        code, names = pd.factorize(intervals.chrom)
        contigs = _find_contigs(names, genome.keys())
        found = np.asarray([contig is not None for contig in contigs], dtype=bool)[code]
        place = _Contigs.of(genome, contigs).at(code)
        if missing == "raise":
            _require_contigs(intervals, found, list(genome.keys()))
        _require_same_build(intervals, found, place.length)

        sequences = np.empty(len(intervals), dtype=object)
        sequences[~found] = np.full((~found).sum(), "N", dtype=object) * (end - start)[~found]
        rows = np.flatnonzero(found)
        with _mapped(Path(genome.filename)) as text:
            _warn_if_gc_poor(text, place, intervals, rows, fasta)
            rows = rows[np.argsort(place.offset[rows] + start[rows])]
            for first in tqdm(range(0, len(rows), _CHUNK), desc="reading sequences", disable=None):
                chunk = rows[first : first + _CHUNK]
                sequences[chunk] = _read(text, place.at(chunk), start[chunk], end[chunk])
    kept = found if missing == "drop" else np.ones(len(intervals), dtype=bool)
    return sequences[kept], kept


@dataclass(frozen=True, eq=False)
class _Contigs:
    """Where in the file the bases of contigs are, one entry each."""

    length: npt.NDArray[np.int64]
    """In base pairs."""
    offset: npt.NDArray[np.int64]
    """Of the first base, in bytes."""
    line_bases: npt.NDArray[np.int64]
    line_bytes: npt.NDArray[np.int64]

    @classmethod
    def of(cls, genome: Fasta, contigs: list[str | None]) -> _Contigs:
        """Return the contigs as the index has them; those that the FASTA lacks have no bases."""
        index = genome.faidx.index
        entries = [
            (0, 0, 1, 1) if c is None else (index[c].rlen, index[c].offset, index[c].lenc, index[c].lenb)
            for c in contigs
        ]
        return cls(*np.asarray(entries, dtype=np.int64).reshape(-1, 4).T)

    def at(self, rows: npt.NDArray[np.integer]) -> _Contigs:
        return _Contigs(self.length[rows], self.offset[rows], self.line_bases[rows], self.line_bytes[rows])

    def byte(self, position: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return where in the file the bases at these positions of the contigs are."""
        line = position // self.line_bases
        return self.offset + line * self.line_bytes + position - line * self.line_bases


@contextmanager
def _open_fasta(path: Path) -> Iterator[Fasta]:
    """Open a FASTA that may be compressed and whose folder may be read-only."""
    from pyfaidx import Fasta, FastaIndexingError

    if not path.is_file():
        msg = f"Found no FASTA at {str(path)!r}; expected the path of the genome that the peaks were called on."
        raise FileNotFoundError(msg)
    with TemporaryDirectory(prefix="scllmda-") as scratch:
        plain = _unpack(path, Path(scratch)) if _is_compressed(path) else path
        index = Path(f"{plain}.fai")
        if not (index.exists() and index.stat().st_mtime >= plain.stat().st_mtime):
            index = Path(scratch, "index.fai")
        try:
            genome = Fasta(plain, indexname=index, as_raw=True)
        except (FastaIndexingError, ValueError) as error:
            msg = (
                f"Cannot index {str(path)!r}: {error} Expected a FASTA with unique contig names and lines of one "
                "length per contig. If that is what it is, delete the .fai file beside it."
            )
            raise ValueError(msg) from error
        with genome:
            if index.parent != plain.parent:
                _keep_index(index, Path(f"{plain}.fai"))
            yield genome


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC or path.suffix.lower() in {".gz", ".bgz"}


def _unpack(path: Path, folder: Path) -> Path:
    # pyfaidx reads bgzip only with Biopython, and plain gzip not at all.
    logg.info(f"unpacking {path.name} into a temporary folder; an unpacked FASTA is read at once")
    plain = folder / "genome.fa"
    try:
        with gzip.open(path) as packed, plain.open("wb") as file:
            shutil.copyfileobj(packed, file, length=1 << 20)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        msg = f"Cannot unpack {str(path)!r}: {error}. Expected a complete gzip or bgzip file; download it again."
        raise ValueError(msg) from error
    return plain


def _keep_index(index: Path, target: Path) -> None:
    """Put the index beside the FASTA if the folder allows it."""
    # Renaming is atomic: a process that runs beside this one never reads half an index.
    with suppress(OSError), TemporaryDirectory(dir=target.parent, prefix=".scllmda-") as folder:
        Path(shutil.copyfile(index, Path(folder, target.name))).replace(target)


def _find_contigs(names: Iterable[str], available: Iterable[str]) -> list[str | None]:
    """Return the FASTA's own name of each contig, None for those it lacks."""
    exact = set(available)
    alias = {bare_contig(name): name for name in available}
    return [name if name in exact else alias.get(bare_contig(name)) for name in names]


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


def _require_same_build(intervals: Intervals, found: npt.NDArray[np.bool_], length: npt.NDArray[np.int64]) -> None:
    outside = found & (intervals.end > length)
    if not outside.any():
        return
    msg = (
        f"{outside.sum()} of {len(intervals)} peaks end after their contig (first: {intervals.names()[outside][0]}, "
        f"but the contig is {length[outside][0]} bp long); expected all inside. The peaks were called on another "
        "genome build: pass the FASTA of that one (hg19 or hg38, mm10 or mm39 ...)."
    )
    raise ValueError(msg)


@contextmanager
def _mapped(path: Path) -> Iterator[mmap]:
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
        yield text


def _warn_if_gc_poor(
    text: mmap, place: _Contigs, intervals: Intervals, rows: npt.NDArray[np.intp], fasta: str | PathLike[str]
) -> None:
    rows = rows[:: len(rows) // _N_CHECKED + 1]
    place, start, end = place.at(rows), intervals.start[rows], intervals.end[rows]
    around = np.maximum(start - _FLANK, 0), np.minimum(end + _FLANK, place.length)
    n_rich, n_known = n_gc_rich(_read(text, place, start, end), _read(text, place, *around))
    if n_known >= _MIN_CHECKED and n_rich < _MIN_GC_RICH * n_known:
        logg.warning(
            f"{n_rich} of {n_known} peaks looked at are richer in G and C than the 10 kb on either side; most peaks of "
            f"vertebrates are. Check that they were called on the genome build of {str(fasta)!r}."
        )


def _read(text: mmap, place: _Contigs, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> list[str]:
    """Return the sequences from ``start`` to ``end``, N beyond the contigs' ends."""
    first, last = np.maximum(start, 0), np.minimum(end, place.length)
    from_to = zip(place.byte(first).tolist(), (place.byte(last - 1) + 1).tolist(), strict=True)
    # One pass over all of them turns bases to upper case and takes the line ends out.
    bases = b"".join([text[i:j] for i, j in from_to]).translate(_TO_ACGTN, b"\r\n").decode("ascii")
    stop = np.cumsum(last - first)
    sequences = [bases[i:j] for i, j in zip((stop - (last - first)).tolist(), stop.tolist(), strict=True)]
    for i in np.flatnonzero((start < first) | (last < end)):
        sequences[i] = "N" * int(first[i] - start[i]) + sequences[i] + "N" * int(end[i] - last[i])
    return sequences


def _some(names: npt.NDArray[np.str_] | list[str], n: int = 5) -> str:
    return ", ".join(str(name) for name in names[:n]) + (" ..." if len(names) > n else "")
