"""Cells of reference and query as one table, the reference first, and known labels of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._anndata import obs_column, read
from .._label_text import as_text, has_label
from ..get import annotation, query_cells
from ._joint_map import basis_of

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray


def both_domains(
    data: AnnData | MuData, adata: AnnData, key: str, truth: str | None, labels: NDArray[np.object_] | None = None
) -> pd.DataFrame:
    """Return a row per cell of reference and query.

    Parameters
    ----------
    data
        Object of the user.
    adata
        The AnnData in it.
    key
        ``key_added`` of the annotation.
    truth
        Column with known labels of the query, None for no column.
    labels
        (n_reference,) of the reference's cells; None: those of the annotation.

    Returns
    -------
    Columns ``domain``, ``reference`` (its labels), ``predicted``, ``truth`` (texts, None where there is none),
    ``score`` and ``novelty`` (NaN of the reference).
    """
    table, query = annotation(adata, key), query_cells(data, adata, key)
    if labels is None:
        labels = _labels_of_reference(adata, table, key, query)
    known = None if truth is None else known_labels(data, adata, key, truth)
    n_reference, n_query = len(labels), int(query.sum())

    def of_query(values: pd.Series | None, nothing: float | None = None) -> NDArray[np.object_]:
        found = np.full(n_reference + n_query, nothing, dtype=object if nothing is None else float)
        if values is not None:
            found[n_reference:] = values.to_numpy()[query]
        return found

    return pd.DataFrame(
        {
            "domain": ["reference"] * n_reference + ["query"] * n_query,
            "reference": np.concatenate([labels, np.full(n_query, None)]),
            "predicted": of_query(table["label"].astype(str)),
            "truth": of_query(known),
            "score": of_query(table["score"], np.nan),
            "novelty": of_query(table["novelty"], np.nan),
        }
    )


def on_basis(
    data: AnnData | MuData, adata: AnnData, key: str, basis: str, reference: AnnData | MuData | None, mod: str
) -> tuple[NDArray[np.object_], NDArray[np.floating]]:
    """Return the labels of reference cells that have a place on a map, and all places, the reference's first.

    Parameters
    ----------
    data, adata, key
        As above.
    basis
        Key of ``.obsm``.
    reference
        Object of a reference, which may have the same map.
    mod
        Modality of a MuData.

    Raises
    ------
    KeyError
        The annotated object has no such map.
    """
    places, query, uns = basis_of(adata, basis), query_cells(data, adata, key), adata.uns[key]
    if not query.all():
        return _labels_of_reference(adata, annotation(adata, key), key, query), _stacked(places[~query], places[query])
    known = None if reference is None else read(reference, mod=mod, what="reference")
    if known is None or not {basis, f"X_{basis}"} & set(known.obsm):
        return np.empty(0, dtype=object), places
    labels = obs_column(reference, known, uns["reference"]["labels_key"], what="reference")
    labeled = has_label(labels, uns["params"]["unlabeled"])
    return as_text(labels).to_numpy()[labeled], _stacked(basis_of(known, basis, "reference")[labeled], places)


def known_labels(data: AnnData | MuData, adata: AnnData, key: str, truth: str) -> pd.Series:
    """Return a column of labels as text, missing where a cell has none or what the annotation took for none.

    Raises
    ------
    KeyError
        There is no such column.
    """
    found = obs_column(data, adata, truth, parameter="truth")
    return as_text(found).where(has_label(found, adata.uns[key]["params"]["unlabeled"]))


def _labels_of_reference(
    adata: AnnData, table: pd.DataFrame, key: str, query: NDArray[np.bool_]
) -> NDArray[np.object_]:
    uns = adata.uns[key]
    if "codes" in uns["reference"]:
        return np.asarray(uns["classes"], dtype=object)[np.asarray(uns["reference"]["codes"])]
    return table["raw"].astype(str).to_numpy(dtype=object)[~query]


def _stacked(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.vstack([one, other])
