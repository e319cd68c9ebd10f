"""Tasks of annotators from cells in a space."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from scllmda.graphs import nearest_graph, symmetrize, within_domains
from scllmda.methods import Cells, Task


def make_task(
    X: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    *,
    n_neighbors: int = 5,
    ppmi: sp.csr_matrix | None = None,
    batch: np.ndarray | None = None,
    seed: int = 0,
) -> Task:
    """Return a task whose graphs have so many neighbors per cell; the PPMI graph is the kNN graph if not given."""
    domains = [np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)]
    nearest = within_domains([nearest_graph(X[cells], n_neighbors) for cells in domains], domains)
    graph = symmetrize(nearest)
    rng = np.random.default_rng(seed)
    return Task(
        Cells(X),
        labels,
        n_classes,
        nearest,
        graph,
        graph if ppmi is None else ppmi,
        rng,
        batch,
        n_neighbors=n_neighbors,
    )
