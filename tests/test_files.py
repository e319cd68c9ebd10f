"""Objects from paths, and files that are whole or not there."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr
from anndata import AnnData
from mudata import MuData
from zarr.core import sync

from scllmda._files import (
    _hdf5,
    _write,
    _written_aside,
    load,
    naming,
    require_apart,
    require_file,
    require_folder,
    require_output,
    require_readable,
    write,
    written_aside,
)

NAMES = ("a.h5ad", "a.h5mu", "a.zarr", "m.zarr")
"""A name per format; m.zarr holds a MuData."""


def cells(n: int = 12, *, value: int = 1) -> AnnData:
    """Return an object all of whose values tell which one it is."""
    obs = pd.DataFrame({"value": [str(value)] * n}, index=[f"cell{i}" for i in range(n)])
    return AnnData(sp.csr_matrix(np.full((n, 30), value, dtype=np.float32)), obs=obs)


def made_for(path: Path, n: int = 12, *, value: int = 1) -> AnnData | MuData:
    adata = cells(n, value=value)
    return MuData({"atac": adata}) if path.name in {"a.h5mu", "m.zarr"} else adata


def assert_holds(path: Path, value: int, n: int = 12) -> None:
    data = load(path)
    adata = data["atac"] if isinstance(data, MuData) else data
    assert adata.shape == (n, 30)
    assert (adata.X.toarray() == value).all()
    assert set(adata.obs["value"]) == {str(value)}


def assert_alone(*paths: Path) -> None:
    """Assert that a folder has nothing but these, hidden or not."""
    assert sorted(paths[0].parent.iterdir()) == sorted(paths)


@pytest.fixture(params=NAMES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A name that holds an object with the value 1."""
    path = tmp_path / request.param
    write(made_for(path), path)
    return path


