"""The one place that resolves user input and writes slots."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from . import _logging as logg
from ._files import PEAKS, load

if TYPE_CHECKING:
    from os import PathLike

    from mudata import MuData

NO_PEAKS = ("Gene Expression", "Antibody Capture", "CRISPR Guide Capture", "Multiplexing Capture")
"""Cell Ranger's types of other features."""


def resolve(
    data: AnnData | MuData, *, mod: str = "atac", copy: bool = False, what: str = "data"
) -> tuple[AnnData | MuData, AnnData]:
    """Return the user's object (or its copy) and the AnnData inside it that is worked on.

    Parameters
    ----------
    data
        AnnData, or a MuData with the modality ``mod``.
    mod
        Modality of a MuData that holds the peaks.
    copy
        Work on a copy.
    what
        "query" or "reference", for messages.

    Raises
    ------
    TypeError
        ``data`` is neither.
    KeyError
        The MuData has no such modality.
    """
    _modality(data, mod, what)
    # Of a backed object, a copy can only lie in memory or in another file.
    if copy:
        data = data.to_memory() if isinstance(data, AnnData) and data.isbacked else data.copy()
    adata = _modality(data, mod, what)
    if adata is data and adata.is_view:
        # Writing to a view copies it anyway, with a warning per slot.
        adata._init_as_actual(adata.to_memory() if adata.isbacked else adata.copy())
    if not isinstance(adata.obs, pd.DataFrame):
        # Of a lazy object, tables are small; what is written to them lies in memory anyway.
        adata.obs, adata.var = adata.obs.to_memory(), adata.var.to_memory()
    return data, adata


def _modality(data: AnnData | MuData, mod: str, what: str) -> AnnData:
    if isinstance(data, AnnData):
        return data
    if not isinstance(getattr(data, "mod", None), Mapping):
        # SnapATAC2's objects on disk have a class of the same name.
        kind = type(data)
        in_memory = " Call .to_memory() on it first." if hasattr(data, "to_memory") else ""
        msg = f"Expected an anndata.AnnData or a MuData, found {kind.__module__}.{kind.__qualname__}.{in_memory}"
        raise TypeError(msg)
    if mod not in data.mod:
        found = f"The {what}, a MuData, has no modality {mod!r}, only {sorted(data.mod)}."
        msg = f"{found} Pass mod= the one that holds the peaks, or the modality itself: mdata['…']."
        raise KeyError(msg)
    return data.mod[mod]


def read(data: AnnData | MuData | str | PathLike[str], *, mod: str = "atac", what: str = "data") -> AnnData:
    """Return the AnnData of an object or path, which is not to be written to."""
    adata = _modality(load(data), mod, what)
    if isinstance(adata.obs, pd.DataFrame):
        return adata
    # A lazy object stays as it is.
    kept = {name: dict(getattr(adata, name)) for name in ("layers", "obsm", "varm", "uns")}
    return AnnData(adata.X, obs=adata.obs.to_memory(), var=adata.var.to_memory(), **kept)


def obs_column(
    data: AnnData | MuData, adata: AnnData, key: str, *, parameter: str = "labels_key", what: str = "data"
) -> pd.Series:
    """Return a column of the cells' annotation: of the modality, else of the MuData around it.

    Raises
    ------
    KeyError
        There is no such column; close names, and where else there is one, are suggested.
    """
    if key in adata.obs:
        return adata.obs[key]
    if not isinstance(data, AnnData) and key in data.obs:
        return _of_modality(data, adata, key)
    msg = (
        f"Did not find .obs[{key!r}] of the {what}; columns are {list(adata.obs.columns)}."
        f"{_elsewhere(data, adata, key)} Pass {parameter}= the column to use."
    )
    raise KeyError(msg)


def _of_modality(data: MuData, adata: AnnData, key: str) -> pd.Series:
    """Return a column of a MuData for the cells of one of its modalities, by position: names may repeat."""
    name = next(name for name, modality in data.mod.items() if modality is adata)
    # 0 where the modality lacks a cell, else its position in it, counted from 1.
    place = np.asarray(data.obsmap[name]).ravel().astype(np.intp)
    rows = np.empty(adata.n_obs, dtype=np.intp)
    rows[place[place > 0] - 1] = np.flatnonzero(place > 0)
    return data.obs[key].iloc[rows].set_axis(adata.obs_names)


