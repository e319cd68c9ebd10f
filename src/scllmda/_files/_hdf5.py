"""HDF5 files: what they hold, the filters they need, and the object in them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import anndata
import h5py

from ._reading import damage_named, kind_of, require_unpacked

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

UNPACKED = "a .h5ad, .h5mu or .zarr"
SUFFIXES = {".h5ad": "AnnData", ".h5mu": "MuData"}
"""What the HDF5 files of each name hold; a folder named .zarr holds either."""
_ZSTD = 32015
"""Number of the HDF5 filter that SnapATAC2 compresses with, from the HDF Group's list of registered filters."""


def require_hdf5(path: Path) -> str:
    """Return what an HDF5 file holds, which its name has to say as well."""
    require_unpacked(path, UNPACKED)
    with damage_named(path), h5py.File(path, "r") as file:
        kind = kind_of(file)
        names = sorted(file)
        missing = _missing_filters(file)
    if kind is None:
        msg = f"{str(path)!r} holds neither an AnnData nor a MuData; expected one of them. Found the entries {names}."
        raise ValueError(msg)
    if SUFFIXES.get(path.suffix) != kind:
        suffix = next(suffix for suffix, held in SUFFIXES.items() if held == kind)
        msg = f"{str(path)!r} holds an object of type {kind}; expected a name that ends in {suffix!r} then. Rename it."
        raise ValueError(msg)
    if missing:
        _require_filters(path, missing)
    return kind


def _missing_filters(file: h5py.File) -> set[int]:
    """Return the numbers of the filters that compressed some values and that HDF5 does not have."""
    found: set[int] = set()

    def look(_: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset):
            settings = node.id.get_create_plist()
            found.update(settings.get_filter(i)[0] for i in range(settings.get_nfilters()))

    file.visititems(look)
    return {number for number in found if not h5py.h5z.filter_avail(number)}


def _require_filters(path: Path, missing: set[int]) -> None:
    """Load the filters of hdf5plugin; raise if it is not installed, or does not have them."""
    try:
        import_module("hdf5plugin")
    except ImportError as error:
        msg = (
            f"{str(path)!r} is compressed by the HDF5 filter {_listed(missing)}; to read that, expected the package "
            "hdf5plugin, which is not installed. Install it: pip install hdf5plugin"
        )
        raise ImportError(msg) from error
    if still := {number for number in missing if not h5py.h5z.filter_avail(number)}:
        msg = (
            f"{str(path)!r} is compressed by the HDF5 filter {_listed(still)}, which hdf5plugin lacks; expected one it "
            "has. Write it again where it can be read: adata.write_h5ad(path, compression='gzip')."
        )
        raise ImportError(msg)


def _listed(filters: set[int]) -> str:
    return ", ".join("zstd" if number == _ZSTD else str(number) for number in sorted(filters))


def read_hdf5(path: Path, holds: str) -> AnnData | MuData:
    if holds == "AnnData":
        return anndata.read_h5ad(path)
    from mudata import read_h5mu

    return read_h5mu(path)
