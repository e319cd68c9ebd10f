"""Tasks of annotators from cells in a space, or from counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from scllmda.graphs import nearest_graph, within_domains
from scllmda.methods import (
    METHODS,
    Annotation,
    Cells,
    Source,
    Task,
    make_novelty_recipe,
    make_recipe,
    run,
)


class Given(Source):
    """Cells that were embedded before."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells

    @property
    def embedding(self) -> Cells:
        return self._cells


class Openness(Source):
    """Counts, and the peaks' DNA if it is given, of cells without a place in any space."""

    def __init__(self, counts: sp.csr_matrix, peak_embeddings: np.ndarray | None = None) -> None:
        self._counts, self._peak_embeddings = counts, peak_embeddings

    @property
    def counts(self) -> sp.csr_matrix:
        return self._counts

    @property
    def peak_embeddings(self) -> np.ndarray:
        if self._peak_embeddings is None:
            raise AssertionError
        return self._peak_embeddings


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
    """Return a task of cells in a space, whose graphs have so many neighbors per cell."""
    task = Task(
        Given(Cells(X)),
        frozenset({"embedding"}),
        np.arange(len(X)),
        labels,
        n_classes,
        np.random.default_rng(seed),
        batch,
        n_neighbors=n_neighbors,
        space=Cells(X),
    )
    # Parts that are there are not made: small queries have as many neighbors per cell as large ones.
    domains = [np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)]
    graphs = [nearest_graph(X[cells], n_neighbors) for cells in domains]
    task.__dict__["nearest"] = within_domains(graphs, domains)
    if ppmi is not None:
        task.__dict__["ppmi"] = ppmi
    return task


def task_of_counts(
    counts: sp.csr_matrix,
    labels: np.ndarray,
    n_classes: int,
    *,
    peak_embeddings: np.ndarray | None = None,
    batch: np.ndarray | None = None,
    seed: int = 0,
) -> Task:
    """Return a task of cells without a space."""
    source = Openness(counts, peak_embeddings)
    reads = frozenset({"counts", "peak_embeddings"})
    at = np.arange(counts.shape[0])
    return Task(source, reads, at, labels, n_classes, np.random.default_rng(seed), batch)


def annotate_in_space(
    X: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    *,
    method: str = "robust",
    recipe: Mapping[str, Any] | None = None,
    novelty_recipe: Mapping[str, Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> Annotation:
    """Return the annotation of cells that were embedded before."""
    return run(
        Given(Cells(X)),
        labels,
        n_classes,
        method=METHODS[method].in_given_space,
        recipe=make_recipe(method, recipe),
        rng=np.random.default_rng(seed),
        novelty_recipe=make_novelty_recipe(novelty_recipe),
        **options,
    )
