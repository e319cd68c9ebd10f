"""Writing objects, and the file that HDF5 writes to."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import h5py
from anndata import AnnData

from ._written_aside import written_aside

if TYPE_CHECKING:
    from collections.abc import Callable

    from mudata import MuData

_LONG = 1 << 20
"""Bytes of the longest piece that HDF5 reads again after it was written."""


def write(data: AnnData | MuData, path: Path) -> None:
    """Write an object in the format that its path ends in, whole or not at all."""
    with written_aside(path) as aside:
        if path.suffix == ".zarr":
            data.write_zarr(aside)
        else:
            _write_hdf5(data, aside)


class _Hdf5Output(io.FileIO):
    """A file for HDF5 to write to, which keeps its first error to itself until HDF5 has closed.

    HDF5 cannot close a file that it failed to write to: h5py prints what goes wrong then instead of raising it, so that
    lost values may go unnoticed, and the process crashes in the end. So from the first error on nothing more is written
    to the disk. What HDF5 may read again, to change it, is kept in memory for that long: its own marks and texts, which
    are short. Long pieces are values.
    """

    error: BaseException | None = None

    def __init__(self, path: Path) -> None:
        super().__init__(path, "x+")
        self._kept: list[tuple[int, bytes]] = []

    def __fspath__(self) -> str:
        # A path as well, for functions that ask for one before they give it to h5py.
        return str(self.name)

    def write(self, data: Any) -> int:
        content, start = memoryview(data).cast("B"), self.tell()
        self._unless_failed(self._write_all, content)
        if self.error is not None and len(content) <= _LONG:
            self._kept.append((start, bytes(content)))
        self.seek(start + len(content))
        return len(content)

    def readinto(self, buffer: Any) -> int:
        content, start = memoryview(buffer).cast("B"), self.tell()
        n_read = super().readinto(content) or 0
        content[n_read:] = bytes(len(content) - n_read)
        for place, kept in self._kept:
            first, last = max(start, place), min(start + len(content), place + len(kept))
            if first < last:
                content[first - start : last - start] = kept[first - place : last - place]
        self.seek(start + len(content))
        return len(content)

    def truncate(self, size: int | None = None) -> int:
        self._unless_failed(super().truncate, size)
        return self.tell() if size is None else size

    def _write_all(self, rest: memoryview) -> None:
        while rest:
            rest = rest[super().write(rest) :]

    def _unless_failed(self, call: Callable[[Any], object], argument: Any) -> None:
        if self.error is None:
            try:
                call(argument)
            except BaseException as error:
                self.error = error


def _write_hdf5(data: AnnData | MuData, path: Path) -> None:
    # In a thread of its own, for signals reach only the main one: an exception of Ctrl-C must not pass through HDF5.
    with _Hdf5Output(path) as file:
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(_write_h5ad if isinstance(data, AnnData) else _write_h5mu, data, file)
            try:
                writing.result()
            except BaseException as error:
                file.error = file.error or error
        if file.error is not None:
            raise file.error


def _write_h5ad(adata: AnnData, file: _Hdf5Output) -> None:
    """Write as :meth:`anndata.AnnData.write_h5ad` does, which takes nothing but a path."""
    adata.strings_to_categoricals()
    if adata.raw is not None:
        adata.strings_to_categoricals(adata.raw.var)
    with h5py.File(file, "w") as root:
        anndata.io.write_elem(root, "/", adata)
        if adata.raw is None:
            # An entry that says so is new: older versions cannot read it.
            del root["raw"]


def _write_h5mu(mdata: MuData, file: _Hdf5Output) -> None:
    from mudata import write_h5mu

    write_h5mu(file, mdata)
