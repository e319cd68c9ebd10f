from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Labels:
    """Cell type labels as codes."""

    codes: NDArray[np.int64]
    """(n_cells,) position in ``classes``; -1 where the cell is unlabelled."""
    classes: NDArray[np.object_]
    """Class names, sorted as text."""


def encode_labels(column: pd.Series, unlabeled: str) -> Labels:
    """Encode labels; cells are unlabelled whose label is missing or equals ``unlabeled``.

    Raises
    ------
    ValueError
        No cell is labelled, or all have the same label.
    """
    known = column.notna() & (column.astype(str) != unlabeled)
    if not known.any():
        msg = (
            f"No cell is labelled: all {len(column)} values of .obs[{column.name!r}] are missing or {unlabeled!r}. "
            "Expected at least two cell types; pass labels_key= the column that holds them, or a labelled reference."
        )
        raise ValueError(msg)
    codes, classes = pd.factorize(column.astype(object).where(known).map(str, na_action="ignore"), sort=True)
    if len(classes) == 1:
        msg = (
            f"The only label of .obs[{column.name!r}] is {classes[0]!r}; expected at least two cell types. "
            "With one there is nothing to tell apart."
        )
        raise ValueError(msg)
    return Labels(codes.astype(np.int64), np.asarray(classes, dtype=object))


def encode_batches(column: pd.Series) -> NDArray[np.int64]:
    """Return (n_cells,) batch codes; cells without a batch share one."""
    return pd.factorize(column.astype(object).where(column.notna(), ""))[0].astype(np.int64)


def require_query(codes: NDArray[np.integer], labels_key: str, unlabeled: str) -> None:
    """Raise if no cell is unlabelled."""
    if (codes >= 0).all():
        msg = (
            f"There is no cell to annotate: all {len(codes)} have a label in .obs[{labels_key!r}]. Set the label of "
            f"query cells to {unlabeled!r} or missing, or call sl.tl.annotate(query, reference)."
        )
        raise ValueError(msg)