def _elsewhere(data: AnnData | MuData, adata: AnnData, key: str) -> str:
    """Return a sentence on columns that may be meant, empty if there are none."""
    close = difflib.get_close_matches(key, list(map(str, adata.obs.columns)), n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    if isinstance(data, AnnData):
        return hint
    of_all = difflib.get_close_matches(key, list(map(str, data.obs.columns)), n=1)
    if of_all and not close:
        hint += f" .obs of the MuData has {of_all[0]!r}: did you mean that?"
    mine = next(name for name, modality in data.mod.items() if modality is adata)
    for name, modality in data.mod.items():
        near = [] if modality is adata else difflib.get_close_matches(key, list(map(str, modality.obs.columns)), n=1)
        if near:
            hint += (
                f" The modality {name!r} has {near[0]!r}; to use it: "
                f"mdata[{mine!r}].obs[{near[0]!r}] = mdata[{name!r}].obs[{near[0]!r}]."
            )
    return hint


def require_peaks_only(adata: AnnData, what: str = "data") -> None:
    """Raise ValueError if features are no peaks: Cell Ranger says in ``.var["feature_types"]`` what a feature is."""
    if "feature_types" in adata.var:
        types = adata.var["feature_types"].astype(str)
        others = types[types != PEAKS]
        if len(others) and (len(others) < adata.n_vars or others.isin(NO_PEAKS).any()):
            msg = (
                f"{len(others)} of {adata.n_vars} features of the {what} are no peaks, by .var['feature_types'] "
                f"(first: {others.iloc[0]!r}); expected {PEAKS!r} throughout. "
            )
            if len(others) < adata.n_vars:
                name = _variable(what)
                msg += f"Keep those: {name} = {name}[:, {name}.var['feature_types'] == {PEAKS!r}].copy()."
            else:
                msg += "Pass mod= the modality of the peaks, or the object that holds them."
            raise ValueError(msg)


def _variable(what: str) -> str:
    """Return what an object is called in code that a message gives."""
    return "adata" if what == "data" else what


def require_peaks(adata: AnnData, what: str = "data") -> None:
    """Raise ValueError if there are no peaks, features are none, or their names repeat."""
    require_peaks_only(adata, what)
    if adata.n_vars == 0:
        msg = f"The {what} has no peaks, only {adata.n_obs} cells; expected some. Pass an object with peaks."
        raise ValueError(msg)
    if not adata.var_names.is_unique:
        name = _variable(what)
        twice = adata.var_names[adata.var_names.duplicated()].unique()
        msg = (
            f"{len(twice)} peak names of the {what} repeat (first: {twice[0]!r}); expected unique names. Keep the "
            f"first of each: {name} = {name}[:, ~{name}.var_names.duplicated()].copy()."
        )
        raise ValueError(msg)


def claim_slots(
    adata: AnnData, slots: Iterable[tuple[str, str]], *, read: Mapping[tuple[str, str], str], is_ours: bool
) -> None:
    """Raise ValueError, before any work, where a result would overwrite what it is made of; warn of the user's slots.

    Parameters
    ----------
    adata
        Object that will be written to.
    slots
        ``("obs", "scllmda")`` and so on: what will be written.
    read
        Slots of the object that are read, and as what.
    is_ours
        Whether slots that are there are an earlier result of the same kind.
    """
    slots = list(slots)
    for slot in slots:
        if slot in read:
            attr, key = slot
            msg = f"This would overwrite .{attr}[{key!r}], which is read as {read[slot]}. Pass key_added= another name."
            raise ValueError(msg)
    lost = [f".{attr}[{key!r}]" for attr, key in slots if key in getattr(adata, attr)]
    if lost and not is_ours:
        logg.warning(
            f"{', '.join(lost)}, which scllmda did not write, will be overwritten. Pass key_added= another name to "
            "keep what is there."
        )


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
