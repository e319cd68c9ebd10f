"""What a check of a reference says: one line on what was found, and warnings with what can be done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from .. import _logging as logg
from .._keys import ReferenceCheckKeys

MOST_NAMES = 5
"""Names in a message, at most; tables have all."""
DEPTH_FOLD = 2.0
"""How many times as deep, or as shallow, as usual cells of a type or batch must be to be named: another doubling of
what was sequenced."""


def report(found: Mapping[str, Any], keys: ReferenceCheckKeys) -> None:
    """Say what was found, at scanpy's default verbosity.

    Parameters
    ----------
    found
        What is written to ``.uns``.
    keys
        Names of the slots.
    """
    types, pairs, numbers = found["types"], found["pairs"], found["numbers"]
    hard = pairs[pairs["is_hard"]]
    logg.result(
        f"{numbers['n_cells']:,} cells of {len(types)} types: {numbers['n_contradicted']:,} contradicted labels; "
        f"{len(hard)} of {len(pairs)} pairs of types hard to tell apart; {int(types['is_small'].sum())} types too small"
    )
    column = found["params"]["labels_key"]
    for text in (
        _of_contradicted(types, keys),
        _of_pairs(hard, column, float(found["params"]["max_error"])),
        _of_small_types(types, column, int(found["params"]["fewest_cells"])),
        _of_batches(found, column),
        _of_depth(types, found.get("batches")),
    ):
        if text:
            logg.warning(text)


def _of_contradicted(types: pd.DataFrame, keys: ReferenceCheckKeys) -> str | None:
    worst = types["n_contradicted"].sort_values(ascending=False, kind="stable")
    worst = worst[worst > 0]
    if worst.empty:
        return None
    return (
        f"The rest of the reference contradicts the labels of {int(worst.sum()):,} cells, most of "
        f"{_some([f'{name!r} ({n:,})' for name, n in worst.items()])}. What it suggests instead is in "
        f".obs[{keys.suggested!r}]. To leave them out: "
        f"reference = reference[~reference.obs[{keys.contradicted!r}]].copy()."
    )


def _of_pairs(hard: pd.DataFrame, column: str, max_error: float) -> str | None:
    if hard.empty:
        return None
    across = hard["error_across_batches"]
    named = [
        f"{a!r} and {b!r} ({max(error, other) if np.isfinite(other) else error:.0%} of cells mistaken)"
        for a, b, error, other in zip(hard["first"], hard["second"], hard["error"], across, strict=True)
    ]
    first, second = hard[["first", "second"]].iloc[0]
    both = f"{first} or {second}"
    mend = {first: both, second: both}
    return (
        f"Types that are hard to tell apart: {_some(named)}. Call them by one name where cells do not tell: "
        f"reference.obs['coarse'] = reference.obs[{column!r}].astype(object).replace({mend!r}), then "
        f"sl.tl.annotate(query, reference, labels_key=['coarse', {column!r}], min_probability={1 - max_error:g})."
    )


def _of_small_types(types: pd.DataFrame, column: str, fewest_cells: int) -> str | None:
    small = types[types["is_small"]]
    if small.empty:
        return None
    names = [f"{name!r} ({n})" for name, n in small["n_cells"].items()]
    return (
        f"Types of fewer than {fewest_cells} cells, of which little can be learned: {_some(names)}. Join them with "
        f"others, or leave them out: reference = reference[~reference.obs[{column!r}].astype(str).isin("
        f"{list(map(str, small.index))!r})].copy()."
    )


def _of_batches(found: Mapping[str, Any], column: str) -> str | None:
    single = found["numbers"].get("types_of_one_batch", ())
    if len(single) == 0:
        return None
    names, batch_key = list(map(str, single)), found["params"]["batch_key"]
    return (
        f"Types with cells in one batch alone, which cannot be told from the batch: {_some(list(map(repr, names)))} "
        f"(types and batches go together by Cramér's V {found['numbers']['cramers_v']:.2f}, of 0 to 1). Labels of "
        "these types are as much about the batch, until other batches have such cells: "
        f"pd.crosstab(reference.obs[{column!r}], reference.obs[{batch_key!r}])."
    )


def _of_depth(types: pd.DataFrame, batches: pd.DataFrame | None) -> str | None:
    far = _far(types.loc[~types["is_small"], "depth_ratio"])
    parts = [f"of types: {_some(_ratios(far))}"] if len(far) else []
    if batches is not None:
        far = _far(batches.groupby("batch")["depth_ratio"].median())
        parts += [f"of batches, in cells of the same type: {_some(_ratios(far))}"] if len(far) else []
    if not parts:
        return None
    return (
        f"Depths differ more than {DEPTH_FOLD:g}-fold from the usual one, {'; '.join(parts)}. Cells may be told apart "
        "by depth. Look at it: sl.pl.reference_check(reference, panels='depth')."
    )


def _far(ratios: pd.Series) -> pd.Series:
    """Return those of the ratios that are far from 1, the farthest first."""
    distance = np.log2(ratios.clip(lower=1e-3)).abs()
    return ratios[distance > np.log2(DEPTH_FOLD)].loc[
        lambda r: distance[r.index].sort_values(ascending=False, kind="stable").index
    ]


def _ratios(ratios: pd.Series) -> list[str]:
    return [f"{name!r} (×{ratio:.2g})" for name, ratio in ratios.items()]


def _some(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
