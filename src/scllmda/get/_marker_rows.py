"""Which labels, and which of their markers, a table has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def chosen_groups(groups: Sequence[str], group: str | Sequence[str] | None) -> list[str]:
    """Return the labels that ``group`` asks for, all if None; raise ValueError if one is not among ``groups``."""
    names = list(groups) if group is None else [group] if isinstance(group, str) else list(group)
    if unknown := [name for name in names if name not in groups]:
        msg = f"Found group={unknown[0]!r}; expected some of {list(groups)}."
        raise ValueError(msg)
    return names


def marker_rows(
    column: Mapping[str, NDArray[np.floating]], *, fdr: float, min_log2fc: float | None
) -> NDArray[np.intp]:
    """Return the positions of a label's markers, the most significant first.

    Parameters
    ----------
    column
        Statistics of the label by name, (n,) each.
    fdr
        Largest false discovery rate.
    min_log2fc
        Smallest fold change; None for any.
    """
    kept = column["fdr"] <= fdr
    if min_log2fc is not None:
        kept &= column["log2fc"] >= min_log2fc
    rows = np.flatnonzero(kept)
    return rows[np.lexsort((-np.abs(column["score"][rows]), column["pvalue"][rows]))]
