"""The command line, run in this process on small files."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest

import scllmda as sl
from scllmda import _files
from scllmda.cli import main


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    reference, query = sl.datasets.simulate(
        n_reference=150, n_query=80, n_peaks=800, n_types=4, fasta=folder / "genome.fa"
    )
    for name, cells in (("reference", reference), ("query", query)):
        del cells.var["sequence"]
        cells.write_h5ad(folder / f"{name}.h5ad")
    return folder


def test_annotate_equals_the_function(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = {name: str(files / f"{name}.h5ad") for name in ("reference", "query", "output")}
    arguments = ["annotate", *(f"--{name}={path}" for name, path in paths.items()), f"--genome={files / 'genome.fa'}"]
    assert main([*arguments, f"--figures={files / 'figures'}", "--quiet"]) == 0
    written = ad.read_h5ad(paths["output"])

    query = ad.read_h5ad(paths["query"])
    sl.tl.annotate(query, paths["reference"], genome=files / "genome.fa")
    pd.testing.assert_frame_equal(sl.get.annotation(written), sl.get.annotation(query))
    assert written.uns["scllmda"]["coverage"]["sequence"] == "genome"
    assert (files / "figures" / "transfer_umap.png").stat().st_size > 10_000
    assert "wrote" in capsys.readouterr().out
    assert not list(files.glob(".*partial*")), "nothing is left aside"


def test_annotate_in_place(files: Path, tmp_path: Path) -> None:
    query = tmp_path / "query.zarr"
    ad.read_h5ad(files / "query.h5ad").write_zarr(query)
    assert main(["annotate", f"--reference={files / 'reference.h5ad'}", f"--query={query}", f"--output={query}"]) == 0
    assert "scllmda" in ad.read_zarr(query).obs
    assert list(tmp_path.iterdir()) == [query]


def arguments(files: Path, **change: str) -> list[str]:
    """Return the arguments of annotating the files, with some changed; paths are relative to the folder."""
    options = {"reference": "reference.h5ad", "query": "query.h5ad", "output": "new.h5ad"} | change
    return ["annotate", "--quiet", *(f"--{k}={files / v if v.partition('.')[2] else v}" for k, v in options.items())]


def assert_one_line(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    error = capsys.readouterr().err
    assert error.startswith("scllmda: ")
    assert all(word in error for word in words), error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"output": "other.zarr"}, ["--output: ", "should end in '.h5ad'"]),
        ({"output": "nowhere/other.h5ad"}, ["--output: ", "found no folder"]),
        ({"output": "reference.h5ad"}, ["--output: ", "is, or lies in, the reference"]),
        ({"reference": "absent.h5ad"}, ["--reference: Found no file", "absent.h5ad"]),
        ({"query": "absent.h5ad"}, ["--query: Found no file", "absent.h5ad"]),
        ({"genome": "absent.fa"}, ["--genome: Found no file", "absent.fa", "FASTA"]),
        ({"reference": "cut.h5ad"}, ["--reference: Cannot read", "cut.h5ad", "copy it again"]),
        ({"query": "cut.h5ad"}, ["--query: Cannot read", "cut.h5ad", "copy it again"]),
        ({"figures": "genome.fa"}, ["--figures: Found a file", "expected a folder"]),
        ({"figures": "new.h5ad"}, ["--figures: ", "is, or lies in, the output"]),
        ({"method": "robst"}, ["Did you mean 'robust'"]),
    ],
)
def test_paths_are_checked_before_any_work(
    files: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    words: list[str],
) -> None:
    (files / "cut.h5ad").write_bytes((files / "query.h5ad").read_bytes()[:10_000])
    monkeypatch.setattr(_files, "load", lambda path: pytest.fail("a file was read"))
    assert main(arguments(files, **change)) == 1
    assert_one_line(capsys, "error: ", *words)
    assert not (files / "new.h5ad").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reference": "lacks.h5ad"}, ["--reference: Cannot read", "lacks.h5ad", "KeyError"]),
        ({"query": "lacks.h5ad"}, ["--query: Cannot read", "lacks.h5ad", "KeyError"]),
        ({"labels-key": "celltype"}, ["Did you mean 'cell_type'"]),
        ({"encoder": "kmr"}, ["kmer"]),
    ],
)
def test_errors_are_one_line(
    files: Path, capsys: pytest.CaptureFixture[str], change: dict[str, str], words: list[str]
) -> None:
    (files / "lacks.h5ad").write_bytes((files / "query.h5ad").read_bytes())
    with h5py.File(files / "lacks.h5ad", "a") as file:
        del file["X/indptr"]
    assert main(arguments(files, **change)) == 1
    assert_one_line(capsys, "error: ", *words)
    assert not (files / "new.h5ad").exists()


def send(number: int) -> Callable[..., Any]:
    """Return a function that sends a signal to this process."""
    return lambda *_, **__: os.kill(os.getpid(), number)


def fail(error: BaseException) -> Callable[..., Any]:
    """Return a function that raises."""

    def failing(*_: Any, **__: Any) -> None:
        raise error

    return failing


@pytest.mark.usefixtures("signals_as_by_default")
@pytest.mark.parametrize(
    ("at_writing", "status", "words"),
    [
        (fail(OSError(errno.ENOSPC, "No space left on device")), 1, "(No space left on device). Make room on the disk"),
        (fail(MemoryError()), 1, "error: MemoryError"),
        (fail(KeyboardInterrupt()), 130, "scllmda: interrupted"),
        (send(signal.SIGINT), 130, "scllmda: interrupted"),
        (send(signal.SIGTERM), 143, "scllmda: ended by SIGTERM"),
        (send(signal.SIGHUP), 129, "scllmda: ended by SIGHUP"),
    ],
)
def test_an_end_while_writing(
    files: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    at_writing: Callable[..., Any],
    status: int,
    words: str,
) -> None:
    output = tmp_path / "out.h5ad"
    output.write_text("of before")

    def write(adata: ad.AnnData, file: _files._write._Hdf5Output) -> None:
        file.write(b"half of it")
        at_writing()
        end = time.monotonic() + 20
        while file.error is None and time.monotonic() < end:
            file.write(b"more")
            time.sleep(0.001)

    monkeypatch.setattr(sl.tl, "annotate", lambda *_, **__: None)
    monkeypatch.setattr(_files._write, "_write_h5ad", write)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert main([*arguments(files), f"--output={output}"]) == status
    assert_one_line(capsys, words)
    assert output.read_text() == "of before"
    assert list(tmp_path.iterdir()) == [output]
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


def test_signals_that_someone_else_handles(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sl.tl, "annotate", send(signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(arguments(files, output="ignored.h5ad")) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not capsys.readouterr().err


def test_sigterm_to_a_process(files: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.zarr"
    query = ad.read_h5ad(files / "query.h5ad")
    query.write_zarr(tmp_path / "query.zarr")
    query.write_zarr(output)
    program = [sys.executable, "-c", ENDLESS, *arguments(files), f"--query={tmp_path / 'query.zarr'}"]
    with subprocess.Popen([*program, f"--output={output}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        process.terminate()
        _, error = process.communicate(timeout=60)
    assert process.returncode == 143
    assert error.decode().splitlines()[-1] == "scllmda: ended by SIGTERM"
    assert b"Traceback" not in error
    assert ad.read_zarr(output).shape == query.shape
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.zarr", "query.zarr"]


ENDLESS = """
import sys
import time
import anndata, scllmda
from scllmda.cli import main

def write_zarr(self, store, write=anndata.AnnData.write_zarr):
    print("writing", flush=True)
    while True:
        write(self, store)

scllmda.tl.annotate = lambda *_, **__: None
anndata.AnnData.write_zarr = write_zarr
sys.exit(main(sys.argv[1:]))
"""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert sl.__version__ in capsys.readouterr().out


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", f"--output={tmp_path}", "--quiet"]) == 0
    report = dict(line.split() for line in capsys.readouterr().out.splitlines() if len(line.split()) == 2)
    assert float(report["accuracy"]) >= 0.9
    annotated = ad.read_h5ad(tmp_path / "annotated.h5ad")
    right = np.mean(annotated.obs["scllmda"].astype(str) == annotated.obs["cell_type"].astype(str))
    assert float(report["accuracy"]) == pytest.approx(right, abs=5e-4)
    for figure in ("transfer_umap.png", "confusion.png"):
        assert (tmp_path / figure).read_bytes().startswith(b"\x89PNG")


def test_demo_checks_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["demo", f"--output={tmp_path / 'file'}"]) == 1
    assert_one_line(capsys, "--output: Found a file", "expected a folder")
