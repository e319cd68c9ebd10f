"""Reading objects from paths, checking paths before any work, and writing files that are whole or not there."""

from __future__ import annotations

import ctypes
import errno
import io
import os
import shutil
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from glob import escape
from importlib import import_module
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from platform import node
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anndata
import h5py  # type: ignore[import-untyped]
from anndata import AnnData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import zarr
    from mudata import MuData

_SUFFIXES = {".h5ad": "AnnData", ".h5mu": "MuData"}
"""What the HDF5 files of each name hold; a folder named .zarr holds either."""
_STORE_FILES = ("zarr.json", ".zgroup")
"""What a zarr store has in its folder: the first in version 3 of the format, the second in version 2."""
_ZSTD = 32015
"""Number of the HDF5 filter that SnapATAC2 compresses with, from the HDF Group's list of registered filters."""
_GZIP_MAGIC = b"\x1f\x8b"
_ATTEMPTS = 100
"""Times that a step is tried again which another process came in the way of."""
_LONG = 1 << 20
"""Bytes of the longest piece that HDF5 reads again after it was written."""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Numbers of Linux, from linux/fcntl.h and linux/fs.h."""
_RENAME_SWAP = 2
"""Number of macOS, from sys/stdio.h."""

# The functions up to the next such line read objects.


def load(data: AnnData | MuData | str | PathLike[str]) -> AnnData | MuData:
    """Return an object as it is, or read it from a ``.h5ad``, ``.h5mu`` or ``.zarr`` path.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        A path of another kind.
    ImportError
        The file is compressed in a way that needs ``hdf5plugin``, which is not installed.
    OSError
        The file is damaged, or may not be read.
    """
    if not isinstance(data, str | PathLike):
        return data
    path = Path(data).expanduser()
    holds = require_readable(path)
    with _damage_named(path):
        return _unless_replaced(path, _read_store if path.suffix == ".zarr" else _read_hdf5, holds)


def require_readable(path: Path) -> str:
    """Return whether a path holds an "AnnData" or a "MuData"; raise as :func:`load` does if it holds neither."""
    _require_there(path, "the path of a .h5ad, .h5mu or .zarr")
    if path.suffix == ".zarr":
        return _require_store(path)
    if path.is_file() and (path.suffix in _SUFFIXES or h5py.is_hdf5(path)):
        return _require_hdf5(path)
    if path.is_dir() and any(path.glob("matrix.mtx*")):
        raise ValueError(_about_cell_ranger(path, path.with_name(f"{path.name}.h5")))
    _require_unpacked(path)
    found = f"{'folder ' if path.is_dir() else ''}{str(path)!r}"
    msg = f"Cannot tell the format of {found}; expected a .h5ad, .h5mu or .zarr. Rename it, or pass the object."
    raise ValueError(msg)


def _require_there(path: Path, expected: str) -> None:
    try:
        mode = os.R_OK | os.X_OK if path.is_dir() else os.R_OK
        path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = "" if path.is_absolute() else f", which starts in {str(Path.cwd())!r}"
        msg = f"Found no file {str(path)!r}; expected {expected}. Correct the path{hint}."
        raise FileNotFoundError(msg) from error
    except PermissionError:
        readable = False
    else:
        readable = os.access(path, mode)
    if not readable:
        msg = f"You may not read {str(path)!r}; expected {expected} that you may. Change its permissions, with chmod."
        raise PermissionError(msg)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Name the file in whatever the libraries below raise at one that is damaged."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        where = "; ".join(getattr(error, "__notes__", ()))
        found = " ".join(f"{type(error).__name__}: {error} {where}".split())
        msg = (
            f"Cannot read {str(path)!r} ({found}); expected a whole file that anndata {version('anndata')} can read. "
            "It is damaged, incomplete or written by a newer version: copy it again, or pip install --upgrade anndata"
        )
        raise OSError(msg) from error


def _unless_replaced(path: Path, read: Callable[[Path, str], Any], holds: str = "") -> Any:
    """Read; again if another process replaced a folder meanwhile, whose old and new files would be mixed."""
    for _ in range(_ATTEMPTS):
        before = _identity(path)
        try:
            data = read(path, holds)
        except Exception:
            if _identity(path) == before:
                raise
        else:
            if path.is_file() or _identity(path) == before:
                return data
    msg = f"it was replaced {_ATTEMPTS} times while it was read"
    raise OSError(msg)


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def _require_unpacked(path: Path) -> None:
    if not path.is_file():
        return
    with path.open("rb") as file:
        is_packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    if is_packed:
        msg = f"{str(path)!r} is packed by gzip; expected a .h5ad, .h5mu or .zarr. Unpack it first: gunzip {path}"
        raise ValueError(msg)


def _require_hdf5(path: Path) -> str:
    """Return what an HDF5 file holds, which its name has to say as well."""
    _require_unpacked(path)
    with _damage_named(path), h5py.File(path, "r") as file:
        kind = _kind(file)
        names = sorted(file)
        is_matrix = "matrix/barcodes" in file
        missing = _missing_filters(file)
    if is_matrix:
        raise ValueError(_about_cell_ranger(path, path))
    if kind is None:
        msg = f"{str(path)!r} holds neither an AnnData nor a MuData; expected one of them. Found the entries {names}."
        raise ValueError(msg)
    if _SUFFIXES.get(path.suffix) != kind:
        suffix = next(suffix for suffix, held in _SUFFIXES.items() if held == kind)
        msg = f"{str(path)!r} holds an object of type {kind}; expected a name that ends in {suffix!r} then. Rename it."
        raise ValueError(msg)
    if missing:
        _require_filters(path, missing)
    return kind


def _about_cell_ranger(path: Path, matrix: Path) -> str:
    return (
        f"{str(path)!r} holds a matrix of Cell Ranger; expected an AnnData or a MuData. Read it with adata = "
        f"scanpy.read_10x_h5({str(matrix)!r}, gex_only=False), keep its peaks with adata = "
        "adata[:, adata.var['feature_types'] == 'Peaks'].copy(), and pass adata, or the file that "
        f"adata.write_h5ad({matrix.with_suffix('.h5ad').name!r}) writes."
    )


def _require_store(path: Path) -> str:
    """Return what a zarr store holds."""
    if not path.is_dir():
        msg = f"{str(path)!r} is a file; expected the folder of a zarr store. Unpack it if it is packed."
        raise ValueError(msg)
    if not _is_store(path):
        msg = f"{str(path)!r} is a folder without {' or '.join(_STORE_FILES)}; expected a zarr store. Pass one."
        raise ValueError(msg)
    with _damage_named(path):
        kind = _unless_replaced(path, lambda path, _: _kind(_open_store(path)))
    if kind is None:
        msg = f"{str(path)!r} holds neither an AnnData nor a MuData; expected one of them. Pass another path."
        raise ValueError(msg)
    return kind


def _is_store(path: Path) -> bool:
    return any((path / name).is_file() for name in _STORE_FILES)


def _open_store(path: Path) -> zarr.Group:
    import zarr

    return zarr.open_group(path, mode="r")


def _kind(root: h5py.File | zarr.Group) -> str | None:
    if "mod" in root:
        return "MuData"
    return "AnnData" if "obs" in root or root.attrs.get("encoding-type") == "anndata" else None


def _missing_filters(file: h5py.File) -> set[int]:
    """Return the numbers of the filters that compressed some values and that HDF5 does not have."""
    found: set[int] = set()

    def look(_: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset):
            settings = node.id.get_create_plist()
            found.update(settings.get_filter(i)[0] for i in range(settings.get_nfilters()))

    file.visititems(look)
    return {number for number in found if not h5py.h5z.filter_avail(number)}


def _require_filters(path: Path, missing: set[int]) -> None:
    """Load the filters of hdf5plugin; raise if it is not installed, or does not have them."""
    try:
        import_module("hdf5plugin")
    except ImportError as error:
        msg = (
            f"{str(path)!r} is compressed by the HDF5 filter {_listed(missing)}; to read that, expected the package "
            "hdf5plugin, which is not installed. Install it: pip install hdf5plugin"
        )
        raise ImportError(msg) from error
    if still := {number for number in missing if not h5py.h5z.filter_avail(number)}:
        msg = (
            f"{str(path)!r} is compressed by the HDF5 filter {_listed(still)}, which hdf5plugin lacks; expected one it "
            "has. Write it again where it can be read: adata.write_h5ad(path, compression='gzip')."
        )
        raise ImportError(msg)


def _listed(filters: set[int]) -> str:
    return ", ".join("zstd" if number == _ZSTD else str(number) for number in sorted(filters))


def _read_hdf5(path: Path, holds: str) -> AnnData | MuData:
    if holds == "AnnData":
        return anndata.read_h5ad(path)
    from mudata import read_h5mu

    return read_h5mu(path)


def _read_store(path: Path, holds: str) -> AnnData | MuData:
    for group in _groups(_open_store(path)):
        _require_chunks(group)
    if holds == "AnnData":
        return anndata.read_zarr(path)
    from mudata import read_zarr

    return read_zarr(path)


def _groups(group: zarr.Group) -> Iterator[zarr.Group]:
    yield group
    for _, inside in group.groups():
        yield from _groups(inside)


def _require_chunks(group: zarr.Group) -> None:
    """Raise if values that cannot all be empty have no file: zarr reads what is missing as zeros, without a word."""
    encoding = group.attrs.get("encoding-type")
    if encoding in {"csr_matrix", "csc_matrix"}:
        values: Any = group["data"]
    elif encoding == "dataframe":
        values = group[str(group.attrs["_index"])]
        if values.attrs.get("encoding-type") != "string-array":
            return
    else:
        return
    if lacking := values.nchunks - values.nchunks_initialized:
        msg = f"{lacking} of {values.nchunks} chunks of {values.name!r} are not there"
        raise ValueError(msg)


# These check paths before any work.


@contextmanager
def naming(option: str) -> Iterator[None]:
    """Name the option of the command line that gave a path in the errors about it."""
    try:
        yield
    except (ImportError, OSError, ValueError) as error:
        msg = f"{option}: {error}"
        raise type(error)(msg) from error


def require_file(path: Path, expected: str) -> None:
    """Raise unless there is a file that may be read; ``expected`` says what it should be."""
    _require_there(path, expected)
    if path.is_dir():
        msg = f"Found a folder {str(path)!r}; expected {expected}."
        raise IsADirectoryError(msg)


def require_output(path: Path, suffix: str) -> None:
    """Raise unless a file or store of this format can be written under this name."""
    if path.suffix != suffix:
        msg = f"{str(path)!r} should end in {suffix!r}, the format of what it is to hold. Rename it."
        raise ValueError(msg)
    if not path.parent.is_dir():
        msg = f"For {str(path)!r} found no folder {str(path.parent)!r}; expected one that is there. Make it first."
        raise FileNotFoundError(msg)
    path = path.resolve()
    if path.exists():
        _require_replaceable(path, suffix)
    _require_writable(path.parent, path.name)


def _require_replaceable(path: Path, suffix: str) -> None:
    expected = "a zarr store" if suffix == ".zarr" else "a file"
    is_of_format = path.is_file()
    if suffix == ".zarr":
        is_of_format = path.is_dir() and (_is_store(path) or not any(path.iterdir()))
    if not is_of_format:
        msg = f"Found {str(path)!r}, which is not {expected} and so is not replaced. Choose another name."
        raise ValueError(msg)
    if not os.access(path, os.W_OK):
        msg = f"You may not write to {str(path)!r}; expected {expected} that may be replaced. Choose another name."
        raise PermissionError(msg)


def require_folder(path: Path) -> None:
    """Raise unless files can be written to a folder that is there or is to be made."""
    path = path.resolve()
    there = next(place for place in (path, *path.parents) if place.exists())
    if not there.is_dir():
        msg = f"Found a file {str(there)!r}; expected a folder, there or to be made. Choose another one."
        raise NotADirectoryError(msg)
    _require_writable(there, path.name)


def _require_writable(folder: Path, name: str) -> None:
    """Try it, since permissions do not tell of everything, such as a name that is too long."""
    probe = _name_aside(folder / name)
    try:
        probe.touch(exist_ok=False)
    except OSError as error:
        msg = (
            f"Cannot write {name!r} to the folder {str(folder)!r} ({error.strerror}); expected one that can be written "
            "to. Choose another one."
        )
        raise OSError(msg) from error
    finally:
        _remove(probe)


def require_apart(path: Path, other: Path, name: str) -> None:
    """Raise if a path to be written is, or lies in, another one; ``name`` says what that one is."""
    mine, others = path.resolve(), other.resolve()
    is_same = path.exists() and other.exists() and path.samefile(other)
    if is_same or others in (mine, *mine.parents):
        msg = f"Found {str(path)!r}, which is, or lies in, {name} {str(other)!r}; expected another place. Choose one."
        raise ValueError(msg)


# These write files.


def write(data: AnnData | MuData, path: Path) -> None:
    """Write an object in the format that its path ends in, whole or not at all."""
    with written_aside(path) as aside:
        if path.suffix == ".zarr":
            data.write_zarr(aside)
        else:
            _write_hdf5(data, aside)


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give a name beside a path to write to, and rename to the path at the end, so that no one reads half a file.

    Whatever is raised inside, nothing is left under the name beside, and what was there before stays as it was. Only a
    process that is killed at once cannot clean up; the next one that writes to the same path does it. Any number of
    processes can write to one path: the last one wins.

    Parameters
    ----------
    path
        File or folder to write, in a folder that is there.

    Yields
    ------
    Name that nothing has yet, with the suffix of ``path``.

    Raises
    ------
    OSError
        The disk is full, or fails otherwise.
    """
    path = path.resolve()
    _remove_stale(path)
    aside = _name_aside(path)
    try:
        yield aside
        with suppress(FileNotFoundError):
            shutil.copymode(path, aside)
        _put_in_place(aside, path)
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        advice = "Make room on the disk, or choose another one" if full else "Choose another place"
        found = error.strerror or error
        msg = f"Cannot write {str(path)!r} ({found}). {advice}; what was there before is as it was."
        raise OSError(msg) from error
    finally:
        _remove(aside)


