"""The page for users of R: its Python code, on files as its R code writes them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from tests._objects import pair
from tests.docs._pages import World, python_of

import scllmda as sl


def write_as_r_does(adata: AnnData, folder: Path) -> None:
    """Write peaks × cells, with peaks that are counted from 1, include both ends, and have dashes in their names."""
    folder.mkdir()
    peaks_by_cells = sp.coo_matrix(adata.X.T)
    entries = zip(peaks_by_cells.row + 1, peaks_by_cells.col + 1, peaks_by_cells.data.astype(int), strict=True)
    size = (*peaks_by_cells.shape, peaks_by_cells.nnz)
    lines = ["%%MatrixMarket matrix coordinate real general", *(" ".join(map(str, row)) for row in [size, *entries])]
    (folder / "matrix.mtx").write_text("\n".join(lines) + "\n")
    positions = adata.var_names.str.extract(r"^(.+):(\d+)-(\d+)$")
    chrom, start, end = positions[0], positions[1].astype(int) + 1, positions[2]
    rows = [f"{c}-{s}-{e}\t{c}\t{s}\t{e}" for c, s, e in zip(chrom, start, end, strict=True)]
    (folder / "peaks.tsv").write_text("\n".join(["name\tchrom\tstart\tend", *rows]) + "\n")
    rows = [f"{barcode}\tdonor 1\tTRUE\tNA" for barcode in adata.obs_names]
    (folder / "cells.tsv").write_text("\n".join(["barcode\tSample\tPassQC\tdoublet", *rows]) + "\n")


@pytest.mark.parametrize("barcode", ["{}-1", "sample#{}-1"], ids=["Signac", "ArchR"])
def test_from_r_and_back(barcode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reference, query = pair()
    query.obs_names = [barcode.format(name) for name in query.obs_names]
    write_as_r_does(query, tmp_path / "export")
    reference.write_h5ad("reference.h5ad")
    page: dict[str, AnnData] = {}
    for block in python_of("r_users.md"):
        if "adata" not in block:  # of files that R packages began with
            continue
        exec(block, page)
        adata = page["adata"]
        # Also after the block that puts names of GRanges right.
        assert adata.var_names.tolist() == query.var_names.tolist()
    assert adata.obs_names.tolist() == query.obs_names.tolist()
    np.testing.assert_array_equal(adata.X.toarray(), query.X.toarray())
    expected = sl.get.annotation(sl.tl.annotate(query, reference, copy=True))
    pd.testing.assert_frame_equal(sl.get.annotation(adata), expected, check_names=False)
    with Path("labels.tsv").open() as file:
        header, *rows = csv.reader(file, delimiter="\t")
    assert header == ["barcode", "label", "raw", "score", "novelty"]
    assert [row[:2] for row in rows] == [[name, label] for name, label in expected["label"].items()]


def test_files_that_r_packages_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("snapatac2")
    monkeypatch.chdir(tmp_path)
    world = World(tmp_path)
    for name in ("my_run", "fragments.tsv.gz", "reference.h5ad"):
        world.write(name)
    page: dict[str, AnnData] = {}
    for block, peaks in zip(
        (block for block in python_of("r_users.md") if "adata" not in block),
        (world.query_cells.var_names, world.reference_cells.var_names),
        strict=True,
    ):
        exec(block, page)
        assert page["query"].var_names.tolist() == peaks.tolist()
