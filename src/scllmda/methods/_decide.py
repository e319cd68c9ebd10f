"""From probabilities to the label that a cell is given."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._keys import UNASSIGNED


def finest_label(
    proba: NDArray[np.floating], levels: NDArray[np.object_], min_probability: float
) -> NDArray[np.object_]:
    """Return the finest label of each cell that is probable enough, going from each label to its likeliest part.

    Parameters
    ----------
    proba
        (n_cells, n_classes). The probability of a label is the sum over its classes.
    levels
        (n_levels, n_classes) names from coarse to fine.
    min_probability
        Of a label finer than the coarsest.

    Returns
    -------
    (n_cells,) names.
    """
    cells = np.arange(len(proba))
    sure, label = np.ones(len(proba), dtype=bool), np.empty(len(proba), dtype=object)
    for level, names in enumerate(levels):
        parts, part = np.unique(names.astype(str), return_inverse=True)
        summed = proba @ np.eye(len(parts))[part]
        best = summed.argmax(axis=1)
        if level > 0:
            sure &= summed[cells, best] >= min_probability
        label[sure] = parts[best[sure]]
        proba = np.where(part == best[:, None], proba, 0)
    return label


def common_label(members: NDArray[np.bool_], levels: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return the finest label that holds all classes of each cell's set, "Unassigned" where no label or no class does.

    Parameters
    ----------
    members
        (n_cells, n_classes) whether a class is in a cell's set.
    levels
        (n_levels, n_classes) names from coarse to fine.

    Returns
    -------
    (n_cells,) names.
    """
    label = np.full(len(members), UNASSIGNED, dtype=object)
    for names in levels:
        parts, part = np.unique(names.astype(str), return_inverse=True)
        touched = members @ np.eye(len(parts), dtype=np.intp)[part] > 0
        alone = touched.sum(axis=1) == 1
        label[alone] = parts[touched[alone].argmax(axis=1)]
    return label


def majority_label(
    labels: NDArray[np.object_], clusters: NDArray[np.object_], voters: NDArray[np.bool_]
) -> NDArray[np.object_]:
    """Return the label that most voters of a cell's cluster have; all others, and cells of no cluster, keep theirs.

    Parameters
    ----------
    labels
        (n_cells,) names.
    clusters
        (n_cells,) names of clusters; missing for cells of none.
    voters
        (n_cells,) whether a cell votes, and is given what the vote says.
    """
    voters = voters & pd.notna(clusters)
    table = pd.crosstab(clusters[voters], labels[voters])
    voted = labels.copy()
    if voters.any():
        voted[voters] = table.idxmax(axis=1).loc[clusters[voters]].to_numpy()
    return voted