def _name_aside(path: Path, *, kind: str = "partial") -> Path:
    """Return a new name that tells which file it belongs to, and which process of which machine writes it."""
    return path.with_name(f".{path.stem}.{_machine()}-{os.getpid()}-{uuid4().hex[:8]}.{kind}{path.suffix}")


def _machine() -> str:
    """Return a short name of this machine, among those that share a folder."""
    return f"{zlib.crc32(node().encode()):08x}"


def _remove_stale(path: Path) -> None:
    """Remove what processes of this machine that are no more left when they wrote to this path."""
    # Where the path has nothing, a store that was moved aside may be all that is left of it.
    for kind in ("partial", "replaced") if path.exists() else ("partial",):
        for left in path.parent.glob(f".{escape(path.stem)}.{_machine()}-*-*.{kind}{escape(path.suffix)}"):
            pid = left.name.removeprefix(f".{path.stem}.").split("-")[1]
            if pid.isdecimal() and not _is_running(int(pid)):
                _remove(left)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _remove(path: Path) -> None:
    """Remove a file or folder, if it is there, and as a whole even if a signal comes meanwhile."""
    # Signals reach only the main thread, and leaving the block waits for this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_remove_now, path).result()


def _remove_now(path: Path) -> None:
    """Remove a file or folder; one that cannot be removed must not hide why it is to be."""
    _wait_for_zarr()
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _wait_for_zarr() -> None:
    """Wait until zarr has written what it was told to: after an error or Ctrl-C its thread goes on with the rest."""
    module: Any = sys.modules.get("zarr.core.sync")
    loop = None if module is None else module.loop[0]
    if loop is None:
        return
    import asyncio

    while loop.is_running() and asyncio.all_tasks(loop):
        time.sleep(0.01)


