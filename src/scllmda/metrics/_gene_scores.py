"""Predicted against observed expression, gene by gene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._label_text import as_text, has_label
from ._expression import paired
from ._type_means import TypeMeans

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class GeneScores:
    """Scores of each gene, and how many cells and genes they are of."""

    table: pd.DataFrame
    """A row per gene; columns as :func:`expression_by_gene` has them."""
    n_cells: int
    """Number of cells compared."""
    n_absent: int
    """Number of genes that are observed and not predicted."""
    n_labels: int | None
    """Number of types, None without labels."""


def gene_scores(
    observed: Any,
    predicted: Any,
    *,
    labels: Any,
    unlabeled: str | int | Sequence[str],
    layer: str | None,
    predicted_layer: str | None,
) -> GeneScores:
    """Return the scores of each gene; parameters and errors as :func:`expression_report` has them."""
    pair = paired(observed, predicted, layer, predicted_layer)
    means = None
    if labels is not None:
        known = _labels(labels, observed, len(pair.cells[0]))
        labeled = np.flatnonzero(has_label(known, unlabeled))
        types = as_text(known.iloc[labeled]).reset_index(drop=True)
        if types.nunique() < 2:
            msg = (
                f"Found {types.nunique()} types among {len(known)} labels; expected at least two, whose means differ. "
                "Pass labels= cell types, or None."
            )
            raise ValueError(msg)
        pair, means = pair.take(labeled), TypeMeans(types)
    table = pd.concat([_scores(*block, means) for block in pair.blocks()], ignore_index=True).set_axis(pair.genes)
    return GeneScores(table, len(pair.cells[0]), pair.n_absent, None if means is None else means.n_labels)


def _labels(labels: Any, observed: Any, n_cells: int) -> pd.Series:
    """Return a label per observed cell, by position."""
    if isinstance(labels, str):
        obs = getattr(observed, "obs", None)
        if obs is None or labels not in obs:
            columns = "observed= is no AnnData" if obs is None else f"columns are {list(obs.columns)}"
            msg = (
                f"Did not find .obs[{labels!r}] of observed=; {columns}. Pass labels= a column, or one label per cell."
            )
            raise KeyError(msg)
        labels = obs[labels]
    found = np.asarray(labels, dtype=object)
    if found.shape != (n_cells,):
        msg = f"Found labels={labels!r} for {n_cells} cells; expected one label per cell, or a column of .obs."
        raise ValueError(msg)
    return pd.Series(found)


def _scores(observed: NDArray[np.float64], predicted: NDArray[np.float64], means: TypeMeans | None) -> pd.DataFrame:
    """Return the scores of a block of genes."""
    is_constant, ranks = _is_constant(observed), _ranks(observed)
    table = {
        **_agreement(observed, ranks, predicted),
        "is_constant": is_constant,
        "is_constant_predicted": _is_constant(predicted),
    }
    if means is not None:
        by_types = _agreement(observed, ranks, means.predict(observed))
        table |= {f"{name}_labels": values for name, values in by_types.items()}
    return pd.DataFrame(table)


def _agreement(
    observed: NDArray[np.float64], ranks: NDArray[np.float64], predicted: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    flat = _is_constant(observed) | _is_constant(predicted)
    return {
        "mse": ((observed - predicted) ** 2).mean(axis=0),
        "pearson": np.where(flat, np.nan, _correlation(observed, predicted)),
        "spearman": np.where(flat, np.nan, _correlation(ranks, _ranks(predicted))),
    }


def _is_constant(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return values.max(axis=0) == values.min(axis=0)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import rankdata

    return rankdata(values, axis=0)


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Pearson's correlation of each column, 0 where one does not vary."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norm = np.sqrt((a**2).sum(axis=0)) * np.sqrt((b**2).sum(axis=0))
    return np.divide((a * b).sum(axis=0), norm, out=np.zeros(a.shape[1]), where=norm > 0)
