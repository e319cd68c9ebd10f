"""The one place that resolves user input and writes slots."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import datetime
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import pandas as pd
from anndata import AnnData

from . import _logging as logg

if TYPE_CHECKING:
    import numpy as np
    from mudata import MuData
    from numpy.typing import NDArray


def resolve(data: AnnData | MuData, *, mod: str = "atac", copy: bool = False) -> tuple[AnnData | MuData, AnnData]:
    """Return the user's object (or its copy) and the AnnData inside it that is worked on.

    Parameters
    ----------
    data
        AnnData, or a MuData with the modality ``mod``.
    mod
        Modality of a MuData that holds the peaks.
    copy
        Work on a copy.

    Raises
    ------
    TypeError
        ``data`` is neither.
    KeyError
        The MuData has no such modality.
    """
    _modality(data, mod)
    data = data.copy() if copy else data
    adata = _modality(data, mod)
    if adata is data and adata.is_view:
        # Writing to a view copies it anyway, with a warning per slot.
        adata._init_as_actual(adata.copy())
    return data, adata


def _modality(data: AnnData | MuData, mod: str) -> AnnData:
    if isinstance(data, AnnData):
        return data
    if not isinstance(getattr(data, "mod", None), Mapping):
        msg = f"Expected an AnnData or a MuData, found {type(data).__name__}."
        raise TypeError(msg)
    if mod not in data.mod:
        msg = f"The MuData has no modality {mod!r}, only {sorted(data.mod)}. Pass mod= the one that holds the peaks."
        raise KeyError(msg)
    return data.mod[mod]


def load(data: AnnData | MuData | str | PathLike[str]) -> AnnData | MuData:
    """Return an object as it is, or read it from a ``.h5ad``, ``.h5mu`` or ``.zarr`` path.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        A path of another kind.
    """
    if not isinstance(data, str | PathLike):
        return data
    path = fspath(data)
    if not Path(path).exists():
        msg = f"Found no file {path!r}; expected an object or the path of a .h5ad, .h5mu or .zarr."
        raise FileNotFoundError(msg)
    if path.endswith(".h5mu"):
        from mudata import read_h5mu

        return read_h5mu(path)
    if path.endswith(".h5ad"):
        return anndata.read_h5ad(path)
    if path.rstrip("/").endswith(".zarr"):
        return anndata.read_zarr(path)
    msg = f"Cannot tell the format of {path!r}; expected a .h5ad, .h5mu or .zarr. Rename it, or pass the object."
    raise ValueError(msg)


def read(data: AnnData | MuData | str | PathLike[str], *, mod: str = "atac") -> AnnData:
    """Return the AnnData of an object or path, which is not to be written to."""
    return _modality(load(data), mod)


def obs_column(data: AnnData | MuData, adata: AnnData, key: str, *, parameter: str = "labels_key") -> pd.Series:
    """Return a column of the cells' annotation: of the modality, else of the MuData around it.

    Raises
    ------
    KeyError
        There is no such column; close names are suggested.
    """
    for obs in (adata.obs, data.obs):
        if key in obs:
            return obs[key].reindex(adata.obs_names)
    close = difflib.get_close_matches(key, list(map(str, adata.obs.columns)), n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    msg = (
        f"Did not find .obs[{key!r}]; columns are {list(adata.obs.columns)}.{hint} Pass {parameter}= the column to use."
    )
    raise KeyError(msg)


def has_label(column: pd.Series, unlabeled: str) -> NDArray[np.bool_]:
    """Return (n_cells,) True where a label is neither missing nor ``unlabeled``."""
    return (column.notna() & (column.astype(str) != str(unlabeled))).to_numpy()


def require_unique_peaks(adata: AnnData, what: str = "data") -> None:
    """Raise if peak names repeat."""
    if not adata.var_names.is_unique:
        twice = adata.var_names[adata.var_names.duplicated()].unique()
        msg = (
            f"{len(twice)} peak names of the {what} repeat (first: {twice[0]!r}); expected unique names. "
            "Merge the peaks, or call .var_names_make_unique()."
        )
        raise ValueError(msg)


def write_slots(adata: AnnData, slots: Mapping[tuple[str, str], Any], *, start: datetime | None = None) -> None:
    """Write computed slots, all or none, and log each.

    Parameters
    ----------
    adata
        Object to write to.
    slots
        ``{("obsm", "X_scllmda"): array, …}``.
    start
        When the work began, for the log.
    """
    lengths = {"obs": adata.n_obs, "obsm": adata.n_obs, "obsp": adata.n_obs, "var": adata.n_vars, "varm": adata.n_vars}
    for (attr, key), value in slots.items():
        if attr in lengths and (n := value.shape[0]) != lengths[attr]:
            msg = f".{attr}[{key!r}] has {n} rows, expected {lengths[attr]}."
            raise ValueError(msg)
    for (attr, key), value in slots.items():
        if attr in ("obs", "var") and isinstance(value, pd.Series):
            value = value.set_axis(getattr(adata, f"{attr}_names"))
        getattr(adata, attr)[key] = value
    written = "".join(f"\n    .{attr}[{key!r}]" for attr, key in slots)
    logg.info("    finished", time=start, deep=f"added{written}" if slots else "added nothing")
