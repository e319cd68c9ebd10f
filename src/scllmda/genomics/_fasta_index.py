"""Where in a FASTA the bases of each contig are: its index, the ``.fai`` file."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import _logging as logg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from mmap import mmap

    import numpy.typing as npt

_N_LOOKED_AT = 4096
"""Largest number of bytes that are read to check one property of a contig, so that no check reads a whole genome. Lines
of a FASTA have 50 to 80 bases; of one that has a whole contig in a line, the start is checked."""


@dataclass(frozen=True, eq=False)
class FastaIndex:
    """The contigs of a FASTA and where in the file their bases are, with one entry per contig."""

    names: list[str]
    length: npt.NDArray[np.int64]
    """Length of the contig in base pairs."""
    offset: npt.NDArray[np.int64]
    """Byte of the file at which the contig's first base is."""
    line_bases: npt.NDArray[np.int64]
    """Bases in a full line."""
    line_bytes: npt.NDArray[np.int64]
    """Bytes of a full line, with its line end."""

    @classmethod
    def of(cls, contigs: Sequence[_Contig]) -> FastaIndex:
        """Return the index with these lines."""
        # A contig without bases has no lines to measure; a line of one base lets the arithmetic go through.
        entries = [
            (c.length, c.offset, c.line_bases, c.line_bytes) if c.length else (0, c.offset, 1, 1) for c in contigs
        ]
        return cls([c.name for c in contigs], *np.asarray(entries, dtype=np.int64).reshape(-1, 4).T)

    def byte(self, contig: npt.NDArray[np.integer], position: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the byte of the file at which the base at a position of a contig (row of the index) is."""
        line = position // self.line_bases[contig]
        return self.offset[contig] + position + line * (self.line_bytes - self.line_bases)[contig]

    def digest(self) -> bytes:
        """Return what tells this index from that of a file with other contigs."""
        numbers = (self.length, self.offset, self.line_bases, self.line_bytes)
        return blake2b(repr(self.names).encode() + b"".join(n.tobytes() for n in numbers), digest_size=16).digest()


def index_of(fasta: Path, text: mmap, scratch: Path) -> FastaIndex:
    """Return the index of a FASTA.

    The ``.fai`` beside it is taken if it is no older and fits what the file holds now: copies and downloads keep time
    stamps, so a younger index may be that of another file. Otherwise one is made, and put beside the FASTA if the
    folder allows it.

    Parameters
    ----------
    fasta
        Unpacked FASTA.
    text
        The bytes of that file.
    scratch
        Folder to make an index in.

    Raises
    ------
    ValueError
        The file is no FASTA, its contigs have no unique names or their lines no single length.
    """
    kept = Path(f"{fasta}.fai")
    if kept.exists():
        if kept.stat().st_mtime < fasta.stat().st_mtime:
            logg.info(f"the index {str(kept)!r} is older than its FASTA; it is made again")
        else:
            try:
                return _fitting_index(kept, text)
            except (OSError, ValueError) as error:
                logg.warning(
                    f"The index {str(kept)!r} does not fit its FASTA: {error}. It is made again from the FASTA."
                )
    made = scratch / "index.fai"
    _make_index(fasta, made)
    index = _fitting_index(made, text)
    _keep_index(made, kept)
    return index


class _Contig(NamedTuple):
    """A contig as a line of the index file describes it."""

    name: str
    length: int
    offset: int
    line_bases: int
    line_bytes: int

    @property
    def last_line(self) -> int:
        """Byte at which the last line starts."""
        return self.offset + (self.length - 1) // self.line_bases * self.line_bytes

    @property
    def end(self) -> int:
        """Byte after the last base."""
        if not self.length:
            return self.offset
        return self.last_line + (self.length - 1) % self.line_bases + 1


def _fitting_index(path: Path, text: mmap) -> FastaIndex:
    contigs = _read_contigs(path)
    _require_fit(contigs, text)
    return FastaIndex.of(contigs)


def _read_contigs(path: Path) -> list[_Contig]:
    with path.open(encoding="utf-8") as file:
        return [_parse(line.rstrip("\n")) for line in file]


def _parse(line: str) -> _Contig:
    name, *numbers = line.split("\t")
    if not name or len(numbers) != 4 or not all(number.isdecimal() for number in numbers):
        msg = f"found the line {line[:80]!r}, expected the name of a contig and four whole numbers"
        raise ValueError(msg)
    contig = _Contig(name, *map(int, numbers))
    if contig.length and not (
        0 < contig.line_bases <= contig.length and 0 <= contig.line_bytes - contig.line_bases <= 2
    ):
        msg = f"contig {name!r} cannot have {contig.length} bases in lines of {contig.line_bases} and its line ends"
        raise ValueError(msg)
    return contig


def _require_fit(contigs: Sequence[_Contig], text: mmap) -> None:
    """Check that the contigs fill the file: each lies between its own header and the next one."""
    if len({contig.name for contig in contigs}) < len(contigs) or not contigs:
        msg = f"it names {len(contigs)} contigs, expected at least one and none of them twice"
        raise ValueError(msg)
    end = 0
    for contig in sorted(contigs, key=lambda contig: contig.offset):
        header = _header(contig, text)
        if header is None:
            msg = f"expected the header line of contig {contig.name!r} to end before byte {contig.offset}"
            raise ValueError(msg)
        if not (_holds_line_ends_only(text, end, header) if end else header == _first_header(text)):
            msg = f"something else lies before the header of contig {contig.name!r}"
            raise ValueError(msg)
        end = contig.end
        if end > len(text):
            msg = f"contig {contig.name!r} should end at byte {end}, but the file has {len(text)}"
            raise ValueError(msg)
        if contig.length and not _lines_fit(contig, text):
            msg = f"the lines of contig {contig.name!r} are not {contig.line_bases} bases long"
            raise ValueError(msg)
    if not _holds_line_ends_only(text, end, len(text)):
        msg = f"contig {contig.name!r} should be the last and end at byte {end}, but more follows"
        raise ValueError(msg)


def _header(contig: _Contig, text: mmap) -> int | None:
    """Return the byte at which the contig's header starts, None if its first base does not follow such a line."""
    if not 0 < contig.offset <= len(text) or text[contig.offset - 1 : contig.offset] != b"\n":
        return None
    start = text.rfind(b"\n", 0, contig.offset - 1) + 1
    line = text[start : contig.offset]
    named = line.startswith(b">") and line[1:].decode().split()[:1] == [contig.name]
    return start if named else None


def _first_header(text: mmap) -> int:
    # Comments may come before it.
    return 0 if text[:1] == b">" else text.find(b"\n>") + 1


def _holds_line_ends_only(text: mmap, start: int, stop: int) -> bool:
    return 0 <= stop - start <= _N_LOOKED_AT and not text[start:stop].strip(b"\r\n")


def _lines_fit(contig: _Contig, text: mmap) -> bool:
    """Tell whether the first and the last line of a contig start and end where they should."""
    for start in (contig.offset, contig.last_line):
        line = text[start : min(start + contig.line_bases, contig.end, start + _N_LOOKED_AT)]
        if b"\n" in line or b"\r" in line:
            return False
    if contig.length == contig.line_bases:  # a single line, which the end of the file may end
        return True
    first_end = text[contig.offset + contig.line_bases : contig.offset + contig.line_bytes]
    last_end = text[contig.last_line - len(first_end) : contig.last_line]
    return first_end == last_end and first_end in (b"\n", b"\r\n")


def _make_index(fasta: Path, target: Path) -> None:
    from pyfaidx import Faidx, FastaIndexingError, UnsupportedCompressionFormat

    try:
        Faidx(fasta, indexname=target).close()
    except (FastaIndexingError, UnsupportedCompressionFormat) as error:
        raise ValueError(str(error).rstrip(".")) from error
    except RuntimeError as error:  # what pyfaidx calls unforeseen
        msg = "a contig has lines of several lengths, or blank lines after it"
        raise ValueError(msg) from error
    # pyfaidx before 0.9 lists comments before the first header as a contig at byte 0, where none can begin.
    lines = target.read_text(encoding="utf-8").splitlines(keepends=True)
    target.write_text("".join(line for line in lines if line.split("\t")[2:3] != ["0"]), encoding="utf-8")


def _keep_index(index: Path, target: Path) -> None:
    """Put the index beside the FASTA if the folder allows it."""
    # Renaming is atomic: a process that runs beside this one never reads half an index.
    with suppress(OSError), TemporaryDirectory(dir=target.parent, prefix=".scllmda-") as folder:
        Path(shutil.copyfile(index, Path(folder, target.name))).replace(target)
