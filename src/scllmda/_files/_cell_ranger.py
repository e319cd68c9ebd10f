"""Matrices of Cell Ranger ATAC and ARC: an ``.h5``, a folder with ``matrix.mtx``, or the folder ``outs`` of a run."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _logging as logg
from ._columns_of_their_own import columns_of_their_own

if TYPE_CHECKING:
    from mudata import MuData

PEAKS = "Peaks"
"""Feature type of peaks, as Cell Ranger writes it."""
_FILTERED = tuple(
    f"filtered_{features}_bc_matrix{suffix}" for features in ("peak", "feature") for suffix in (".h5", "")
)
"""Matrices of called cells in ``outs``, of ATAC (peak) and ARC (feature), by preference: an .h5 notes the genome."""
_FEATURES = ("features.tsv", "peaks.bed")
"""Where a folder lists its features: ARC writes the first, ATAC the second."""


def find_matrix(path: Path) -> Path | None:
    """Return the matrix of Cell Ranger that a path is, or the one of called cells in a run's folder; None if none is.

    Raises
    ------
    ValueError
        A folder with the matrix of all barcodes alone.
    """
    if path.is_file():
        return path if h5py.is_hdf5(path) and _has_barcodes(path) else None
    if any([*path.glob("*matrix.mtx"), *path.glob("*matrix.mtx.gz")]):
        return path
    for outs in (path, path / "outs"):
        found = next((outs / name for name in _FILTERED if (outs / name).exists()), None)
        if found is not None:
            return found
        raw = next((raw for name in _FILTERED if (raw := outs / name.replace("filtered", "raw")).exists()), None)
        if raw is not None:
            msg = (
                f"The folder {str(outs)!r} holds {raw.name!r}, of all barcodes, and no filtered matrix; expected that "
                f"of the called cells. Pass {str(raw)!r} if all barcodes are wanted."
            )
            raise ValueError(msg)
    return None


def folder_of_part(path: Path) -> Path | None:
    """Return the folder that a file is a part of the matrix of; None if it is none."""
    parts = "matrix.mtx", "barcodes.tsv", *_FEATURES
    is_part = path.is_file() and path.name.removesuffix(".gz").endswith(parts)
    return path.parent if is_part and find_matrix(path.parent) == path.parent else None


def _has_barcodes(path: Path) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return "matrix/barcodes" in file
    except OSError:
        # A damaged file is named where it is read.
        return False


def kind_of_matrix(matrix: Path) -> str:
    """Return what is read from a matrix: a "MuData" where it has peaks and other features, else an "AnnData"."""
    if matrix.is_dir():
        types = set(_features(matrix)["feature_types"])
    else:
        with h5py.File(matrix, "r") as file:
            types = set(file["matrix/features/feature_type"].asstr()[()])
    return "MuData" if PEAKS in types and len(types) > 1 else "AnnData"


def read_matrix(matrix: Path, holds: str) -> AnnData | MuData:
    """Read a matrix of cells × features; peaks and genes become modalities, by the names that muon gives them."""
    adata = _read_folder(matrix) if matrix.is_dir() else _read_h5(matrix)
    n_repeated = int(adata.var_names.duplicated().sum())
    if n_repeated and (adata.var["feature_types"] != PEAKS).any():
        adata.var_names_make_unique()
        logg.info(f"    {n_repeated} names of genes repeat and end in -1, -2, … now; ids are in .var['gene_ids']")
    if holds == "AnnData":
        _note_genome(adata)
        return adata
    from mudata import MuData

    with columns_of_their_own():
        mdata = MuData(adata)
    _note_genome(mdata["atac"])
    return mdata


def _read_h5(path: Path) -> AnnData:
    import scanpy as sc

    # It logs that it reads, as was said already. Before scanpy 1.12 `verbosity.override` stays after an error.
    before, sc.settings.verbosity = sc.settings.verbosity, 0
    try:
        with warnings.catch_warnings():
            # Names are made unique, with a word about it.
            warnings.filterwarnings("ignore", message="Variable names are not unique")
            adata = sc.read_10x_h5(path, gex_only=False)
    finally:
        sc.settings.verbosity = before
    adata.X = adata.X.astype(np.float32, copy=False)
    return adata


def _read_folder(folder: Path) -> AnnData:
    from scipy.io import mmread

    path = _file(folder, "matrix.mtx")
    barcodes = _table(_file(folder, "barcodes.tsv"))[0]
    features = _features(folder)
    with warnings.catch_warnings():
        # Scipy will return sparse arrays by default; which of both it is does not matter here.
        warnings.filterwarnings("ignore", "The default value for `spmatrix`", DeprecationWarning)
        counts: Any = mmread(path)
    if counts.shape != (len(features), len(barcodes)):
        msg = (
            f"{path.name} has {counts.shape[0]} rows and {counts.shape[1]} columns, and beside it are {len(features)} "
            f"features and {len(barcodes)} barcodes"
        )
        raise ValueError(msg)
    obs = pd.DataFrame(index=pd.Index(barcodes.array))
    return AnnData(counts.T.tocsr().astype(np.float32), obs=obs, var=features)


def _features(folder: Path) -> pd.DataFrame:
    """Return the features of a folder as scanpy reads them from an .h5: peaks by position, genes by symbol."""
    path = _file(folder, *_FEATURES)
    is_bed = "peaks.bed" in path.name
    table = _table(path, "#" if is_bed else None)
    if table.shape[1] < 3:
        msg = f"{path.name} has {table.shape[1]} columns, and at least 3 were expected"
        raise ValueError(msg)
    if is_bed:
        names = _interval(table[[0, 1, 2]])
        return pd.DataFrame({"gene_ids": names.array, "feature_types": PEAKS}, index=pd.Index(names.array))
    var = pd.DataFrame({"gene_ids": table[0].array, "feature_types": table[2].array}, index=pd.Index(table[1].array))
    if table.shape[1] >= 6:
        var["interval"] = _interval(table[[3, 4, 5]]).array
    return var


def _interval(columns: pd.DataFrame) -> pd.Series:
    chrom, start, end = (columns[name] for name in columns)
    return chrom + ":" + start + "-" + end


def _table(path: Path, comment: str | None = None) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", header=None, dtype=str, na_filter=False, comment=comment, quoting=csv.QUOTE_NONE)


def _file(folder: Path, *names: str) -> Path:
    """Return a folder's one file by one of these names, whatever stands before the name, gzipped or not."""
    found = sorted({path for name in names for end in ("", ".gz") for path in folder.glob(f"*{name}{end}")})
    if len(found) == 1:
        return found[0]
    listed = f"{[path.name for path in found]}" if found else f"none beside {sorted(p.name for p in folder.iterdir())}"
    msg = f"expected one file {' or '.join(names)} (.gz or not) in the folder, found {listed}"
    raise FileNotFoundError(msg)


def _note_genome(adata: AnnData) -> None:
    """Write the genome build where the package looks for it first; Cell Ranger notes it for each feature."""
    names = adata.var["genome"].unique() if "genome" in adata.var else []
    if len(names) == 1 and names[0]:
        adata.uns["genome"] = str(names[0])
