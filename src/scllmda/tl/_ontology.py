"""Ontology ids of labels, one for each label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from numpy.typing import NDArray

from .. import _logging as logg
from .._label_text import as_text, has_label
from ._labels import Labels


def as_ontology_columns(ontology_key: str | Sequence[str] | None, levels: Sequence[str]) -> list[str]:
    """Return the columns of ontology ids: none, that of the finest labels, or one for each column of labels.

    Raises
    ------
    ValueError
        There are more or fewer than columns of labels.
    """
    if ontology_key is None:
        return []
    if isinstance(ontology_key, str):
        return [ontology_key]
    if len(ontology_key) != len(levels):
        msg = (
            f"Found ontology_key={list(ontology_key)!r} and labels_key={list(levels)!r}; expected one column of ids "
            f"for each column of labels, or a single name, the ids of {levels[-1]!r}."
        )
        raise ValueError(msg)
    return list(ontology_key)


def terms_of_labels(
    labels: Labels,
    levels: Sequence[str],
    columns: Sequence[pd.Series],
    unlabeled: str | int | Sequence[str],
    *,
    what: str = "adata",
) -> dict[str, str]:
    """Return the ontology id of each label that has one; warn of those that have none.

    Parameters
    ----------
    labels
        Labels of the cells.
    levels
        The columns that they are from, from coarse to fine.
    columns
        Ids of the same cells: of the finest labels, or for each column of labels. Those of unlabeled cells are not
        read.
    unlabeled
        What marks a cell as unlabeled marks it as one without id too, besides missing ids.
    what
        The object with the ids, "adata" or "reference", for messages.

    Raises
    ------
    ValueError
        A label has several ids, or no label of a column has one.
    """
    terms: dict[str, str] = {}
    # From coarse to fine: a name that two columns share has the id of the finer label.
    skipped = len(levels) - len(columns)
    for level, names, column in zip(levels[skipped:], labels.levels[skipped:], columns, strict=True):
        ids = as_text(column).where(has_label(column, unlabeled)).to_numpy()
        known = labels.codes >= 0
        pairs = pd.DataFrame({"label": names[labels.codes[known]], "term": ids[known]}, dtype=object)
        found = pairs.dropna().value_counts().index.to_frame(index=False)
        ids_of = f"{what}.obs[{column.name!r}]"
        if found.empty:
            msg = f"No labeled cell has an id in {ids_of}; expected ontology ids. Pass ontology_key= their column."
            raise ValueError(msg)
        several = {label: list(ids) for label, ids in found.groupby("label")["term"] if len(ids) > 1}
        if several:
            label, ids = next(iter(several.items()))
            msg = (
                f"Labels of {what}.obs[{level!r}] have several ids in {ids_of}: {several}; expected one for each. "
                f"Where cells are of one type, keep one id: {what}.obs.loc[{what}.obs[{level!r}] == {label!r}, "
                f"{column.name!r}] = {ids[0]!r}; where they are of several, pass labels_key={column.name!r}."
            )
            raise ValueError(msg)
        if without := sorted(set(pairs["label"]) - set(found["label"])):
            logg.warning(f"The labels {without!r} have no id in {ids_of}; cells with these labels get none.")
        terms |= dict(sorted(zip(found["label"], found["term"], strict=True)))
    return terms


def terms_of_cells(label: NDArray, terms: Mapping[str, str]) -> pd.Series:
    """Return the id of each cell's label as a category; missing where the label has none."""
    found = pd.Series(label, dtype=object).map(terms)
    return found.astype(pd.CategoricalDtype(pd.Index(sorted(found.dropna().unique()), dtype=object)))
