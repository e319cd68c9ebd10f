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
    classes: NDArray[np.object_],
    cells: NDArray[np.integer],
    obs_names: pd.Index,
    uns: Mapping[str, Any],
    clusters: pd.Series | None = None,
) -> dict[tuple[str, str], Any]:
    """Return the slots of an annotation for some of its cells, ready to write.

    Parameters
    ----------
    key
        ``key_added``.
    annotation
        Of all cells.
    classes
        Class names.
    cells
        Positions, in the annotation, of the cells of the object that is written to, in its order.
    obs_names
        Their names.
    uns
        What goes to ``.uns[key]`` besides classes and history.
    clusters
        (n_written,) clustering whose query cells vote, None for no vote.
    """
    keys = AnnotationKeys(key)
    proba = annotation.proba[cells]
    raw = np.where(proba.any(axis=1), classes[proba.argmax(axis=1)], UNASSIGNED)
    label = np.where(annotation.rejected[cells], UNASSIGNED, raw)
    if clusters is not None:
        label = _vote(label, clusters, annotation.query[cells] & proba.any(axis=1))
    columns = [class_column(c) for c in classes]
    return {
        ("obs", keys.label): _as_category(label, classes),
        ("obs", keys.raw): _as_category(raw, classes),
        ("obs", keys.score): proba.max(axis=1),
        ("obs", keys.novelty): annotation.novelty[cells],
        ("obsm", keys.proba): pd.DataFrame(proba, index=obs_names, columns=columns),
        ("obsm", keys.aligned): np.asarray(annotation.aligned[cells], dtype=np.float32),
        ("obsp", keys.connectivities): annotation.connectivities[cells][:, cells],
        ("obsp", keys.ppmi): annotation.ppmi[cells][:, cells],
        ("uns", keys.uns): {"classes": classes, "history": dict(annotation.history), **uns},
    }


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
    """Return labels with all classes as categories, and "Unassigned" if a cell is."""
    unassigned = [UNASSIGNED] if (labels == UNASSIGNED).any() else []
    # A reference may have the class itself, labelled by this tool before.
    return pd.Series(pd.Categorical(labels, categories=list(dict.fromkeys([*classes, *unassigned]))))