def _put_in_place(aside: Path, path: Path) -> None:
    """Give a file or folder its final name, and remove what had it."""
    if not aside.is_dir():
        # A file that the system loses with the power must not have taken the place of a whole one.
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
        return
    for _ in range(_ATTEMPTS):
        # Between any two steps another process may put its own in place, or take one away to do so.
        if _exchange(aside, path) or _rename(aside, path) or _move_over(aside, path):
            return
    msg = f"other processes replaced it {_ATTEMPTS} times meanwhile"
    raise OSError(msg)


def _exchange(one: Path, other: Path) -> bool:
    """Swap what two names mean in one step, if the system and the file system can; return whether they did."""
    names = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux":
        swap = getattr(ctypes.CDLL(None), "renameat2", None)
        return swap is not None and swap(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0
    if sys.platform == "darwin":
        swap = getattr(ctypes.CDLL(None), "renamex_np", None)
        return swap is not None and swap(*names, _RENAME_SWAP) == 0
    return False


def _rename(folder: Path, path: Path) -> bool:
    """Rename a folder, unless the name is taken; return whether it was free."""
    try:
        folder.rename(path)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            return False
        raise
    return True


def _move_over(aside: Path, path: Path) -> bool:
    """Replace a folder in two steps, between which the path has nothing; return whether both were done."""
    replaced = _name_aside(path, kind="replaced")
    try:
        path.rename(replaced)
        return _rename(aside, path)
    except FileNotFoundError:
        return False
    finally:
        # Interrupted between the steps: the old one goes back, unless another process was quicker.
        if path.exists() or not replaced.exists() or not _rename(replaced, path):
            _remove(replaced)


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
