"""``scllmda annotate``, and what holds for every command: paths, errors, signals, exit statuses."""

from __future__ import annotations

import errno
import functools
import os
import re
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


@pytest.mark.usefixtures("log_on_stderr")
def test_annotate_equals_the_function(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = {name: str(files / f"{name}.h5ad") for name in ("reference", "query", "output")}
    arguments = ["annotate", *(f"--{name}={path}" for name, path in paths.items()), f"--genome={files / 'genome.fa'}"]
    further = [f"--figures={files / 'figures'}", f"--table={files / 'labels.tsv'}", f"--report={files / 'report.html'}"]
    assert main([*arguments, *further]) == 0
    written = ad.read_h5ad(paths["output"])
    said = capsys.readouterr()

    query = ad.read_h5ad(paths["query"])
    sl.tl.annotate(query, paths["reference"], genome=files / "genome.fa")
    pd.testing.assert_frame_equal(sl.get.annotation(written), sl.get.annotation(query))
    assert written.uns["scllmda"]["coverage"]["sequence"] == "genome"
    assert (files / "figures" / "transfer_umap.png").stat().st_size > 10_000
    table = pd.read_csv(files / "labels.tsv", sep="\t", index_col="cell")
    pd.testing.assert_frame_equal(
        table,
        sl.get.annotation(query).astype({"label": str, "raw": str}),
        check_dtype=False,
        check_names=False,
        rtol=1e-5,
    )
    assert "</html>" in (files / "report.html").read_text()
    for path in (paths["output"], files / "figures" / "transfer_umap.png", files / "labels.tsv", files / "report.html"):
        assert f"wrote {path}\n" in said.out
    assert_summary(said.out, query)
    assert "annotating" in said.err
    assert not list(files.glob(".*partial*")), "nothing is left aside"


def test_annotate_in_place(files: Path, tmp_path: Path) -> None:
    query = tmp_path / "query.zarr"
    ad.read_h5ad(files / "query.h5ad").write_zarr(query)
    assert main(["annotate", f"--reference={files / 'reference.h5ad'}", f"--query={query}", f"--output={query}"]) == 0
    assert "scllmda" in ad.read_zarr(query).obs
    assert list(tmp_path.iterdir()) == [query]


def assert_summary(text: str, query: ad.AnnData) -> None:
    """Assert that each label is there with the number and share of its cells and its median score."""
    found = sl.get.annotation(query)
    by_label = found.groupby(found["label"].astype(str))["score"]
    rows = dict(re.findall(r"^(\S.*?)  +(\d.*)$", text, flags=re.MULTILINE))
    for label, scores in by_label:
        cells, share, score = rows[label].split()
        assert int(cells) == len(scores)
        assert float(share.rstrip("%")) == pytest.approx(100 * len(scores) / len(found), abs=0.051)
        assert float(score) == pytest.approx(scores.median(), abs=0.0051)
    assert set(rows) == set(by_label.groups)
    assert f"{len(found)} cells" in text


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
        ({"chain": "absent.chain"}, ["--chain: Found no file", "absent.chain", "a UCSC chain file"]),
        ({"table": "nowhere/labels.tsv"}, ["--table: ", "found no folder"]),
        ({"table": "query.h5ad"}, ["--table: ", "is, or lies in, the query"]),
        ({"table": "new.h5ad"}, ["--table: ", "is, or lies in, the output"]),
        ({"report": "report.pdf"}, ["--report: ", "should end in '.html'"]),
        ({"query": "absent.tsv.gz"}, ["--query: Found no file", "absent.tsv.gz", "a file of fragments"]),
        ({"method": "robst"}, ["Did you mean 'robust'"]),
        ({"recipe": "Q=1"}, ["has no ['Q'] in its recipe"]),
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
    monkeypatch.setattr(sl.io, "read", lambda path, mod: pytest.fail("a file was read"))
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

    monkeypatch.setattr(sl.tl, "annotate", functools.wraps(sl.tl.annotate)(lambda *_, **__: None))
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
    monkeypatch.setattr(sl.tl, "annotate", functools.wraps(sl.tl.annotate)(send(signal.SIGHUP)))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(arguments(files, query="annotated.h5ad", output="ignored.h5ad")) == 0
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
import functools
import sys
import time
import anndata, scllmda
from scllmda.cli import main

def write_zarr(self, store, write=anndata.AnnData.write_zarr):
    print("writing", flush=True)
    while True:
        write(self, store)

scllmda.tl.annotate = functools.wraps(scllmda.tl.annotate)(lambda *_, **__: None)
anndata.AnnData.write_zarr = write_zarr
sys.exit(main(sys.argv[1:]))
"""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert sl.__version__ in capsys.readouterr().out


def test_json_is_all_of_stdout(files: Path, tmp_path: Path, json_of: Callable[..., Any]) -> None:
    paths = [f"--query={files / 'query.h5ad'}", f"--reference={files / 'reference.h5ad'}"]
    found = json_of("annotate", *paths, f"--table={tmp_path / 'labels.tsv'}")
    labels = pd.read_csv(tmp_path / "labels.tsv", sep="\t")
    assert found["command"] == "annotate"
    assert found["version"] == sl.__version__
    assert found["n_cells"] == len(labels) == 80
    assert found["files"] == {"table": str(tmp_path / "labels.tsv")}
    assert {row["label"]: row["n_cells"] for row in found["labels"]} == labels["label"].value_counts().to_dict()
    assert sum(row["share"] for row in found["labels"]) == pytest.approx(1)
    assert [row["n_cells"] for row in found["labels"]] == sorted(labels["label"].value_counts(), reverse=True)
    assert found["coverage"]["n_query"] == 800


def test_one_object(files: Path, tmp_path: Path, json_of: Callable[..., Any]) -> None:
    both = ad.read_h5ad(files / "reference.h5ad")
    is_query = np.arange(150) % 3 == 0
    both.obs["cell_type"] = both.obs["cell_type"].astype(str).where(~is_query, "unknown")
    both.write_h5ad(tmp_path / "both.h5ad")
    found = json_of("annotate", f"--query={tmp_path / 'both.h5ad'}", f"--output={tmp_path / 'new.h5ad'}")
    labels = ad.read_h5ad(tmp_path / "new.h5ad").obs["scllmda"][is_query].astype(str)
    assert found["n_cells"] == 50, "labeled cells are not the query's"
    assert {row["label"]: row["n_cells"] for row in found["labels"]} == labels.value_counts().to_dict()


@pytest.mark.parametrize(("flag", "is_said"), [("--quiet", False), ("--verbose", True)])
@pytest.mark.usefixtures("log_on_stderr")
def test_how_much_is_said(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, is_said: bool
) -> None:
    paths = [f"--query={files / 'query.h5ad'}", f"--reference={files / 'reference.h5ad'}"]
    assert main(["annotate", *paths, f"--table={tmp_path / 'labels.tsv'}", flag]) == 0
    said = capsys.readouterr()
    assert bool(said.out) == is_said
    assert (".obs['scllmda_novelty']" in said.err) == is_said
    assert "80 cells labeled by 'robust'" in said.err


def test_whoever_reads_may_have_enough() -> None:
    program = [sys.executable, "-m", "scllmda.cli", "methods"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=120) == 128 + signal.SIGPIPE
        assert process.stderr is not None
        assert b"Error" not in process.stderr.read()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"import sys; from scllmda.cli import main\ntry: main({arguments})\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "scllmda.cli._annotate" in loaded
    assert not loaded & {"anndata", "numpy", "pandas", "scanpy", "shtab", "torch"}