class TestLoad:
    def test_every_format(self, path: Path) -> None:
        assert_holds(path, 1)
        assert type(load(str(path))).__name__ == require_readable(path)
        assert_alone(path)

    def test_an_object_is_returned_as_it_is(self) -> None:
        adata = cells()
        assert load(adata) is adata

    def test_the_home_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        write(cells(), tmp_path / "a.h5ad")
        assert load("~/a.h5ad").n_obs == 12

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"Found no file '.*/no.h5ad'; expected the path"):
            load(tmp_path / "no.h5ad")
        with pytest.raises(FileNotFoundError, match="Correct the path, which starts in"):
            load("no.h5ad")

    def test_not_allowed(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(PermissionError, match=r"You may not read '.*'; expected"):
            load(path)

    @pytest.mark.parametrize(("wrong", "right"), [("a.h5mu", "a.h5ad"), ("a.h5ad", "a.h5mu"), ("a.h5", "a.h5ad")])
    def test_a_name_that_says_something_else(self, wrong: str, right: str, tmp_path: Path) -> None:
        write(made_for(tmp_path / right), tmp_path / right)
        kind = require_readable(tmp_path / right)
        (tmp_path / right).rename(tmp_path / wrong)
        with pytest.raises(ValueError, match=f"holds an object of type {kind}; expected .*{Path(right).suffix}"):
            load(tmp_path / wrong)

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("counts.csv", b"a,b\n", "Cannot tell the format of '.*counts.csv'; expected"),
            ("a.h5ad.gz", gzip.compress(b"", mtime=0), "packed by gzip; .* gunzip .*a.h5ad.gz"),
            ("a.h5ad", gzip.compress(b"", mtime=0), "packed by gzip"),
            ("a.zarr", b"PK", "is a file; expected the folder of a zarr store"),
        ],
    )
    def test_other_files(self, name: str, content: bytes, words: str, tmp_path: Path) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=words):
            load(tmp_path / name)

    @pytest.mark.parametrize(
        ("name", "words"), [("a.h5ad", "format of folder"), ("a.zarr", "a folder without zarr.json or .zgroup")]
    )
    def test_other_folders(self, name: str, words: str, tmp_path: Path) -> None:
        (tmp_path / name).mkdir()
        with pytest.raises(ValueError, match=words):
            load(tmp_path / name)

    def test_other_objects(self, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "a.h5ad", "w") as file:
            file["values"] = [1.0]
        zarr.open_group(tmp_path / "a.zarr", mode="w").create_group("values")
        for name in ("a.h5ad", "a.zarr"):
            with pytest.raises(ValueError, match="holds neither an AnnData nor a MuData; expected"):
                load(tmp_path / name)

    @pytest.mark.parametrize("name", ["a.h5ad", "a.h5mu"])
    @pytest.mark.parametrize("share", [0, 0.1, 0.9])
    def test_cut_files(self, name: str, share: float, tmp_path: Path) -> None:
        path = tmp_path / name
        write(made_for(path), path)
        os.truncate(path, int(share * path.stat().st_size))
        with pytest.raises(
            OSError, match=f"Cannot read '.*{name}' .*OSError.* expected a whole file .*: copy it again"
        ):
            load(path)

    @pytest.mark.parametrize("key", ["obs", "X/indptr", "obs/value/codes"])
    def test_files_that_lack_something(self, key: str, tmp_path: Path) -> None:
        write(cells(), tmp_path / "a.h5ad")
        with h5py.File(tmp_path / "a.h5ad", "a") as file:
            del file[key]
        with pytest.raises(OSError, match=r"Cannot read '.*a.h5ad' \(KeyError: .*; expected"):
            load(tmp_path / "a.h5ad")

    @pytest.mark.parametrize("name", ["a.zarr", "m.zarr"])
    @pytest.mark.parametrize("key", ["X/data", "obs/_index", "var/_index"])
    def test_stores_that_lack_something(self, name: str, key: str, tmp_path: Path) -> None:
        path = tmp_path / name
        write(made_for(path), path)
        values = path / ("mod/atac" if name == "m.zarr" else "") / key
        # anndata 0.13 has names of cells and peaks in a folder deeper.
        for within in (values, values / "values"):
            for chunk in (*within.glob("[0-9]*"), *within.glob("c/*")):
                chunk.unlink()
        with pytest.raises(OSError, match=f"Cannot read '.*{name}' .* chunks of '/.*{key}(/values)?' are not there"):
            load(path)

    def test_stores_with_a_cut_file(self, tmp_path: Path) -> None:
        write(cells(), tmp_path / "a.zarr")
        for file in sorted((tmp_path / "a.zarr").glob("*")):
            if file.is_file():
                os.truncate(file, file.stat().st_size // 2)
        with pytest.raises(OSError, match=r"Cannot read '.*a.zarr' \(.*; expected"):
            load(tmp_path / "a.zarr")

    def test_stores_without_a_value(self, tmp_path: Path) -> None:
        adata = AnnData(sp.csr_matrix((3, 4), dtype=np.float32))
        adata.uns["table"] = pd.DataFrame({"x": [0]})
        adata.obsm["none"] = pd.DataFrame(index=adata.obs_names)
        write(adata, tmp_path / "a.zarr")
        assert load(tmp_path / "a.zarr").X.nnz == 0

    def test_a_store_that_is_replaced_meanwhile(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a.zarr"
        write(cells(value=1), path)
        read, calls = ad.read_zarr, []

        def replaced_while_read(store: Path) -> AnnData:
            calls.append(store)
            if len(calls) == 1:
                write(cells(20, value=2), path)
                msg = "old and new are mixed"
                raise KeyError(msg)
            if len(calls) == 2:
                found = read(store)
                write(cells(value=3), path)
                return found
            return read(store)

        monkeypatch.setattr(ad, "read_zarr", replaced_while_read)
        assert_holds(path, 3)
        assert len(calls) == 3


class TestFilters:
    @pytest.fixture
    def compressed(self, tmp_path: Path) -> Path:
        """A file that went through the filter of zstd, which leaves values as they are where it is not installed."""
        path = tmp_path / "a.h5ad"
        write(cells(), path)
        with h5py.File(path, "a") as file:
            settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            settings.set_chunk((1,))
            settings.set_filter(_hdf5._ZSTD, h5py.h5z.FLAG_OPTIONAL)
            h5py.h5d.create(file.id, b"uns/x", h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple((1,)), settings)
        return path

    @pytest.fixture
    def filters(self, monkeypatch: pytest.MonkeyPatch) -> set[int]:
        """The filters that HDF5 has."""
        filters: set[int] = set()
        monkeypatch.setattr(h5py.h5z, "filter_avail", lambda number: number in filters)
        return filters

    def test_not_installed(self, compressed: Path, filters: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "hdf5plugin", None)
        with pytest.raises(
            ImportError, match=r"a.h5ad' is compressed by the HDF5 filter zstd; .* pip install hdf5plugin"
        ):
            load(compressed)

    @pytest.mark.filterwarnings("ignore:Element '/uns/x' was written without encoding")
    def test_installed(self, compressed: Path, filters: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_hdf5, "import_module", lambda name: filters.add(_hdf5._ZSTD))
        assert_holds(compressed, 1)

    def test_unknown_to_it(self, compressed: Path, filters: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "hdf5plugin", ModuleType("hdf5plugin"))
        with pytest.raises(ImportError, match=r"filter zstd, which hdf5plugin lacks; .*compression='gzip'"):
            load(compressed)


@pytest.mark.parametrize(
    ("magic", "packer", "command"),
    [(b"\x1f\x8b", "gzip", "gunzip"), (b"\x28\xb5\x2f\xfd", "zstd", "zstd -d"), (b"PK\x03\x04", "zip", "unzip")],
)
@pytest.mark.parametrize("name", ["a.h5ad", "a.h5ad.zst"])
def test_packed_as_a_whole(tmp_path: Path, name: str, magic: bytes, packer: str, command: str) -> None:
    path = tmp_path / name
    path.write_bytes(magic + bytes(20))
    with pytest.raises(ValueError, match=f"is packed by {packer}; expected .* Unpack it first: {command} "):
        load(path)


class TestChecks:
    def test_naming(self, tmp_path: Path) -> None:
        with (
            pytest.raises(FileNotFoundError, match=r"^--genome: Found no file '.*'; expected the FASTA"),
            naming("--genome"),
        ):
            require_file(tmp_path / "no.fa", "the FASTA")

    def test_file(self, tmp_path: Path) -> None:
        (tmp_path / "genome.fa").touch()
        require_file(tmp_path / "genome.fa", "the FASTA")
        with pytest.raises(IsADirectoryError, match=r"Found a folder '.*'; expected the FASTA"):
            require_file(tmp_path, "the FASTA")

    def test_output(self, path: Path) -> None:
        new = path.with_stem("new")
        require_output(path, path.suffix)
        require_output(new, path.suffix)
        assert_alone(path)
        with pytest.raises(ValueError, match=r"should end in '.txt', the format of"):
            require_output(new, ".txt")
        with pytest.raises(FileNotFoundError, match=r"found no folder '.*no'; expected one"):
            require_output(path.parent / "no" / path.name, path.suffix)

    def test_output_is_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "a.h5ad").mkdir()
        (tmp_path / "a.zarr").mkdir()
        require_output(tmp_path / "a.zarr", ".zarr")
        (tmp_path / "a.zarr" / "notes").touch()
        for name in ("a.h5ad", "a.zarr"):
            with pytest.raises(ValueError, match=r"is not a .* and so is not replaced"):
                require_output(tmp_path / name, Path(name).suffix)

    def test_output_is_protected(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(PermissionError, match="You may not write to"):
            require_output(path, path.suffix)

    def test_name_too_long(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match=r"Cannot write 'x+.h5ad' to the folder '.*' \(File name too long\)"):
            require_output(tmp_path / f"{'x' * 240}.h5ad", ".h5ad")

    def test_folder(self, tmp_path: Path) -> None:
        require_folder(tmp_path)
        require_folder(tmp_path / "new" / "newer")
        assert not list(tmp_path.iterdir())
        (tmp_path / "file").touch()
        for path in (tmp_path / "file", tmp_path / "file" / "new"):
            with pytest.raises(NotADirectoryError, match=r"Found a file '.*file'; expected a folder"):
                require_folder(path)

    def test_folder_is_protected(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "touch", refuse)
        for check in (lambda: require_folder(tmp_path / "new"), lambda: require_output(tmp_path / "a.h5ad", ".h5ad")):
            with pytest.raises(OSError, match=r"Cannot write '.*' to the folder '.*' \(Permission denied\); expected"):
                check()

    def test_apart(self, tmp_path: Path) -> None:
        here, there = tmp_path / "here.zarr", tmp_path / "there.zarr"
        there.mkdir()
        (tmp_path / "link.zarr").symlink_to(there)
        require_apart(here, there, "the reference")
        for path in (there, there / "inside", tmp_path / "link.zarr", tmp_path / "." / "no" / ".." / "there.zarr"):
            with pytest.raises(ValueError, match="is, or lies in, the reference"):
                require_apart(path, there, "the reference")


class TestWrite:
    def test_replaces(self, path: Path) -> None:
        write(made_for(path, value=2), path)
        assert_holds(path, 2)
        assert_alone(path)

    @pytest.mark.parametrize("name", ["a.h5ad", "a.h5mu"])
    @pytest.mark.parametrize("has_raw", [False, True])
    def test_files_are_those_of_the_libraries(self, name: str, has_raw: bool, tmp_path: Path) -> None:
        path, plain = tmp_path / name, tmp_path / f"plain{Path(name).suffix}"
        for to in (path, plain):
            adata = cells()
            adata.obsm["X_pca"] = np.ones((12, 2))
            adata.uns["kept"] = {"text": "x", "numbers": [1, 2]}
            adata.raw = adata.copy() if has_raw else None
            data = MuData({"atac": adata}) if name == "a.h5mu" else adata
            data.write(to) if to == plain else write(data, to)
        assert contents(path) == contents(plain)

    def test_permissions(self, path: Path) -> None:
        mask = os.umask(0o027)
        try:
            new = path.with_name(f"{path.stem}2{path.suffix}")
            write(cells(), new) if path.suffix != ".h5mu" else write(made_for(path), new)
            usual = 0o750 if new.is_dir() else 0o640
            assert stat.S_IMODE(new.stat().st_mode) == usual, "as of any new file"
            path.chmod(0o775 if path.is_dir() else 0o664)
            write(made_for(path), path)
            assert stat.S_IMODE(path.stat().st_mode) == (0o775 if path.is_dir() else 0o664), "as it was"
        finally:
            os.umask(mask)

    def test_through_a_link(self, path: Path) -> None:
        link = path.with_name(f"m.link{path.suffix}")
        link.symlink_to(path)
        write(made_for(path, value=2), link)
        assert link.is_symlink()
        assert_holds(path, 2)

    @pytest.mark.parametrize("n", [1, 3, 6])
    @pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
    def test_error_at_any_place(
        self, path: Path, n: int, error: BaseException, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owner, name = (zarr.Group, "create_array") if path.suffix == ".zarr" else (h5py.Group, "create_dataset")
        monkeypatch.setattr(owner, name, raising_at(n, error, getattr(owner, name)))
        with pytest.raises(
            type(error), match="No space left.* Make room on the disk" if isinstance(error, OSError) else ""
        ):
            write(made_for(path, value=2), path)
        monkeypatch.undo()
        assert_holds(path, 1)
        assert_alone(path)

    def test_error_while_replacing(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_written_aside, "_exchange", lambda *_: False)
        monkeypatch.setattr(os, "fsync", raising_at(1, KeyboardInterrupt(), os.fsync))
        # At the second renaming of a store the old one is aside, and the new one not yet in place.
        monkeypatch.setattr(_written_aside, "_rename", raising_at(2, KeyboardInterrupt(), _written_aside._rename))
        with pytest.raises(KeyboardInterrupt):
            write(made_for(path, value=2), path)
        assert_holds(path, 1)
        assert_alone(path)

    @pytest.mark.parametrize("limit", [0, 3000, 100_000])
    def test_disk_refuses(self, path: Path, limit: int, capfd: pytest.CaptureFixture[str]) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        rng = np.random.default_rng(0)
        large = AnnData(rng.random((200, 300)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(
                OSError, match=r"Cannot write '.*' \(File too large\).*what was there before is as it was"
            ):
                write(MuData({"atac": large}) if path.name in {"a.h5mu", "m.zarr"} else large, path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert_holds(path, 1)
        assert_alone(path)
        assert "Traceback" not in capfd.readouterr().err, "h5py prints what it cannot raise"

    def test_error_before_zarr_has_begun(self, tmp_path: Path) -> None:
        path = tmp_path / "a.zarr"
        write(cells(), path)

        async def late(folder: Path) -> None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "late").touch()

        sync.sync(asyncio.sleep(0))
        loop = sync.loop[0]
        assert loop is not None

        def interrupted() -> None:
            with written_aside(path) as aside:
                # What zarr's thread is busy with, and what was handed over to it, which is no task of it yet.
                loop.call_soon_threadsafe(time.sleep, 0.3)
                asyncio.run_coroutine_threadsafe(late(aside), loop)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert_holds(path, 1)
        assert_alone(path)

    @pytest.mark.usefixtures("signals_as_by_default")
    def test_signal_while_hdf5_writes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a.h5ad"
        write(cells(), path)

        def endless(adata: AnnData, file: _write._Hdf5Output) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            end = time.monotonic() + 20
            while file.error is None and time.monotonic() < end:
                file.write(b"x")
                time.sleep(0.001)

        monkeypatch.setattr(_write, "_write_h5ad", endless)
        with pytest.raises(KeyboardInterrupt):
            write(cells(value=2), path)
        assert_holds(path, 1)
        assert_alone(path)

    def test_what_killed_processes_left(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        kept = [path, aside(path, os.getpid()), aside(path, 1), aside(path.with_stem("b"), gone.pid)]
        monkeypatch.setattr(_written_aside, "_machine", lambda: "0badcafe")
        kept.append(aside(path, gone.pid))
        monkeypatch.undo()
        left = [aside(path, gone.pid), aside(path, gone.pid, kind="replaced")]
        for file in (*kept[1:], *left):
            shutil.copytree(path, file) if path.is_dir() else shutil.copy(path, file)
        write(made_for(path, value=2), path)
        assert_holds(path, 2)
        assert_alone(*kept)

    def test_the_last_copy_of_a_store_is_kept(self, tmp_path: Path) -> None:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        path = tmp_path / "a.zarr"
        last = aside(path, gone.pid, kind="replaced")
        write(cells(), last)
        with pytest.raises(ZeroDivisionError), written_aside(path):
            raise ZeroDivisionError
        assert_alone(last)


class TestConcurrently:
    def test_processes_that_write_and_one_that_reads(self, tmp_path: Path) -> None:
        paths = [tmp_path / "a.h5ad", tmp_path / "a.zarr"]
        for path in paths:
            write(cells(), path)
        writers = [subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, str(value)]) for value in (2, 3)]
        n_reads = 0
        while any(writer.poll() is None for writer in writers):
            for path in paths:
                data = load(path)
                value = int(data.obs["value"].iloc[0])
                assert data.n_obs == 12 * value
                assert (data.X.toarray() == value).all(), "all of one object"
                n_reads += 1
        assert [writer.returncode for writer in writers] == [0, 0]
        assert n_reads > 10
        assert_alone(*paths)

    @pytest.mark.parametrize("at_once", [True, False])
    def test_folders(self, at_once: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        if not at_once:
            monkeypatch.setattr(_written_aside, "_exchange", lambda *_: False)
        elif not exchanges(tmp_path):
            pytest.skip("the file system cannot exchange two names")
        path, missing, done = tmp_path / "a", [], threading.Event()

        def put(value: int) -> None:
            for _ in range(50):
                with written_aside(path) as folder:
                    folder.mkdir()
                    for name in ("one", "two"):
                        (folder / name).write_text(str(value))

        def look() -> None:
            while not done.is_set():
                if not path.is_dir():
                    missing.append(path)

        put(0)
        threads = [threading.Thread(target=put, args=(value,)) for value in range(4)]
        reader = threading.Thread(target=look)
        for thread in (reader, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        reader.join()
        assert (path / "one").read_text() == (path / "two").read_text()
        assert_alone(path)
        assert not (at_once and missing)


WRITER = """
import sys, warnings
from pathlib import Path
import numpy as np, scipy.sparse as sp
from anndata import AnnData
from scllmda._files import write
warnings.simplefilter("ignore")
folder, value = Path(sys.argv[1]), int(sys.argv[2])
adata = AnnData(sp.csr_matrix(np.full((12 * value, 30), value, dtype=np.float32)))
adata.obs["value"] = [str(value)] * adata.n_obs
for i in range(10):
    write(adata, folder / "a.h5ad")
    write(adata, folder / "a.zarr")
"""


def aside(path: Path, pid: int, *, kind: str = "partial") -> Path:
    """Return the name under which a process would write to a path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "getpid", lambda: pid)
        return _written_aside.name_aside(path, kind=kind)


def raising_at(n: int, error: BaseException, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that raises at its n-th call."""
    calls: Iterator[int] = iter(range(1, 1_000_000))

    def wrapped(*args: Any, **options: Any) -> Any:
        if next(calls) == n:
            raise error
        return function(*args, **options)

    return wrapped


def exchanges(folder: Path) -> bool:
    for name in ("one", "other"):
        (folder / name).mkdir()
    done = _written_aside._exchange(folder / "one", folder / "other")
    for name in ("one", "other"):
        (folder / name).rmdir()
    return done


def contents(path: Path) -> dict[str, Any]:
    """Return attributes and values of all that an HDF5 file holds."""
    found: dict[str, Any] = {}

    def look(name: str, node: h5py.Group | h5py.Dataset) -> None:
        value = None
        if isinstance(node, h5py.Dataset) and node.shape is not None:
            value = (str(node.dtype), node.chunks, np.asarray(node[()]).tolist())
        found[name] = ({key: str(held) for key, held in node.attrs.items()}, value)

    with h5py.File(path) as file:
        look("/", file)
        file.visititems(look)
        found["userblock"] = file.userblock_size
    return found
