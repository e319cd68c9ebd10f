"""Checking paths before any work."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ._stores import is_store
from ._written_aside import name_aside, remove

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def naming(option: str) -> Iterator[None]:
    """Name the option of the command line that gave a path in the errors about it."""
    try:
        yield
    except (ImportError, OSError, ValueError) as error:
        msg = f"{option}: {error}"
        raise type(error)(msg) from error


def require_there(path: Path, expected: str) -> None:
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


def require_file(path: Path, expected: str) -> None:
    """Raise unless there is a file that may be read; ``expected`` says what it should be."""
    require_there(path, expected)
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
        is_of_format = path.is_dir() and (is_store(path) or not any(path.iterdir()))
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
    probe = name_aside(folder / name)
    try:
        probe.touch(exist_ok=False)
    except OSError as error:
        msg = (
            f"Cannot write {name!r} to the folder {str(folder)!r} ({error.strerror}); expected one that can be written "
            "to. Choose another one."
        )
        raise OSError(msg) from error
    finally:
        remove(probe)


def require_apart(path: Path, other: Path, name: str) -> None:
    """Raise if a path to be written is, or lies in, another one; ``name`` says what that one is."""
    mine, others = path.resolve(), other.resolve()
    is_same = path.exists() and other.exists() and path.samefile(other)
    if is_same or others in (mine, *mine.parents):
        msg = f"Found {str(path)!r}, which is, or lies in, {name} {str(other)!r}; expected another place. Choose one."
        raise ValueError(msg)
