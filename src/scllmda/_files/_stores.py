"""Zarr stores: whether a folder is one, what it holds, and the object in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata

from ._reading import damage_named, kind_of, unless_replaced

if TYPE_CHECKING:
    from collections.abc import Iterator

    import zarr
    from anndata import AnnData
    from mudata import MuData

_STORE_FILES = ("zarr.json", ".zgroup")
"""What a zarr store has in its folder: the first in version 3 of the format, the second in version 2."""


def require_store(path: Path) -> str:
    """Return what a zarr store holds."""
    if not path.is_dir():
        msg = f"{str(path)!r} is a file; expected the folder of a zarr store. Unpack it if it is packed."
        raise ValueError(msg)
    if not is_store(path):
        msg = f"{str(path)!r} is a folder without {' or '.join(_STORE_FILES)}; expected a zarr store. Pass one."
        raise ValueError(msg)
    with damage_named(path):
        kind = unless_replaced(path, lambda path, _: kind_of(_open_store(path)))
    if kind is None:
        msg = f"{str(path)!r} holds neither an AnnData nor a MuData; expected one of them. Pass another path."
        raise ValueError(msg)
    return kind


def is_store(path: Path) -> bool:
    return any((path / name).is_file() for name in _STORE_FILES)


def _open_store(path: Path) -> zarr.Group:
    import zarr

    return zarr.open_group(path, mode="r")


def read_store(path: Path, holds: str) -> AnnData | MuData:
    for group in _groups(_open_store(path)):
        _require_chunks(group)
    if holds == "AnnData":
        return anndata.read_zarr(path)
    from mudata import read_zarr

    return read_zarr(path)


def _groups(group: zarr.Group) -> Iterator[zarr.Group]:
    yield group
    for _, inside in group.groups():
        yield from _groups(inside)


def _require_chunks(group: zarr.Group) -> None:
    """Raise if values that cannot all be empty have no file: zarr reads what is missing as zeros, without a word."""
    encoding = group.attrs.get("encoding-type")
    if encoding in {"csr_matrix", "csc_matrix"}:
        values: Any = group["data"]
    elif encoding == "dataframe":
        values = group[str(group.attrs["_index"])]
        kind = values.attrs.get("encoding-type")
        if kind == "nullable-string-array":
            values = values["values"]
        elif kind != "string-array":
            return
    else:
        return
    if lacking := values.nchunks - values.nchunks_initialized:
        msg = f"{lacking} of {values.nchunks} chunks of {values.name!r} are not there"
        raise ValueError(msg)
