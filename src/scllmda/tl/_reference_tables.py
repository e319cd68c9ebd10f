"""What a check of a reference finds, as tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..methods import LabelCheck, PairError

Float = NDArray[np.floating]
Codes = NDArray[np.integer]


def table_of_pairs(
    errors: Sequence[PairError], classes: Sequence[str], n_cells: Codes, max_error: float, fewest_cells: int
) -> pd.DataFrame:
    """Return a row per pair of types, the one that is hardest to tell apart first."""
    table = pd.DataFrame(
        {
            "first": [classes[e.first] for e in errors],
            "second": [classes[e.second] for e in errors],
            "error": [e.error for e in errors],
            "error_low": [e.low for e in errors],
            "error_high": [e.high for e in errors],
            "error_across_batches": [e.across for e in errors],
        }
    )
    enough = np.array([min(n_cells[e.first], n_cells[e.second]) >= fewest_cells for e in errors], dtype=bool)
    table["is_hard"] = enough & (table[["error", "error_across_batches"]].max(axis=1) > max_error)
    return table.sort_values("error", ascending=False, kind="stable", ignore_index=True)


def table_of_types(
    check: LabelCheck,
    labels: Codes,
    classes: Sequence[str],
    pairs: pd.DataFrame,
    depth: Float,
    fewest_cells: int,
) -> pd.DataFrame:
    """Return a row per type, in the order of ``classes``."""
    n_classes = len(classes)
    n_cells = np.bincount(labels, minlength=n_classes)
    both = pd.concat([pairs, pairs.rename(columns={"first": "second", "second": "first"})])
    hardest = both.sort_values("error", ascending=False, kind="stable").groupby("first").first()
    hardest = hardest.reindex(list(classes))
    low, middle, high = (by_group(depth, labels, n_classes, share) for share in (0.25, 0.5, 0.75))
    return pd.DataFrame(
        {
            "n_cells": n_cells,
            "is_small": n_cells < fewest_cells,
            "n_contradicted": np.bincount(labels, check.contradicted, n_classes).astype(int),
            "hardest_to_tell_from": hardest["second"].fillna("").astype(str).to_numpy(),
            "error": hardest["error"].to_numpy(float),
            "open_peaks_q25": low,
            "open_peaks_median": middle,
            "open_peaks_q75": high,
            "depth_ratio": middle / max(float(np.median(middle)), 1.0),
        },
        index=pd.Index(list(classes), name="type"),
    )


def table_of_batches(
    labels: Codes, classes: Sequence[str], batch: Codes, batches: Sequence[str], depth: Float
) -> pd.DataFrame:
    """Return a row per type and batch that has cells of it.

    ``depth_ratio`` is the median depth of these cells in multiples of the median of all cells of the type.
    """
    cells = pd.DataFrame({"type": labels, "batch": batch, "depth": depth})
    found = cells.groupby(["type", "batch"])["depth"].agg(n_cells="size", open_peaks_median="median").reset_index()
    of_type = by_group(depth, labels, len(classes), 0.5)[found["type"]]
    found["share_of_type"] = found["n_cells"] / np.bincount(labels)[found["type"]]
    found["depth_ratio"] = found["open_peaks_median"] / np.maximum(of_type, 1.0)
    found["type"] = np.array(classes, dtype=object)[found["type"]]
    found["batch"] = np.array(batches, dtype=object)[found["batch"]]
    return found


def cramers_v(labels: Codes, batch: Codes) -> float:
    """Return how strongly types and batches go together, from 0 to 1: Cramér's V, without its bias (Bergsma 2013)."""
    from scipy.stats import chi2_contingency

    counts = pd.crosstab(labels, batch).to_numpy()
    n, (rows, columns) = counts.sum(), counts.shape
    excess = chi2_contingency(counts, correction=False).statistic / n - (rows - 1) * (columns - 1) / (n - 1)
    rows, columns = (k - (k - 1) ** 2 / (n - 1) for k in (rows, columns))
    return float(np.sqrt(max(excess, 0.0) / max(min(rows, columns) - 1, np.finfo(float).tiny)))


def in_one_batch(labels: Codes, batch: Codes, n_classes: int, level: float = 0.01) -> list[int]:
    """Return the types all of whose cells are of one batch, though chance would have put some into another.

    The chance that all cells of a type are of its batch is the batch's share of all cells to the power of their number;
    it is below ``level`` divided by the number of types.
    """
    counts = pd.crosstab(labels, batch).reindex(range(n_classes), fill_value=0).to_numpy()
    share = counts.sum(axis=0) / counts.sum()
    where = counts.argmax(axis=1)
    is_single = (counts > 0).sum(axis=1) == 1
    rare = counts.sum(axis=1) * np.log(share[where]) < np.log(level / n_classes)
    return np.flatnonzero(is_single & rare).tolist()


def by_group(values: Float, groups: Codes, n_groups: int, share: float) -> Float:
    """Return (n_groups,) a quantile of the values of each group; all groups have some."""
    found = pd.Series(values).groupby(groups).quantile(share)
    return found.reindex(range(n_groups)).to_numpy(float)
