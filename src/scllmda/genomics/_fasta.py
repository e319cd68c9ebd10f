"""Sequences of intervals from a FASTA."""

from __future__ import annotations

import gzip
import shutil
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from .. import _logging as logg
from ._intervals import bare_contig

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from os import PathLike

    import numpy.typing as npt
    from pyfaidx import Fasta, FastaRecord

    from ._intervals import Intervals

Missing = Literal["raise", "drop", "n"]

_GZIP_MAGIC = b"\x1f\x8b"
_TO_ACGTN = bytes(ord(base) if (base := chr(i).upper()) in "ACGT" else ord("N") for i in range(256))


def fetch_sequences(
    fasta: str | PathLike[str], intervals: Intervals, *, window: int | None = None, missing: Missing = "raise"
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.bool_]]:
    r"""Fetch the sequence of each interval from a FASTA.

    Every contig is read once, from the first base needed to the last. ``chr1`` finds ``1`` and ``chrM`` finds ``MT``,
    and the other way round.

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
        length = np.asarray([0 if contig is None else len(genome[contig]) for contig in contigs], dtype=np.int64)[code]
        if missing == "raise":
            _require_contigs(intervals, found, list(genome.keys()))
        _require_same_build(intervals, found, length)

        sequences = np.empty(len(intervals), dtype=object)
        sequences[~found] = np.full((~found).sum(), "N", dtype=object) * (end - start)[~found]
        rows_of = np.split(np.argsort(code, kind="stable"), np.cumsum(np.bincount(code))[:-1])
        to_read = [(contig, rows) for contig, rows in zip(contigs, rows_of, strict=False) if contig is not None]
        for contig, rows in tqdm(to_read, desc="reading contigs", disable=None):
            sequences[rows] = _slices(genome[contig], start[rows], end[rows])
    kept = found if missing == "drop" else np.ones(len(intervals), dtype=bool)
    return sequences[kept], kept


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


def _slices(contig: FastaRecord, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> list[str]:
    """Return the sequences from ``start`` to ``end``, N beyond the contig's ends."""
    first, last = int(start.min()), int(end.max())
    inside = contig[max(first, 0) : min(last, len(contig))].encode().translate(_TO_ACGTN).decode()
    text = "N" * max(-first, 0) + inside + "N" * max(last - len(contig), 0)
    return [text[i:j] for i, j in zip((start - first).tolist(), (end - first).tolist(), strict=True)]


def _some(names: npt.NDArray[np.str_] | list[str], n: int = 5) -> str:
    return ", ".join(str(name) for name in names[:n]) + (" ..." if len(names) > n else "")
