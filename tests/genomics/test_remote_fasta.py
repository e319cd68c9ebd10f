"""A FASTA that other processes open by its path."""

from __future__ import annotations

import gzip
from copy import copy
from pathlib import Path

import numpy as np
import pytest

from scllmda.genomics import Intervals, RemoteFasta, fasta_windows


@pytest.mark.parametrize("packed", [False, True])
def test_is_opened_where_it_is_read_and_closed_when_it_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, packed: bool
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.chdir(tmp_path)
    content = b">chr1\nacgtRY\n>2\nGATTACA\n"
    Path("genome.fa").write_bytes(gzip.compress(content) if packed else content)
    intervals = Intervals.from_names(["chr2:1-7", "chrUn:3-7", "1:2-6"])
    with fasta_windows("genome.fa", intervals, window=8, missing="n") as (file, windows):
        expected = windows.read(file)
        remote = RemoteFasta(file.path.absolute(), file.index.digest())
    assert expected == ["GATTACAN", "NNNNNNNN", "ACGTNNNN"]
    # Positions and the path are all that is needed, wherever the process is.
    monkeypatch.chdir("/")
    received = copy(copy(remote))
    rows = np.array([2, 1])
    assert list(scratch.iterdir()) == []
    assert windows.take(rows).read(received) == [expected[row] for row in rows]
    assert windows.read(received) == expected
    assert len(list(scratch.iterdir())) == 1
    del received
    assert list(scratch.iterdir()) == []
