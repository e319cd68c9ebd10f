from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._keys import UNASSIGNED, AnnotationKeys, class_column
from ..methods import Annotation


def annotation_slots(
    key: str,
    annotation: Annotation,
    levels: NDArray[np.object_],
    cells: NDArray[np.integer],
    obs_names: pd.Index,
    uns: Mapping[str, Any],
    *,
    min_probability: float,
    clusters: pd.Series | None = None,
) -> dict[tuple[str, str], Any]:
    """Return the slots of an annotation for some of its cells, ready to write.

    Parameters
    ----------
    key
        ``key_added``.
    annotation
        Of all cells.
    levels
        (n_levels, n_classes) name of each class, from coarse to fine.
    cells
        Positions, in the annotation, of the cells of the object that is written to, in its order.
    obs_names
        Their names.
    uns
        What goes to ``.uns[key]`` besides classes and history.
    min_probability
        Of a label finer than the coarsest.
    clusters
        (n_written,) clustering whose query cells vote, None for no vote.
    """
    keys = AnnotationKeys(key)
    proba = annotation.proba[cells]
    classes, seen = levels[-1], proba.any(axis=1)
    raw = np.where(seen, classes[proba.argmax(axis=1)], UNASSIGNED)
    label = np.where(annotation.rejected[cells], UNASSIGNED, _finest(proba, levels, min_probability))
    if clusters is not None:
        label = _vote(label, clusters, annotation.query[cells] & seen)
    columns = [class_column(c) for c in classes]
    return {
        ("obs", keys.label): _as_category(label, levels[::-1].ravel()),
        ("obs", keys.raw): _as_category(raw, classes),
        ("obs", keys.score): proba.max(axis=1),
        ("obs", keys.novelty): annotation.novelty[cells],
        ("obsm", keys.proba): pd.DataFrame(proba, index=obs_names, columns=columns),
        ("obsm", keys.aligned): np.asarray(annotation.aligned[cells], dtype=np.float32),
        ("obsp", keys.connectivities): annotation.connectivities[cells][:, cells],
        ("obsp", keys.ppmi): annotation.ppmi[cells][:, cells],
        ("uns", keys.uns): {"classes": classes, "history": dict(annotation.history), **uns},
    }


def _finest(proba: NDArray[np.floating], levels: NDArray[np.object_], min_probability: float) -> NDArray[np.object_]:
    """Return the finest label of each cell that is probable enough, going from each label to its likeliest part.

    The probability of a label is the sum over its classes.
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


def _vote(labels: NDArray[np.object_], clusters: pd.Series, voters: NDArray[np.bool_]) -> NDArray[np.object_]:
    """Return the label that most voters of a cell's cluster have; others, and voters of no cluster, keep theirs."""
    names = clusters.astype(object).to_numpy()
    voters = voters & clusters.notna().to_numpy()
    table = pd.crosstab(names[voters], labels[voters])
    voted = labels.copy()
    if voters.any():
        voted[voters] = table.idxmax(axis=1).loc[names[voters]].to_numpy()
    return voted


def _as_category(labels: NDArray[np.object_], classes: NDArray[np.object_]) -> pd.Series:
    """Return labels with all classes as categories, each once, and "Unassigned" if a cell is."""
    unassigned = [UNASSIGNED] if (labels == UNASSIGNED).any() else []
    # A reference may have the class itself, labelled by this tool before.
    return pd.Series(pd.Categorical(labels, categories=list(dict.fromkeys([*classes, *unassigned]))))
