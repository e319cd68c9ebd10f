"""The command line, run in this process on small files."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scllmda as sl
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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"output": "other.zarr"}, "should end in '.h5ad'"),
        ({"output": "nowhere/other.h5ad"}, "found no folder"),
        ({"reference": "absent.h5ad"}, "Found no file"),
        ({"query": "absent.h5ad"}, "Found no file"),
        ({"labels-key": "celltype"}, "Did you mean 'cell_type'"),
        ({"method": "robst"}, "Did you mean 'robust'"),
        ({"encoder": "kmr"}, "kmer"),
    ],
)
def test_errors_are_one_line(
    files: Path, capsys: pytest.CaptureFixture[str], change: dict[str, str], words: str
) -> None:
    options = {"reference": "reference.h5ad", "query": "query.h5ad", "output": "new.h5ad"} | change
    arguments = [f"--{k}={files / v if v.partition('.')[2] else v}" for k, v in options.items()]
    assert main(["annotate", *arguments, "--quiet"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("scllmda: error: ")
    assert words in error
    assert error.count("\n") == 1
    assert not (files / "new.h5ad").exists()


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
