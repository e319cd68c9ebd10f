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
    ppmi_graph,
    symmetrize,
    within_domains,
)
from ._cells import Cells
from ._registry import get, make_recipe
from ._task import Result, Task

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Annotation:
    """Everything an annotation gives, for all cells in their order."""

    proba: Float
    """(n_cells, n_classes); reference cells have 1 at their own class, cells without any open peak 0 throughout."""
    novelty: Float
    """(n_cells,) 0-1; reference cells have 0, cells without any open peak 1."""
    query: NDArray[np.bool_]
    """(n_cells,) whether a cell was to be annotated."""
    rejected: NDArray[np.bool_]
    """(n_cells,) whether a query cell is too novel to be labeled, or has no open peak."""
    aligned: Float
    """(n_cells, k)."""
    connectivities: sp.csr_matrix
    ppmi: sp.csr_matrix
    history: Mapping[str, Any]
    held_out: Float | None
    """(n_reference, n_classes) probabilities of reference cells by the others; None if the method gives none."""
    shift: float | None
    """How many times as far from the reference's cells the query's are as those from one another; None where too few
    cells tell, and nothing was rejected."""


def annotate_cells(
    cells: Cells,
    labels: NDArray[np.integer],
    n_classes: int,
    *,
    method: str,
    recipe: Mapping[str, Any] | None,
    n_neighbors: int,
    max_false_rejection: float | None,
    batch: NDArray[np.integer] | None,
    rng: np.random.Generator,
    device: str,
    novelty_recipe: Mapping[str, Any] | None = None,
) -> Annotation:
    """Build the graphs of each domain, annotate the query and score its novelty.

    Parameters
    ----------
    cells
        Of reference and query; those without any open peak are left out.
    labels
        (n_cells,) class codes; -1 marks the query.
    n_classes
        Number of classes.
    method, recipe
        See ``METHODS``.
    n_neighbors
        Of the kNN graphs.
    max_false_rejection
        Share of the reference's own cells that are as novel as what is rejected; None rejects none.
    batch
        (n_cells,) codes; read for reference cells only.
    rng
        All randomness.
    device
        Torch device.
    novelty_recipe
        Constants of novelty to replace.
    """
    settings = make_recipe(method, recipe)
    of_novelty = make_novelty_recipe(novelty_recipe)
    n_cells, query = len(cells.X), labels < 0
    seen = np.flatnonzero(cells.seen)
    for what, of_domain in (("query", query), ("reference", ~query)):
        if not of_domain[seen].any():
            found = f"None of the {of_domain.sum()} {what} cells has an open peak"
            msg = f"{found} among those that tell cells apart; expected some."
            raise ValueError(msg)
    among_reference = np.cumsum(~query) - 1
    there = cells.take(seen, among_reference[seen[~query[seen]]])
    task = _task(there, labels[seen], n_classes, n_neighbors, None if batch is None else batch[seen], rng, device)
    result = get(method).function(task, settings)

    proba = np.zeros((n_cells, n_classes))
    proba[seen[task.query]] = result.proba
    proba[~query, labels[~query]] = 1
    aligned = np.asarray(result.aligned)
    history = dict(result.history)
    novel, rejected = query.astype(float), query.copy()
    of_reference, of_query, shift = _novelty(task, result, of_novelty)
    novel[seen[task.query]] = of_query
    rejected[seen] = False
    if shift is not None:
        history["novelty_shift"] = shift
        if max_false_rejection is not None:
            history["novelty_threshold"] = rejection_threshold(of_reference, max_false_rejection)
            rejected[seen[task.query]] = of_query > history["novelty_threshold"]
    full = np.zeros((n_cells, aligned.shape[1]), dtype=np.float32)
    full[seen] = aligned
    held_out = None
    if result.held_out is not None:
        held_out = np.zeros((int((~query).sum()), n_classes))
        held_out[among_reference[seen[~task.query]]] = result.held_out
    return Annotation(
        proba,
        novel,
        query,
        rejected,
        full,
        _expand(task.connectivities, seen, n_cells),
        _expand(task.ppmi, seen, n_cells),
        history,
        held_out,
        shift,
    )


def make_novelty_recipe(overrides: Mapping[str, Any] | None) -> NoveltyRecipe:
    """Return the constants of novelty with some of them replaced.

    Raises
    ------
    TypeError, ValueError
        A name is not one of the recipe's, or a value is of another type or out of its range.
    """
    return make(NoveltyRecipe, overrides, "novelty (novelty_recipe=)")


def _task(
    cells: Cells,
    labels: NDArray[np.integer],
    n_classes: int,
    n_neighbors: int,
    batch: NDArray[np.integer] | None,
    rng: np.random.Generator,
    device: str,
) -> Task:
    """Build the graphs of each domain; cells of a small query have fewer neighbors."""
    around = cells.X if cells.around is None else cells.around
    reference, query = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    k = neighbors_among(len(query), n_neighbors)
    graphs = [nearest_graph(around[reference], n_neighbors), nearest_graph(around[query], k)]
    nearest = within_domains(graphs, [reference, query])
    connectivities = symmetrize(nearest)
    ppmi = ppmi_graph(connectivities, (labels < 0).astype(np.int8), rng=rng)
    return Task(cells, labels, n_classes, nearest, connectivities, ppmi, rng, batch, device, n_neighbors)


def _novelty(task: Task, result: Result, recipe: NoveltyRecipe) -> tuple[Float, Float, float | None]:
    """Return the novelty of reference and of query cells, and the shift in distance between the domains.

    Reference cells are as remote as they would be if they had the query's depths. Remoteness is smoothed over each
    domain's graph: types are novel.
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
    of_cells = novelty(smooth[known], smooth[task.query] / (1.0 if shift is None else shift))
    return *of_cells, None if shift is None else float(shift[0])


def _graph_of_as_many(task: Task) -> sp.csr_matrix:
    """Return the graph in which reference cells have no more neighbors than those of a small query."""
    reference, query = np.flatnonzero(~task.query), np.flatnonzero(task.query)
    k = neighbors_among(len(query), task.n_neighbors)
    if k == task.n_neighbors:
        return task.connectivities
    around = task.X if task.cells.around is None else task.cells.around
    graphs = [nearest_graph(around[reference], k), task.nearest[query][:, query]]
    return symmetrize(within_domains(graphs, [reference, query]))


def _expand(graph: sp.csr_matrix, cells: NDArray[np.integer], n_cells: int) -> sp.csr_matrix:
    """Return the graph among all cells, where ``cells`` are those it was made of."""
    if len(cells) == n_cells:
        return graph
    indptr = np.zeros(n_cells + 1, dtype=graph.indptr.dtype)
    indptr[cells + 1] = np.diff(graph.indptr)
    indices = cells.astype(graph.indices.dtype)[graph.indices]
    return sp.csr_matrix((graph.data, indices, indptr.cumsum(dtype=indptr.dtype)), shape=(n_cells, n_cells))
