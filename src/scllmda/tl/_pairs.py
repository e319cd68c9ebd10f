"""Cells of which open peaks and expression are both known."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from .. import _logging as logg
from .._anndata import load, read
from .._counts import counts
from ..methods import Expression

if TYPE_CHECKING:
    from mudata import MuData

PER_CELL = 10_000
"""Counts that a cell's are scaled to."""
LARGEST_LOG = 20.0
"""Largest log-normalized expression: of a cell with one transcript, scaled to a million, it is 13.8. Expression that is
scaled to 10,000 and not logged reaches hundreds."""


@dataclass(frozen=True)
class Pairs:
    """Cells of which both are known."""

    data: AnnData | MuData
    """The object as it was given or read."""
    atac: AnnData
    """Its cells × peaks."""
    expression: Expression
    """Of the same cells in the same order."""


def read_pairs(
    data: AnnData | MuData | str | PathLike[str], *, mod: str, rna_mod: str, rna_layer: str | None, what: str
) -> Pairs:
    """Return the cells × peaks of an object, and the expression of the same cells in the same order.

    Parameters
    ----------
    data
        MuData, or its path.
    mod, rna_mod
        Modalities with open peaks and with expression; cells are paired by their names, in whatever order.
    rna_layer
        Layer of the latter with counts, or log-normalized expression; ``.X`` if None.
    what
        "data" or "reference", for messages.

    Raises
    ------
    TypeError
        No MuData.
    KeyError
        It lacks a modality, or the layer.
    ValueError
        Names of cells or genes repeat; a cell is in one modality alone; no gene, or none that is expressed; values
        that are neither counts nor log-normalized.
    """
    found: Any = load(data)
    if isinstance(found, AnnData):
        msg = (
            f"The {what} is an AnnData, of which open peaks alone are known; expected a MuData with the modalities "
            f"{mod!r} and {rna_mod!r}, of the same cells. Pass "
            f"mudata.MuData({{{mod!r}: atac, {rna_mod!r}: rna}})."
        )
        raise TypeError(msg)
    atac = read(found, mod=mod, what=what)
    if rna_mod not in found.mod:
        msg = (
            f"The {what}, a MuData, has no modality {rna_mod!r}, only {sorted(found.mod)}; expected one with the "
            "expression of the same cells. Pass rna_mod= the one that holds it."
        )
        raise KeyError(msg)
    rna = read(found, mod=rna_mod, what=what)
    order = _pair(atac, rna, (mod, rna_mod), what)
    genes = rna.var_names.astype(str)
    if not len(genes):
        msg = f"The modality {rna_mod!r} of the {what} has no genes; expected some. Pass rna_mod= another modality."
        raise ValueError(msg)
    _require_unique(genes, f"genes of the modality {rna_mod!r} of the {what}", f"mdata[{rna_mod!r}].var_names")
    X = log_normalized(sp.csr_matrix(counts(rna, rna_layer, what="RNA")[order]))
    return Pairs(found, atac, Expression(X, tuple(genes)))


def log_normalized(X: sp.csr_matrix) -> sp.csr_matrix:
    """Return log(1 + counts per 10,000 of the cell) of counts; what is log-normalized already is returned as it is.

    Whole numbers are counts. Else numbers up to 20 are taken for log-normalized ones.

    Parameters
    ----------
    X
        (n_cells, n_genes) finite, none below 0.

    Raises
    ------
    ValueError
        They are neither; nothing is expressed.
    """
    if not X.nnz:
        msg = f"None of the {X.shape[1]} genes is expressed in any of {X.shape[0]} cells; expected counts."
        raise ValueError(msg)
    if (X.data == np.round(X.data)).all():
        total = np.asarray(X.sum(axis=1, dtype=np.float64)).ravel()
        found = sp.csr_matrix(X, dtype=np.float64, copy=True)
        found.data = np.log1p(PER_CELL * found.data / np.repeat(total, np.diff(X.indptr)))
        return found.astype(np.float32)
    if X.data.max() > LARGEST_LOG:
        msg = (
            f"The RNA holds numbers that are not whole, up to {X.data.max():g}; expected counts, or expression that is "
            "log-normalized (sc.pp.normalize_total, then sc.pp.log1p). Pass rna_layer= the one that holds it."
        )
        raise ValueError(msg)
    logg.info("    the RNA is taken for log-normalized, as its numbers are not whole")
    return X


def _pair(atac: AnnData, rna: AnnData, mods: tuple[str, str], what: str) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Return where each cell of the open peaks is among those of the expression."""
    for adata, mod in zip((atac, rna), mods, strict=True):
        _require_unique(adata.obs_names, f"cells of the modality {mod!r} of the {what}", f"mdata[{mod!r}].obs_names")
    alone = [atac.obs_names.difference(rna.obs_names), rna.obs_names.difference(atac.obs_names)]
    if len(alone[0]) or len(alone[1]):
        first = next(names[0] for names in alone if len(names))
        msg = (
            f"Of the {what}, {len(alone[0]):,} of {atac.n_obs:,} cells are in the modality {mods[0]!r} alone, and "
            f"{len(alone[1]):,} of {rna.n_obs:,} in {mods[1]!r} alone (first: {first!r}); expected the same cells in "
            "both. Keep those: muon.pp.intersect_obs(mdata)."
        )
        raise ValueError(msg)
    return rna.obs_names.get_indexer(atac.obs_names).astype(np.intp)


def _require_unique(names: pd.Index, whose: str, holder: str) -> None:
    if not names.is_unique:
        twice = names[names.duplicated()].unique()
        msg = (
            f"{len(twice):,} names of {whose} repeat (first: {twice[0]!r}); expected unique names. Number them: "
            f"{holder.rpartition('.')[0]}.{holder.rpartition('.')[2]}_make_unique()."
        )
        raise ValueError(msg)
