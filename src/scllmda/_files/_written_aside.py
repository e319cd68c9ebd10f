"""Writing beside a path and renaming at the end, so that a file is whole or not there."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from platform import node
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterator

ATTEMPTS = 100
"""Times that a step is tried again which another process came in the way of."""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Numbers of Linux, from linux/fcntl.h and linux/fs.h."""
_RENAME_SWAP = 2
"""Number of macOS, from sys/stdio.h."""


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
    aside = name_aside(path)
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
        remove(aside)


def name_aside(path: Path, *, kind: str = "partial") -> Path:
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
                remove(left)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def remove(path: Path) -> None:
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

    if loop.is_running():
        # What was handed over last may be no task yet: what is handed over after it is done after it.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()
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
    for _ in range(ATTEMPTS):
        # Between any two steps another process may put its own in place, or take one away to do so.
        if _exchange(aside, path) or _rename(aside, path) or _move_over(aside, path):
            return
    msg = f"other processes replaced it {ATTEMPTS} times meanwhile"
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
    replaced = name_aside(path, kind="replaced")
    try:
        path.rename(replaced)
        return _rename(aside, path)
    except FileNotFoundError:
        return False
    finally:
        # Interrupted between the steps: the old one goes back, unless another process was quicker.
        if path.exists() or not replaced.exists() or not _rename(replaced, path):
            remove(replaced)
