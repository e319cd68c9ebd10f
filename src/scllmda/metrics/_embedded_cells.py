"""The cells of an embedding that have a label and a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .._anndata import obs_column, read
from .._files import load
from .._label_text import as_text, has_label

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray

FEWEST = 6
"""Smallest number of cells: three have no third of them, which is the perplexity of cLISI, above 1."""


@dataclass(frozen=True, eq=False)
class EmbeddedCells:
    """The n cells of an embedding that have a label and a batch, in an order that does not depend on that given."""

    X: NDArray[np.float64]
    """(n, d): embedding."""
    label: NDArray[np.intp]
    """(n,): type of each cell, counted from 0."""
    batch: NDArray[np.intp]
    """(n,): batch of each cell, counted from 0."""
    n_labels: int
    """Number of types."""
    n_batches: int
    """Number of batches."""


def embedded_cells(
    data: Any, labels: Any, batch: Any, *, use_rep: str, unlabeled: str | int | Sequence[str], mod: str
) -> EmbeddedCells:
    """Return the cells that can be scored; parameters and errors as :func:`integration_report` has them."""
    around: AnnData | MuData | None = None
    adata: AnnData | None = None
    if isinstance(data, np.ndarray | pd.DataFrame | list | tuple) or sp.issparse(data):
        found: Any = data
    else:
        around = load(data)
        adata = read(around, mod=mod)
        if use_rep not in adata.obsm:
            msg = (
                f"Did not find .obsm[{use_rep!r}], only {sorted(adata.obsm)}. Pass use_rep= the slot of the embedding, "
                "or make one: scllmda.tl.cell_embeddings(adata)."
            )
            raise KeyError(msg)
        found = adata.obsm[use_rep]
    X = _matrix(found)
    types = _per_cell(labels, "labels", len(X), around, adata)
    batches = _per_cell(batch, "batch", len(X), around, adata)
    kept = has_label(types, unlabeled) & batches.notna().to_numpy(bool)
    if kept.sum() < FEWEST:
        msg = (
            f"{kept.sum()} of {len(X)} cells have a label (labels=) and a batch (batch=); expected at least {FEWEST}. "
            "Pass labels and batches that are known."
        )
        raise ValueError(msg)
    bad = ~np.isfinite(X[kept]).all(axis=1)
    if bad.any():
        msg = (
            f"The embeddings of {bad.sum()} of {kept.sum()} cells hold NaN or infinite values; expected numbers. Leave "
            "these cells out, or make the embedding again."
        )
        raise ValueError(msg)
    label_names, label = np.unique(as_text(types[kept]).to_numpy(str), return_inverse=True)
    batch_names, in_batch = np.unique(as_text(batches[kept]).to_numpy(str), return_inverse=True)
    # Leiden, and the sums of rounded numbers, depend on the order of the cells.
    order = np.lexsort((in_batch, label, *X[kept].T[::-1]))
    return EmbeddedCells(X[kept][order], label[order], in_batch[order], len(label_names), len(batch_names))


def _matrix(found: Any) -> NDArray[np.float64]:
    values = found.toarray() if sp.issparse(found) else found
    try:
        X = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = f"Found an embedding that holds no numbers ({error}); expected an array of them, or an AnnData."
        raise TypeError(msg) from error
    if X.ndim != 2 or X.shape[1] == 0:
        msg = f"Found an embedding of shape {X.shape}; expected (n_cells, n_dims), or an AnnData. Pass data= one."
        raise ValueError(msg)
    return X


def _per_cell(value: Any, parameter: str, n_cells: int, around: Any, adata: AnnData | None) -> pd.Series:
    """Return a label or batch of each cell, by position."""
    if isinstance(value, str) and adata is not None:
        return obs_column(around, adata, value, parameter=parameter).reset_index(drop=True)
    is_list = isinstance(value, Sequence | np.ndarray | pd.Series | pd.Index | pd.Categorical)
    if isinstance(value, str | bytes) or not is_list:
        msg = (
            f"Found {parameter}={value!r} ({type(value).__name__}); expected one value per cell, or a column of .obs "
            "where data= is an AnnData or MuData. Pass one of them."
        )
        raise TypeError(msg)
    values = pd.Series(np.asarray(value, dtype=object))
    if len(values) != n_cells:
        msg = (
            f"Found {len(values)} values ({parameter}=) and {n_cells} cells (data=); expected one per cell, in the "
            "same order. Pass them, or the embedding that they are of."
        )
        raise ValueError(msg)
    return values
