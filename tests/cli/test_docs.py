"""Every command of docs/cli.md prints what the page says."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest
from scanpy import settings

import scllmda as sl
from scllmda.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
NEEDS_REAL_CELLS = re.compile(r"\b(pbmc|marrow)\.")
"""Commands on files that are not made by the demo."""


def sessions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of all console blocks in order, each with what it prints."""
    for block in re.findall(r"^```console\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = re.sub(r"\\\n\s*", "", part).partition("\n")
            yield command, printed


def run(command: str, status: int) -> tuple[str, int]:
    """Return what a command prints on a terminal, both streams, and its exit status; the folder is /home/me."""
    if command == "echo $?":
        return f"{status}\n", 0
    command, _, first = command.partition(" | head -")
    if not command.startswith("scllmda "):
        return subprocess.run(shlex.split(command), check=True, capture_output=True, text=True).stdout, 0
    terminal, before = io.StringIO(), settings.logfile
    settings.logfile = terminal
    try:
        with redirect_stdout(terminal), redirect_stderr(terminal):
            status = main(shlex.split(command)[1:])
    except SystemExit as ended:
        status = int(ended.code or 0)
    finally:
        settings.logfile = before
    lines = terminal.getvalue().replace(str(Path.cwd()), "/home/me").splitlines(keepends=True)
    return "".join(lines[: int(first)] if first else lines), status


def assert_alike(printed: str, expected: str) -> None:
    """Assert that two texts are the same but for seconds, blanks of columns, and last digits of other processors."""
    words, others = (re.sub(r"\(\d+:\d\d:\d\d\)", "(seconds)", text).split() for text in (printed, expected))
    assert len(words) == len(others), printed
    number = re.compile(r"-?\d[\d,]*(\.\d+)?")
    for word, other in zip(words, others, strict=True):
        assert number.sub("0", word) == number.sub("0", other), printed
        found, wanted = ([float(m[0].replace(",", "")) for m in number.finditer(text)] for text in (word, other))
        assert found == pytest.approx(wanted, rel=0.05, abs=0.03), printed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    before = settings.verbosity
    yield tmp_path
    settings.verbosity = before


def test_on_simulated_cells(folder: Path) -> None:
    status, n = 0, 0
    for command, expected in sessions(PAGE.read_text()):
        if NEEDS_REAL_CELLS.search(command):
            continue
        printed, status = run(command, status)
        assert_alike(printed, expected)
        n += 1
    assert n > 10


def test_on_real_cells(folder: Path, shared_data: Path) -> None:
    bring_real_cells(folder, shared_data)
    n = 0
    for command, expected in sessions(PAGE.read_text()):
        if NEEDS_REAL_CELLS.search(command):
            assert_alike(run(command, 0)[0], expected)
            n += 1
    assert n > 1
    query = sl.pp.count_fragments("pbmc.fragments.tsv.gz", "marrow.h5ad")
    sl.tl.annotate(query, "marrow.h5ad", labels_key="cell_type_coarse")
    pd.testing.assert_frame_equal(sl.get.annotation(ad.read_h5ad("pbmc.h5ad")), sl.get.annotation(query))


def bring_real_cells(folder: Path, shared_data: Path) -> None:
    """Put fragments of blood cells, and every other cell of one donor's bone marrow, where the page has them."""
    fragments = shared_data / "fragments" / "archr_pbsmall_hg19_labelled.fragments.tsv.gz"
    (folder / "pbmc.fragments.tsv.gz").symlink_to(fragments)
    marrow = ad.read_h5ad(shared_data / "granja2019_bmmc_10x_hg19.h5ad")
    marrow[marrow.obs["batch"] == "BMMC_D5T1"][::2].copy().write_h5ad(folder / "marrow.h5ad")
