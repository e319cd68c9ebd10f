"""A FASTA open for reading: unpacked, indexed and mapped into memory."""

from __future__ import annotations

import gzip
import shutil
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .. import _logging as logg
from ._fasta_index import FastaIndex, index_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

_GZIP_MAGIC = b"\x1f\x8b"
_LINE_ENDS = b"\r\n"
_NEWLINE = ord("\n")
_UNKNOWN_BASES = "URYSWKMBDHVNX-"
"""Letters that are read as N: IUPAC codes other than A, C, G and T, gaps, and X, which RepeatMasker can mask with."""
_FOREIGN = b"?"
"""Stands for every byte that is no nucleotide."""
_TO_ACGTN = bytes(
    ord(letter) if letter in "ACGT" else ord("N") if letter in _UNKNOWN_BASES else ord(_FOREIGN)
    for letter in (chr(byte).upper() for byte in range(256))
)
"""What each of the 256 bytes is read as: A, C, G, T or N, or ``_FOREIGN``."""


@dataclass(frozen=True, eq=False)
class FastaFile:
    """An open FASTA, whose contigs sequences are read from."""

    path: Path
    """Path that the user gave, compressed or not, for messages."""
    text: mmap
    """Bytes of the unpacked file."""
    index: FastaIndex

    def read(
        self, contig: npt.NDArray[np.integer], start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
    ) -> list[str]:
        """Return the sequences from ``start`` to ``end`` of contigs (rows of the index), N beyond the contigs' ends.

        Raises
        ------
        ValueError
            The bytes at these positions are no nucleotides, or lines end elsewhere than the index says.
        """
        length = self.index.length[contig]
        first, last = np.clip(start, 0, length), np.clip(end, 0, length)
        begin = self.index.byte(contig, first)
        stop = np.where(first < last, self.index.byte(contig, last - 1) + 1, begin)
        pieces = [
            self.text[i:j].translate(_TO_ACGTN, _LINE_ENDS) for i, j in zip(begin.tolist(), stop.tolist(), strict=True)
        ]
        n_bases, in_line = (last - first).tolist(), self._are_in_line(contig, first, last)
        for i, piece in enumerate(pieces):
            if len(piece) != n_bases[i] or not in_line[i] or _FOREIGN in piece:
                where = f"{self.index.names[contig[i]]}:{first[i]}-{last[i]} of {str(self.path)!r}"
                _refuse(self.text[begin[i] : stop[i]], where)
        sequences = [piece.decode("ascii") for piece in pieces]
        width = end - start
        for i in np.flatnonzero(last - first < width).tolist():
            n_before = min(max(-int(start[i]), 0), int(width[i]))
            sequences[i] = ("N" * n_before + sequences[i]).ljust(int(width[i]), "N")
        return sequences

    def _are_in_line(
        self, contig: npt.NDArray[np.integer], first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]
    ) -> list[bool]:
        """Return for each sequence whether its first line, and the line after its last one, follow a line end."""
        line, length = self.index.line_bases[contig], self.index.length[contig]
        before, after = first - first % line, last + -last % line
        # Where there is no such line, as at the end of the contig, the contig's first line stands in for it.
        starts = [self.index.byte(contig, np.where(p < length, p, 0)).tolist() for p in (before, after)]
        return [self.text[i - 1] == self.text[j - 1] == _NEWLINE for i, j in zip(*starts, strict=True)]


def _refuse(text: bytes, where: str) -> NoReturn:
    known = bytes(byte for byte in range(256) if _TO_ACGTN[byte] != ord(_FOREIGN))
    foreign = text.translate(None, known + _LINE_ENDS).decode("latin-1")
    if foreign:
        msg = (
            f"Found {foreign[0]!r} in {where}; expected IUPAC codes of nucleotides (A, C, G, T, N ...) only. Pass the "
            "FASTA of a genome, not of proteins; take blanks out of one with sed '/^>/!s/[[:blank:]]//g'."
        )
        raise ValueError(msg)
    msg = (
        f"Found line ends at unforeseen places in {where}; expected lines of one length per contig. Write the FASTA "
        "anew with such lines, delete the .fai file beside it, and call this again."
    )
    raise ValueError(msg)


def fasta_of(genome: Any) -> Path:
    """Return the path of a genome's FASTA, which is there.

    Parameters
    ----------
    genome
        Path of the FASTA, or an object whose ``.fasta`` is that path.

    Raises
    ------
    TypeError
        It is neither.
    FileNotFoundError
        There is no such file.
    """
    path = getattr(genome, "fasta", genome)
    if not isinstance(path, str | PathLike):
        msg = f"Found genome={genome!r}; expected the path of a FASTA, or an object with a .fasta."
        raise TypeError(msg)
    path = Path(path).expanduser()
    if not path.is_file():
        msg = f"Found no FASTA at {str(path)!r}; expected genome= the path of the genome that the peaks were called on."
        raise FileNotFoundError(msg)
    return path


@contextmanager
def open_fasta(path: Path) -> Iterator[FastaFile]:
    """Open a FASTA that may be compressed and whose folder may be read-only.

    Parameters
    ----------
    path
        Plain, gzipped or bgzipped FASTA.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no FASTA that can be indexed, or a broken archive.
    """
    with TemporaryDirectory(prefix="scllmda-") as scratch:
        plain = _unpack(path, Path(scratch)) if _is_compressed(path) else path
        if not plain.stat().st_size:
            _refuse_file(path, "it is empty")
        with plain.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
            try:
                index = index_of(plain, text, Path(scratch))
            except ValueError as error:
                _refuse_file(path, str(error))
            yield FastaFile(path, text, index)


def _refuse_file(path: Path, reason: str) -> NoReturn:
    msg = (
        f"Cannot index {str(path)!r}: {reason}. Expected a FASTA with unique contig names and lines of one length per "
        "contig, without blank lines. Download it again, or write it anew that way."
    )
    raise ValueError(msg)


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
