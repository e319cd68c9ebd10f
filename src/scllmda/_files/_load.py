"""Objects from paths of every format."""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from .. import _logging as logg
from ._cell_ranger import find_matrix, folder_of_part, kind_of_matrix, read_matrix
from ._hdf5 import SUFFIXES, UNPACKED, read_hdf5, require_hdf5
from ._paths import require_there
from ._reading import damage_named, require_unpacked, unless_replaced
from ._stores import read_store, require_store

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

_FORMATS = ".h5ad, .h5mu, .zarr, or an .h5 or folder of Cell Ranger"
_IS_TEXT = {".tsv", ".bed", ".txt"}
"""Suffixes of tables, which fragments come in."""


def load(data: AnnData | MuData | str | PathLike[str]) -> AnnData | MuData:
    """Return an object as it is, or read it from a path.

    Read are ``.h5ad``, ``.h5mu`` and ``.zarr``; and of Cell Ranger ATAC and ARC a matrix (``.h5``, or the folder of
    ``matrix.mtx``) or the folder of a run, of which the matrix of called cells is taken.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        A path of another kind.
    ImportError
        The file is compressed in a way that needs ``hdf5plugin``, which is not installed.
    OSError
        The file is damaged, or may not be read.
    """
    if not isinstance(data, str | PathLike):
        return data
    path = Path(data).expanduser()
    holds = require_readable(path)
    matrix = None if path.suffix == ".zarr" else find_matrix(path)
    if matrix is not None:
        with damage_named(matrix, of_anndata=False):
            read = read_matrix(matrix, holds)
        if matrix != path:
            logg.result(f"{str(path)!r} is a run of Cell Ranger: read {matrix.name!r}, the called cells.")
        return read
    with damage_named(path), warnings.catch_warnings():
        # Of what libraries will do at a later time, and of names that are numbers and become text.
        warnings.filterwarnings("ignore", message=r"From 0\.4 \.update\(\) will not pull", category=FutureWarning)
        warnings.filterwarnings("ignore", message="Transforming to str index")
        return unless_replaced(path, read_store if path.suffix == ".zarr" else read_hdf5, holds)


def require_readable(path: Path) -> str:
    """Return whether a path holds an "AnnData" or a "MuData"; raise as :func:`load` does if it holds neither."""
    require_there(path, f"the path of a {_FORMATS}")
    if path.suffix == ".zarr":
        return require_store(path)
    matrix = find_matrix(path)
    if matrix is not None:
        with damage_named(matrix, of_anndata=False):
            return kind_of_matrix(matrix)
    if path.is_file() and (path.suffix in SUFFIXES or h5py.is_hdf5(path)):
        return require_hdf5(path)
    folder = folder_of_part(path)
    if folder is not None:
        msg = f"{str(path)!r} is a part of a matrix of Cell Ranger; expected its folder. Pass that: {str(folder)!r}"
        raise ValueError(msg)
    if path.is_file() and _IS_TEXT & set(path.suffixes):
        msg = (
            f"{str(path)!r} looks like a table, or fragments; expected a {_FORMATS}. Count fragments in the "
            f"peaks of the reference: scllmda.pp.count_fragments({str(path)!r}, reference)"
        )
        raise ValueError(msg)
    if path.is_file():
        require_unpacked(path, UNPACKED)
    found = f"{'folder ' if path.is_dir() else ''}{str(path)!r}"
    msg = f"Cannot tell the format of {found}; expected a {_FORMATS}. Rename it, or pass the object."
    raise ValueError(msg)
