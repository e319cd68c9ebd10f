"""Execute notebooks from a clean kernel and keep their outputs: all beside this file, or those that are named."""

from __future__ import annotations

import os
import sys
import time
from copy import deepcopy
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
SECONDS_PER_CELL = 600
NO_RESULTS = ("IProgress not found", "`__version__` is deprecated", "Transforming to str index")
"""Beginnings of warnings that other packages (tqdm, muon, SnapATAC2) give about each other."""


def execute(path: Path) -> None:
    """Execute a notebook and write it back, if no cell raises an error."""
    notebook = nbformat.read(path, as_version=4)
    metadata = deepcopy(notebook.metadata)
    start = time.monotonic()
    # Times and the version of Python are left out, so that a difference between two runs is one of results.
    client = NotebookClient(notebook, timeout=SECONDS_PER_CELL, record_timing=False)
    client.execute(cwd=str(path.parent))
    notebook.metadata = metadata
    nbformat.write(notebook, path)
    print(f"{path.name}: {time.monotonic() - start:.0f} s, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    os.environ["PYTHONWARNINGS"] = ",".join(f"ignore:{message}" for message in NO_RESULTS)
    for path in map(Path, sys.argv[1:] or sorted(HERE.glob("*.ipynb"))):
        execute(path)
