from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _logging as logg
from .._keys import class_column
from .._label_text import alike, as_names, as_text, has_label, like_none

NO_COLUMNS = ("", ".", "..", "_index")
"""Names that a column of a table in an h5ad or zarr file cannot have."""


@dataclass(frozen=True)
class Labels:
    """Cell type labels as codes, with the names of the classes."""

    codes: NDArray[np.int64]
    """(n_cells,) position in ``classes``; -1 where the cell is unlabeled."""
    levels: NDArray[np.object_]
    """(n_levels, n_classes) name of each class in each column of labels, from coarse to fine."""
    order: list[str]
    """All names, in the order of the reference's categories; those of the finest column come first."""

    @property
    def classes(self) -> NDArray[np.object_]:
        """Names of the classes in the finest column, sorted as text."""
        return self.levels[-1]


def as_levels(labels_key: str | Sequence[str]) -> list[str]:
    """Return the columns of labels from coarse to fine.

    Raises
    ------
    ValueError
        There is none.
    """
    columns = [labels_key] if isinstance(labels_key, str) else list(labels_key)
    if not columns:
        msg = "Found labels_key=[]; expected a column with cell types, or several from coarse to fine."
        raise ValueError(msg)
    return columns


def encode_labels(
    columns: Sequence[pd.Series],
    unlabeled: str | int | Sequence[str],
    *,
    what: str = "adata",
    parameter: str = "labels_key",
) -> Labels:
    """Encode labels; cells are unlabeled whose finest label is missing or ``unlabeled``. Warn of odd ones.

    Parameters
    ----------
    columns
        Labels of the same cells, from coarse to fine.
    unlabeled
        Label, or labels, that mark a cell as unlabeled.
    what
        The object with the labels, "adata" or "reference", for messages.
    parameter
        That names the columns, for messages.

    Raises
    ------
    ValueError
        No cell is labeled, or all have the same label; cells of one label differ in a coarser one, or have none.
    """
    finest = columns[-1]
    known = has_label(finest, unlabeled)
    if not known.any():
        msg = (
            f"No cell is labeled: all {len(finest)} values of {what}.obs[{finest.name!r}] are missing or "
            f"{unlabeled!r}. Expected at least two cell types; pass {parameter}= the column that holds them."
        )
        raise ValueError(msg)
    codes, classes = pd.factorize(as_text(finest.astype(object).where(known)), sort=True)
    if len(classes) == 1:
        msg = (
            f"The only label of {what}.obs[{finest.name!r}] is {classes[0]!r}; expected at least two cell types. "
            "With one there is nothing to tell apart."
        )
        raise ValueError(msg)
    _warn_of_odd_labels(codes, classes, f"{what}.obs[{finest.name!r}]", unlabeled)
    levels = [_parents(codes, classes, column, finest.name, unlabeled) for column in columns[:-1]]
    order = list(dict.fromkeys(name for column in columns[::-1] for name in _in_order(column)))
    return Labels(codes.astype(np.int64), np.array([*levels, classes], dtype=object), order)


def _in_order(column: pd.Series) -> list[str]:
    """Return the labels of a column in the order of its categories, else sorted as text."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return as_text(pd.Series(column.cat.categories)).tolist()
    return sorted(as_text(column).dropna().unique())


def _warn_of_odd_labels(
    codes: NDArray[np.integer], classes: NDArray[np.object_], column: str, unlabeled: str | int | Sequence[str]
) -> None:
    """Warn of labels that look like a missing label, and of labels that differ by blanks or case alone."""
    odd = like_none(classes)
    if odd:
        counts = ", ".join(f"{(codes == list(classes).index(name)).sum()} cells have {name!r}" for name in odd)
        names = [*as_names(unlabeled), *odd]
        logg.warning(
            f"Labels of {column} look like none, and are taken for cell types: {counts}. If they mark cells "
            f"without a label, pass unlabeled={names!r}."
        )
    for group in alike(classes):
        mend = {name: group[0].strip() for name in group if name != group[0].strip()}
        logg.warning(
            f"The labels {group!r} of {column} differ by blanks or case alone, and are taken for {len(group)} "
            f"cell types. If they are one: {column} = {column}.astype(object).replace({mend!r})."
        )


def _parents(
    codes: NDArray[np.integer],
    classes: NDArray[np.object_],
    column: pd.Series,
    finest: Hashable,
    unlabeled: str | int | Sequence[str],
) -> NDArray[np.object_]:
    """Return the coarse label of each class, the one that all its cells have."""
    known = has_label(column, unlabeled) & (codes >= 0)
    table = pd.crosstab(codes[known], as_text(column)[known].to_numpy()).reindex(range(len(classes)), fill_value=0)
    n_parents = (table > 0).sum(axis=1).to_numpy()
    if (n_parents != 1).any():
        c = int(np.flatnonzero(n_parents != 1)[0])
        found = {name: int(n) for name, n in table.loc[c].items() if n}
        msg = (
            f"Cells of {classes[c]!r} in .obs[{finest!r}] have {found or 'no label'} in .obs[{column.name!r}]; "
            "expected one label. labels_key= lists columns from coarse to fine: each label is a part of one coarser."
        )
        raise ValueError(msg)
    return table.columns.to_numpy(dtype=object)[table.to_numpy().argmax(axis=1)]


def encode_batches(column: pd.Series) -> NDArray[np.int64]:
    """Return (n_cells,) batch codes; cells without a batch share one."""
    return pd.factorize(column.astype(object).where(column.notna(), ""))[0].astype(np.int64)


def require_columns(labels: Labels, finest: str, index_name: Hashable) -> None:
    """Raise ValueError if files could not hold a table with a column per class, and an index of that name."""
    for c, name in enumerate(labels.classes):
        if name in NO_COLUMNS or "\0" in name:
            msg = (
                f"Files cannot hold the label {name!r} of .obs[{finest!r}] ({(labels.codes == c).sum()} cells). "
                f"Rename it, or pass unlabeled={name!r} if it marks cells without a label."
            )
            raise ValueError(msg)
        if name == index_name:
            msg = (
                f"The label {name!r} of .obs[{finest!r}] is the name of .obs_names too, which files cannot tell apart. "
                "Set adata.obs_names.name = None."
            )
            raise ValueError(msg)
    columns = pd.Index([class_column(name) for name in labels.classes])
    if not columns.is_unique:
        one, other = labels.classes[columns == columns[columns.duplicated()][0]][:2]
        msg = (
            f"Files cannot tell the labels {one!r} and {other!r} of .obs[{finest!r}] apart: they hold a '/' as U+2215, "
            "the division slash. Rename one."
        )
        raise ValueError(msg)


def require_query(codes: NDArray[np.integer], finest: str, unlabeled: str | int | Sequence[str]) -> None:
    """Raise if no cell is unlabeled."""
    if (codes >= 0).all():
        msg = (
            f"There is no cell to annotate: all {len(codes)} have a label in .obs[{finest!r}]. Set the label of "
            f"query cells to {as_names(unlabeled)[0]!r} or missing, or call sl.tl.annotate(query, reference)."
        )
        raise ValueError(msg)
