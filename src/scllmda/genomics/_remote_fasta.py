"""A FASTA that was checked in one process and is read in others, such as the workers of a cluster."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Lock
from typing import TYPE_CHECKING, Self

from ._fasta_file import open_fasta

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from ._fasta_file import FastaFile

_INSTEAD = (
    "Put the file that you pass as genome= at this path on every worker, or send the sequences from here: "
    "sl.pp.peak_sequences(adata, genome, missing='n'), then sl.tl.embed_peaks(adata, client=client)."
)


class RemoteFasta:
    """A FASTA by its path, which is opened by the process that reads it and can be passed on to others.

    It is opened, and unpacked if it is compressed, at the first read. It stays open, for all threads of the process,
    until it is dropped.

    Parameters
    ----------
    path
        Absolute path of the FASTA, compressed or not.
    digest
        Of its index (:meth:`FastaIndex.digest`), by which the file is told from another.
    """

    def __init__(self, path: Path, digest: bytes) -> None:
        self.path = path
        self._digest = digest
        self._opening = Lock()
        self._file: FastaFile | None = None

    def __reduce__(self) -> tuple[type[Self], tuple[Path, bytes]]:
        """Return what is passed on: not the open file."""
        return type(self), (self.path, self._digest)

    def read(
        self, contig: npt.NDArray[np.integer], start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
    ) -> list[str]:
        """Return sequences as :meth:`FastaFile.read` does.

        Raises
        ------
        OSError
            This process cannot read the file.
        ValueError
            This process has another file at the path; or the bases are no nucleotides.
        """
        with self._opening:
            if self._file is None:
                self._file = self._open()
        return self._file.read(contig, start, end)

    def _open(self) -> FastaFile:
        with ExitStack() as stack:
            try:
                file = stack.enter_context(open_fasta(self.path))
            except OSError as error:
                msg = f"A worker cannot read the FASTA {str(self.path)!r} ({error.strerror}). {_INSTEAD}"
                raise OSError(error.errno, msg) from error
            if file.index.digest() != self._digest:
                msg = f"A worker found another FASTA at {str(self.path)!r} than was checked before. {_INSTEAD}"
                raise ValueError(msg)
            # Closes the file when this object is dropped.
            self._open_until_dropped = stack.pop_all()
        return file
