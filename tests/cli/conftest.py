"""Small files for the command line, and ways to call it in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import scllmda as sl
from scllmda.cli import main


@pytest.fixture(scope="package")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with reference.h5ad, query.h5ad, annotated.h5ad (the query with labels) and genome.fa."""
    folder = tmp_path_factory.mktemp("files")
    reference, query = sl.datasets.simulate(
        n_reference=150, n_query=80, n_peaks=800, n_types=4, fasta=folder / "genome.fa"
    )
    for name, cells in (("reference", reference), ("query", query)):
        del cells.var["sequence"]
        cells.write_h5ad(folder / f"{name}.h5ad")
    sl.tl.annotate(query, reference, set_coverage=0.9)
    query.obsm["X_map"] = query.obsm["X_scllmda_da"][:, :2]
    query.write_h5ad(folder / "annotated.h5ad")
    return folder


@pytest.fixture
def log_on_stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Have scanpy log where capsys sees it: it keeps the stderr that there was when it was imported."""
    from scanpy import settings

    before, verbosity = settings.logfile, settings.verbosity
    settings.logfile = sys.stderr
    yield
    settings.logfile, settings.verbosity = before, verbosity


@pytest.fixture
def json_of(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Call the command with ``--json``, and return what it printed on stdout, which is JSON and nothing else."""

    def call(*arguments: object) -> Any:
        assert main([*map(str, arguments), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return call
