from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._checks import checked
from .._keys import UNASSIGNED, class_column
from .._label_text import as_text
from ..calibration import reliability_bins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


@checked
def annotation_report(
    truth: Sequence[Any] | ArrayLike,
    predicted: Sequence[Any] | ArrayLike,
    proba: pd.DataFrame | None = None,
    *,
    sets: pd.DataFrame | None = None,
    n_bins: int = 15,
    fewest_cells: int = 20,
) -> dict[str, float]:
    """Score predicted labels against known ones.

    Parameters
    ----------
    truth
        Known labels, one per cell. Cells whose label is missing are left out.
    predicted
        Predicted labels in the same order, e.g. ``adata.obs["scllmda"]``. ``"Unassigned"`` counts as an error.
    proba
        Probabilities, one row per cell and one column per class (``get.annotation(adata)["proba"]`` or
        ``adata.obsm["scllmda_proba"]``). Adds ``ece``, ``log_loss`` and ``aurc``.
    sets
        Prediction sets, one row per cell and one column of true and false per class (``adata.obsm["scllmda_set"]``).
        Adds ``set_coverage``, ``least_type_coverage``, ``set_size`` and ``empty_sets``.
    n_bins
        Number of equal-width confidence bins of the expected calibration error; 15 as in Guo et al. 2017.
    fewest_cells
        Cells that a type must have to count in ``least_type_coverage``: among 20 cells the share that is covered has a
        standard error of .07, if it is to be .9.

    Returns
    -------
    ``n_cells``, ``accuracy``, ``balanced_accuracy`` (mean recall over true labels), ``macro_f1`` (over true ∪ predicted
    labels, scikit-learn's default and the figure that papers print), ``macro_f1_true`` (over true labels only),
    ``cohen_kappa``, ``jaccard_weighted``, ``jaccard_micro``, ``unassigned`` (fraction of cells); with ``proba`` also
    ``ece`` (expected calibration error of the top class, Guo et al. 2017 eq. 3, over cells that have one: without any
    open peak, all probabilities are 0), ``log_loss`` (natural log; a true label that has no column counts as
    probability 1e-15) and ``aurc``, the area under the risk-coverage curve (Geifman et al. 2019),
    ``1/n Σ_k (errors among the k cells of highest score) / k``: the mean error rate of the top class where only the k
    likeliest labels are kept, over all k; cells of equal score share their errors. With ``sets`` also ``set_coverage``
    (share of cells whose set has the true label) and ``least_type_coverage`` (the same of the type that has it least;
    NaN if no type has ``fewest_cells``), both of the cells whose label has a column, ``set_size`` (mean number of
    labels) and ``empty_sets`` (share of cells).

    Raises
    ------
    ValueError
        Lengths differ, no label is known, or ``n_bins`` or ``fewest_cells`` is below 1.

    See Also
    --------
    scllmda.pl.confusion : Predicted against known labels, as a figure.
    scllmda.pl.reliability : Accuracy against confidence, as a figure.

    Examples
    --------
    >>> import scllmda as sl
    >>> report = sl.metrics.annotation_report(["B", "B", "T"], ["B", "T", "T"])
    >>> round(report["accuracy"], 2)
    0.67
    """
    from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, jaccard_score, recall_score

    true, guess = pd.Series(np.asarray(truth, dtype=object)), pd.Series(np.asarray(predicted, dtype=object))
    if len(true) != len(guess):
        msg = f"Found {len(true)} known and {len(guess)} predicted labels; expected as many, in the same order."
        raise ValueError(msg)
    for table, what in ((proba, "probabilities"), (sets, "prediction sets")):
        if table is not None and len(table) != len(true):
            msg = f"Found {len(true)} known labels and {len(table)} rows of {what}; expected as many."
            raise ValueError(msg)
    known = true.notna().to_numpy()
    if not known.any():
        msg = "No label is known (all missing); expected at least one cell with a label in truth."
        raise ValueError(msg)
    y, p = (as_text(labels[known]).fillna("").to_numpy(str) for labels in (true, guess))
    types = np.unique(y)
    report = {
        "n_cells": float(len(y)),
        "accuracy": accuracy_score(y, p),
        "balanced_accuracy": recall_score(y, p, labels=types, average="macro", zero_division=0),
        "macro_f1": f1_score(y, p, average="macro", zero_division=0),
        "macro_f1_true": f1_score(y, p, labels=types, average="macro", zero_division=0),
        # One class on both sides leaves kappa at 0/0: perfect agreement.
        "cohen_kappa": 1.0 if len(np.union1d(y, p)) == 1 else cohen_kappa_score(y, p),
        "jaccard_weighted": jaccard_score(y, p, average="weighted", zero_division=0),
        "jaccard_micro": jaccard_score(y, p, average="micro"),
        "unassigned": float((p == UNASSIGNED).mean()),
    }
    if proba is not None:
        report |= _probability_scores(y, proba.loc[known], n_bins)
    if sets is not None:
        report |= _set_scores(y, sets.loc[known], fewest_cells)
    return {name: float(value) for name, value in report.items()}


def _probability_scores(y: np.ndarray, proba: pd.DataFrame, n_bins: int) -> dict[str, float]:
    values, column = proba.to_numpy(dtype=float), _column_of(y, proba)
    of_truth = np.where(column >= 0, values[np.arange(len(y)), column], 0.0)
    confidence = values.max(axis=1)
    correct = values.argmax(axis=1) == column
    sure = confidence > 0
    return {
        "ece": reliability_bins(confidence[sure], correct[sure], n_bins).ece,
        "log_loss": float(-np.log(np.clip(of_truth, 1e-15, 1)).mean()),
        "aurc": _aurc(confidence, ~(correct & sure)),
    }


def _set_scores(y: np.ndarray, sets: pd.DataFrame, fewest_cells: int) -> dict[str, float]:
    members, column = sets.to_numpy(dtype=bool), _column_of(y, sets)
    known = column >= 0
    covered = pd.Series(members[known, column[known]]).groupby(column[known]).agg(["mean", "size"])
    size = members.sum(axis=1)
    return {
        "set_coverage": float(np.average(covered["mean"], weights=covered["size"])) if known.any() else float("nan"),
        "least_type_coverage": covered.loc[covered["size"] >= fewest_cells, "mean"].min(),
        "set_size": size.mean(),
        "empty_sets": (size == 0).mean(),
    }


def _column_of(y: np.ndarray, table: pd.DataFrame) -> np.ndarray:
    """Return the column of each label in a table with one per class, -1 for labels without."""
    return pd.Index([class_column(str(c)) for c in table.columns]).get_indexer([class_column(label) for label in y])


def _aurc(confidence: np.ndarray, wrong: np.ndarray) -> float:
    """Return the area under the risk-coverage curve."""
    _, group = np.unique(-confidence, return_inverse=True)
    # The order of cells of one confidence is as good as any other.
    expected = np.bincount(group, weights=wrong) / np.bincount(group)
    return float((np.cumsum(expected[np.sort(group)]) / np.arange(1, len(group) + 1)).mean())
