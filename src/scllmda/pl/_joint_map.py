"""Two coordinates per cell of reference and query."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import SparseEfficiencyWarning

from .. import _logging as logg
from .._keys import AnnotationKeys
from .._scanpy import scanpy_by_default
from ..get import query_cells

if TYPE_CHECKING:
    from mudata import MuData
    from numpy.typing import NDArray

MAP = "umap"
"""Entry of ``.uns[key]``."""


def joint_map(data: AnnData | MuData, adata: AnnData, key: str) -> NDArray[np.floating]:
    """Return the UMAP of an annotation's aligned representation: the kept one if it is of that, else a new one.

    A new one is kept in ``.uns[key]["umap"]``, with a checksum of what it was computed from, unless the object is a
    view, backed or lazy.

    Parameters
    ----------
    data
        Object of the user.
    adata
        The AnnData in it, or in memory made of it.
    key
        ``key_added`` of the annotation.

    Returns
    -------
    (n_reference + n_query, 2) float32.
    """
    uns, query = adata.uns[key], query_cells(data, adata, key)
    aligned = np.asarray(adata.obsm[AnnotationKeys(key).aligned])
    known = uns["reference"]["X_da"] if "X_da" in uns["reference"] else aligned[~query]
    X = np.ascontiguousarray(np.vstack([np.asarray(known), aligned[query]]), dtype=np.float32)
    checksum = hashlib.sha256(X.data).hexdigest()
    kept: Any = uns.get(MAP)
    if isinstance(kept, Mapping) and kept.get("computed_from") == checksum and len(kept["coordinates"]) == len(X):
        return np.asarray(kept["coordinates"])
    start = logg.info("computing the UMAP of reference and query")
    found = _umap(X)
    is_users = data is adata or (not isinstance(data, AnnData) and any(m is adata for m in data.mod.values()))
    is_kept = is_users and not adata.is_view and not adata.isbacked and isinstance(uns, dict)
    if is_kept:
        uns[MAP] = {"coordinates": found, "computed_from": checksum}
    logg.info("    finished", time=start, deep=f"added\n    .uns[{key!r}][{MAP!r}]" if is_kept else "added nothing")
    return found


def basis_of(adata: AnnData, basis: str, what: str = "data") -> NDArray[np.floating]:
    """Return the first two columns of a map that an object holds; ``basis`` may lack scanpy's "X_".

    Raises
    ------
    KeyError
        There is no such map.
    ValueError
        It has one column.
    """
    name = basis if basis in adata.obsm else f"X_{basis}"
    if name not in adata.obsm:
        msg = (
            f"Did not find .obsm[{basis!r}] of the {what}; it has {list(adata.obsm)}. Pass basis= one of these, or "
            "None for a UMAP of the aligned representation."
        )
        raise KeyError(msg)
    found = adata.obsm[name]
    found = found.toarray() if hasattr(found, "toarray") else np.asarray(found)
    if found.ndim != 2 or found.shape[1] < 2:
        msg = f".obsm[{name!r}] of the {what} is of shape {found.shape}; basis= expects two columns or more."
        raise ValueError(msg)
    return found[:, :2].astype(np.float32)


def _umap(X: NDArray[np.float32]) -> NDArray[np.float32]:
    cells = AnnData(X, obs=pd.DataFrame(index=np.arange(len(X)).astype(str)))
    # Beyond some thousand cells scanpy would take pynndescent, whose release 0.7 it cannot read (scanpy 1.11).
    with scanpy_by_default() as sc, warnings.catch_warnings():
        # scanpy fills the diagonal of its matrix of distances, which is no matter of the user's.
        warnings.simplefilter("ignore", SparseEfficiencyWarning)
        sc.pp.neighbors(cells, use_rep="X", transformer="sklearn", random_state=0)
        sc.tl.umap(cells, random_state=0, key_added="joint")
    return np.asarray(cells.obsm["joint"], dtype=np.float32)
