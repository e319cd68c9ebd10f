"""What reading either format shares: errors that name the file, another try, and telling what is held."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._written_aside import ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    import h5py
    import zarr


_PACKERS = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"\x28\xb5\x2f\xfd": ("zstd", "zstd -d"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\x00": ("xz", "unxz"),
    b"PK\x03\x04": ("zip", "unzip"),
}
"""What packed files begin with: by what program, and the command that unpacks them."""


def require_unpacked(path: Path, expected: str, *, but: Collection[str] = ()) -> None:
    """Raise if a file is packed as a whole, unless by one of ``but``; ``expected`` says what it should be."""
    with path.open("rb") as file:
        first = file.read(8)
    packed_by, command = next((found for magic, found in _PACKERS.items() if first.startswith(magic)), ("", ""))
    if packed_by and packed_by not in but:
        msg = f"{str(path)!r} is packed by {packed_by}; expected {expected}. Unpack it first: {command} {path}"
        raise ValueError(msg)


@contextmanager
def damage_named(path: Path, *, of_anndata: bool = True) -> Iterator[None]:
    """Name the file, one that anndata writes or another, in whatever the libraries below raise at a damaged one."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        where = "; ".join(getattr(error, "__notes__", ()))
        found = " ".join(f"{type(error).__name__}: {error} {where}".split())
        msg = f"Cannot read {str(path)!r} ({found}); expected a whole file"
        if of_anndata:
            msg += (
                f" that anndata {version('anndata')} can read. It is damaged, incomplete or written by a newer "
                "version: copy it again, or pip install --upgrade anndata"
            )
        else:
            msg += ". It is damaged, incomplete or of another kind: copy it again."
        raise OSError(msg) from error


def unless_replaced(path: Path, read: Callable[[Path, str], Any], holds: str = "") -> Any:
    """Read; again if another process replaced a folder meanwhile, whose old and new files would be mixed."""
    for _ in range(ATTEMPTS):
        before = _identity(path)
        try:
            data = read(path, holds)
        except Exception:
            if _identity(path) == before:
                raise
        else:
            if path.is_file() or _identity(path) == before:
                return data
    msg = f"it was replaced {ATTEMPTS} times while it was read"
    raise OSError(msg)


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def kind_of(root: h5py.File | zarr.Group) -> str | None:
    if "mod" in root:
        return "MuData"
    return "AnnData" if "obs" in root or root.attrs.get("encoding-type") == "anndata" else None
