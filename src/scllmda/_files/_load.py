"""Objects from paths of every format."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from ._hdf5 import SUFFIXES, about_cell_ranger, read_hdf5, require_hdf5, require_unpacked
from ._paths import require_there
from ._reading import damage_named, unless_replaced
from ._stores import read_store, require_store

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


def load(data: AnnData | MuData | str | PathLike[str]) -> AnnData | MuData:
    """Return an object as it is, or read it from a ``.h5ad``, ``.h5mu`` or ``.zarr`` path.

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
    with damage_named(path):
        return unless_replaced(path, read_store if path.suffix == ".zarr" else read_hdf5, holds)


def require_readable(path: Path) -> str:
    """Return whether a path holds an "AnnData" or a "MuData"; raise as :func:`load` does if it holds neither."""
    require_there(path, "the path of a .h5ad, .h5mu or .zarr")
    if path.suffix == ".zarr":
        return require_store(path)
    if path.is_file() and (path.suffix in SUFFIXES or h5py.is_hdf5(path)):
        return require_hdf5(path)
    if path.is_dir() and any(path.glob("matrix.mtx*")):
        raise ValueError(about_cell_ranger(path, path.with_name(f"{path.name}.h5")))
    require_unpacked(path)
    found = f"{'folder ' if path.is_dir() else ''}{str(path)!r}"
    msg = f"Cannot tell the format of {found}; expected a .h5ad, .h5mu or .zarr. Rename it, or pass the object."
    raise ValueError(msg)
