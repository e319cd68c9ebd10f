"""Which query cells are too unlike the reference to be labeled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._checks import make
from ..calibration import NoveltyRecipe, domain_shift, novelty, rejection_threshold, remoteness
from ..graphs import (
    NearestCells,
    nearest_graph,
    neighbors_among,
    personalized_propagation,
    symmetrize,
    within_domains,
)
from ._task import Result, Task

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Rejection:
    """How novel the query cells of a task are, and which of them are rejected."""

    novelty: Float
    """(n_query,) 0-1."""
    rejected: NDArray[np.bool_]
    """(n_query,)."""
    shift: float | None
    """How many times as far from the reference's cells the query's are as those from one another; None where too few
    cells tell, and none is rejected."""
    history: Mapping[str, float]
    """The shift and the threshold, where there are."""


def make_novelty_recipe(overrides: Mapping[str, Any] | None) -> NoveltyRecipe:
    """Return the constants of novelty with some of them replaced.

    Raises
    ------
    TypeError, ValueError
        A name is not one of the recipe's, or a value is of another type or out of its range.
    """
    return make(NoveltyRecipe, overrides, "novelty (novelty_recipe=)")


def reject(task: Task, result: Result, recipe: NoveltyRecipe, max_false_rejection: float | None) -> Rejection:
    """Score the novelty of query cells, and reject those more novel than all but a share of the reference's own.

    Reference cells are as remote as they would be if they had the query's depths. Remoteness is smoothed over each
    domain's graph: what is novel is a type, and its cells are neighbors.

    Parameters
    ----------
    task, result
        Of the annotator.
    recipe
        Constants of novelty.
    max_false_rejection
        Share of the reference's own cells that are as novel as what is rejected; None rejects none.
    """
    known, X = ~task.query, np.asarray(result.aligned)[:, : recipe.n_dims]
    remote = np.empty((len(X), 2))
    near = NearestCells(X[known], task.n_neighbors)
    among = near.among()
    again = among if result.as_query is None else near.of_themselves(result.as_query[:, : recipe.n_dims])
    remote[known], remote[task.query] = remoteness(among, again, near.of(X[task.query]))
    smooth = personalized_propagation(_graph_of_as_many(task), remote, restart=recipe.restart)
    predicted = result.proba.argmax(axis=1)
    shift = domain_shift(smooth[known], smooth[task.query], task.labels[known], predicted, recipe)
    of_known, of_query = novelty(smooth[known], smooth[task.query] / (1.0 if shift is None else shift))
    rejected = np.zeros(len(of_query), dtype=bool)
    if shift is None:
        return Rejection(of_query, rejected, None, {})
    history = {"novelty_shift": float(shift[0])}
    if max_false_rejection is not None:
        history["novelty_threshold"] = rejection_threshold(of_known, max_false_rejection)
        rejected = of_query > history["novelty_threshold"]
    return Rejection(of_query, rejected, float(shift[0]), history)


def _graph_of_as_many(task: Task) -> sp.csr_matrix:
    """Return the graph in which reference cells have no more neighbors than those of a small query."""
    reference, query = np.flatnonzero(~task.query), np.flatnonzero(task.query)
    k = neighbors_among(len(query), task.n_neighbors)
    if k == task.n_neighbors:
        return task.connectivities
    graphs = [nearest_graph(task.around[reference], k), task.nearest[query][:, query]]
    return symmetrize(within_domains(graphs, [reference, query]))
