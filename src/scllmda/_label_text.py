"""Labels as text, and which cells have one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIKE_NONE = frozenset(
    {"", "-", ".", "?", "na", "n/a", "nan", "<na>", "nat", "nil", "none", "null", "missing", "ambiguous", "undefined"}
    | {"unknown", "unassigned", "unlabeled", "unlabelled", "unannotated", "not assigned", "not available"}
)
"""What tables hold where there is no label, in lower case: missing values that became text on the way, mostly."""


_FLOATS = (float, np.floating)


def as_text(labels: pd.Series) -> pd.Series:
    """Return labels as text; missing ones stay missing.

    Where all floats are whole numbers, 1.0 is "1": columns of integers with holes hold floats.
    """
    found = labels.astype(object)
    whole = all(float(label).is_integer() for label in found.dropna() if isinstance(label, _FLOATS))
    return found.map(_whole_text if whole else str, na_action="ignore")


def has_label(labels: pd.Series, unlabeled: str | int | Sequence[str]) -> NDArray[np.bool_]:
    """Return (n_cells,) True where a label is neither missing nor one of ``unlabeled``."""
    return (labels.notna() & ~as_text(labels).isin(as_names(unlabeled))).to_numpy(bool)


def as_names(unlabeled: str | int | Sequence[str]) -> list[str]:
    """Return the labels that mark cells as unlabeled."""
    if isinstance(unlabeled, str) or not isinstance(unlabeled, Iterable):
        return [_whole_text(unlabeled)]
    return [_whole_text(name) for name in unlabeled]


def like_none(names: Iterable[str]) -> list[str]:
    """Return those of the names that look like no label."""
    return [name for name in names if " ".join(name.split()).casefold() in LIKE_NONE]


def alike(names: Iterable[str]) -> list[list[str]]:
    """Return groups of names that differ by blanks or case alone."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(" ".join(name.split()).casefold(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _whole_text(label: Any) -> str:
    return str(int(label)) if isinstance(label, _FLOATS) and float(label).is_integer() else str(label)
