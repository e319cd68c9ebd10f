from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..calibration import novelty
from ..graphs import knn_graph, ppmi_graph
from ._registry import get, make_recipe
from ._task import Task

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Annotation:
    """Everything an annotation gives, for all cells in their order."""

    codes: NDArray[np.integer]
    """(n_cells,) class codes before rejection."""
    proba: Float
    """(n_cells, n_classes); reference cells have 1 at their own class."""
    novelty: Float
    """(n_cells,); reference cells have 0."""
    aligned: Float
    """(n_cells, k)."""
    connectivities: sp.csr_matrix
    ppmi: sp.csr_matrix
    history: Mapping[str, Any]


def annotate_cells(
    X: Float,
    labels: NDArray[np.integer],
    n_classes: int,
    *,
    method: str,
    recipe: Mapping[str, Any] | None,
    n_neighbors: int,
    batch: NDArray[np.integer] | None,
    rng: np.random.Generator,
    device: str,
) -> Annotation:
    """Build the graphs of each domain, annotate the query and score its novelty.

    Parameters
    ----------
    X
        (n_cells, d) representation of reference and query.
    labels
        (n_cells,) class codes; -1 marks the query.
    n_classes
        Number of classes.
    method, recipe
        See ``METHODS``.
    n_neighbors
        Of the kNN graphs.
    batch
        (n_cells,) codes; read for reference cells only.
    rng
        All randomness.
    device
        Torch device.
    """
    settings = make_recipe(method, recipe)
    query = labels < 0
    connectivities = knn_graph(X, query.astype(np.int8), n_neighbors)
    ppmi = ppmi_graph(connectivities, query.astype(np.int8), rng=rng)
    result = get(method).function(Task(X, labels, n_classes, connectivities, ppmi, rng, batch, device), settings)

    proba = np.zeros((len(X), n_classes))
    proba[query] = result.proba
    proba[~query, labels[~query]] = 1
    novel = np.zeros(len(X))
    novel[query] = novelty(result.aligned[~query], result.aligned[query], n_neighbors=n_neighbors)
    return Annotation(
        proba.argmax(axis=1), proba, novel, result.aligned, connectivities, ppmi, dict(result.history)
    )
