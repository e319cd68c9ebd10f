"""The way from a source of cells to an annotation, the same for all methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..calibration import NoveltyRecipe, Sets, least_probabilities, prediction_sets, scale
from ._both_sides import require_both
from ._cells import Cells
from ._linear_model import LinearModel
from ._method import Method
from ._reject import reject
from ._task import Represented, Result, Source, Task
from ._thinned import thinned

Float = NDArray[np.floating]
Codes = NDArray[np.integer]


@dataclass(frozen=True)
class Annotation:
    """Everything an annotation gives, for all cells in their order."""

    proba: Float
    """(n_cells, n_classes); reference cells have 1 at their own class, cells without any open peak 0 throughout."""
    novelty: Float
    """(n_cells,) 0-1; reference cells have 0, cells without any open peak 1."""
    query: NDArray[np.bool_]
    """(n_cells,) whether a cell was to be annotated."""
    left_out: NDArray[np.bool_]
    """(n_cells,) whether a reference cell was not looked at, because the reference is very large."""
    rejected: NDArray[np.bool_]
    """(n_cells,) whether a query cell is too novel to be labeled, or has no open peak."""
    aligned: Float
    """(n_cells, k)."""
    n_dims: int
    """Dimensions of the space that cells were labeled in."""
    connectivities: sp.csr_matrix
    ppmi: sp.csr_matrix
    history: Mapping[str, Any]
    held_out: Float | None
    """(n_reference, n_classes) probabilities of reference cells by the others; None if the method gives none."""
    shift: float | None
    """How many times as far from the reference's cells the query's are as those from one another; None where too few
    cells tell, and nothing was rejected."""
    sets: Sets | None = None
    """Reference cells have their own class alone, cells without any open peak none; None where none were asked for."""
    model: LinearModel | None = None
    """What the probabilities were made with, where that is linear in the counts."""


def run(
    source: Source,
    labels: Codes,
    n_classes: int,
    *,
    method: Method,
    recipe: Any,
    rng: np.random.Generator,
    novelty_recipe: NoveltyRecipe | None = None,
    n_neighbors: int = 15,
    max_false_rejection: float | None = 0.01,
    set_coverage: float | None = None,
    batch: Codes | None = None,
    key: NDArray[np.uint64] | None = None,
    device: str = "cpu",
) -> Annotation:
    """Annotate the query by a method and score its novelty.

    Parameters
    ----------
    source
        Of reference and query; cells without any open peak are left out.
    labels
        (n_cells,) class codes; -1 marks the query.
    n_classes
        Number of classes.
    method, recipe
        See ``METHODS`` and ``make_recipe``.
    rng
        All randomness.
    novelty_recipe
        Constants of novelty; None for the defaults.
    n_neighbors
        Of the kNN graphs.
    max_false_rejection
        Share of the reference's own cells that are as novel as what is rejected; None rejects none.
    set_coverage
        Share of the cells of each class whose prediction set is to have it; None makes no sets.
    batch
        (n_cells,) codes; read for reference cells only.
    key
        (n_cells,) number of each cell, by which a part of a very large reference is chosen, for methods that do with
        one. What is left out is as cells without an open peak are. None looks at all.
    device
        Torch device.
    """
    query = labels < 0
    everything = Task(
        source,
        method.parts(recipe),
        np.arange(len(labels)),
        labels,
        n_classes,
        rng,
        batch,
        device,
        n_neighbors,
    )
    # Where cells are: in the package's embedding w_j, or in a space that the method makes of their counts.
    task, of_space = _place(everything, method, recipe)
    left_out = np.zeros(len(labels), dtype=bool)
    if key is not None and method.most_reference is not None:
        left_out[task.at] = True
        task = thinned(task, method.most_reference(recipe), key)
        left_out[task.at] = False
    # Whose they are: P(class | cell) of the query's cells, from the labels of the reference's alone.
    result = method.label(task, recipe)
    if task.space is None:
        # Of a method that labels straight from counts, graphs and novelty are those of what it aligned.
        task, result = _in_aligned(task, result)
    # How novel they are: the rank of a cell's distance to the reference among the reference's own distances.
    novelty_recipe = novelty_recipe or NoveltyRecipe()
    rejection = reject(task, result, novelty_recipe, max_false_rejection)
    model = result.model
    if result.held_out is not None and rejection.shift is not None:
        # p^(1/s): calibrated on the reference's own cells, it is less sure of cells that lie s times as far from them.
        shift = min(rejection.shift, novelty_recipe.large_shift)
        result = _less_sure(result, shift)
        model = None if model is None else replace(model, shift=shift)

    # Back to all cells: those of the reference are certain of their labels, those without an open peak of nothing.
    n_cells, placed, annotated = len(labels), task.at, task.at[task.query]
    proba, aligned = np.zeros((n_cells, n_classes)), np.asarray(result.aligned, dtype=np.float32)
    proba[annotated] = result.proba
    proba[~query, labels[~query]] = 1
    novel, rejected = query.astype(float), query.copy()
    novel[annotated], rejected[annotated] = rejection.novelty, rejection.rejected
    held_out = None
    if result.held_out is not None:
        held_out = _expand(result.held_out, placed[~task.query], n_cells)[~query]
    if model is not None and model.links is not None:
        model = replace(model, links=_expand_graph(model.links, annotated, n_cells))
    return Annotation(
        proba,
        novel,
        query,
        left_out,
        rejected,
        _expand(aligned, placed, n_cells),
        task.X.shape[1],
        _expand_graph(task.connectivities, placed, n_cells),
        _expand_graph(task.ppmi, placed, n_cells),
        {**of_space, **result.history, **rejection.history},
        held_out,
        rejection.shift,
        None if set_coverage is None else _sets(task, result, labels, set_coverage),
        model,
    )


def _less_sure(result: Result, temperature: float) -> Result:
    """Return a result whose query cells are less sure of their classes."""
    alike = None if result.alike is None else replace(result.alike, query=scale(result.alike.query, temperature))
    return replace(result, proba=scale(result.proba, temperature), alike=alike)


def _sets(task: Task, result: Result, labels: Codes, coverage: float) -> Sets:
    """Return prediction sets of all cells, whose classes are ``labels`` and which are those of the task or more."""
    if (alike := result.alike) is None:
        msg = "The method says that it holds out reference cells, and returned no probabilities of them (alike)."
        raise TypeError(msg)
    least = least_probabilities(alike.held_out, task.labels[~task.query][alike.cells], alike.query, coverage)
    members = labels[:, None] == np.arange(task.n_classes)
    members[task.at[task.query]] = prediction_sets(alike.query, least)
    return Sets(members, least)


def represent(
    counts: Source, n_cells: int, *, method: Method, recipe: Any, rng: np.random.Generator, device: str
) -> Represented:
    """Embed cells by a method that has a space of its own, without labeling them.

    Cells without any open peak are zero.
    """
    nobody = np.full(n_cells, -1)
    task = Task(counts, method.parts(recipe), np.arange(n_cells), nobody, 0, rng, device=device)
    task = _with_open_peaks(task)
    assert method.represent is not None
    found = method.represent(task, recipe)
    return replace(found, cells=_expand(found.cells, task.at, n_cells))


def _place(task: Task, method: Method, recipe: Any) -> tuple[Task, Mapping[str, Any]]:
    """Return the task of the cells that have an open peak, in the space they are labeled in, and the history of it."""
    history: Mapping[str, Any] = {}
    everyone, task = task, with_place(task)
    if "embedding" not in task.reads and method.represent is not None:
        found = method.represent(task, recipe)
        task, history = task.within(Cells(found.cells)), found.history
        _require_both(everyone, task)
    return task, history


def with_place(task: Task) -> Task:
    """Return the task of the cells that have a place in the package's embedding, if that is read, or an open peak.

    Raises
    ------
    ValueError
        No query cell, or no reference cell, has one.
    """
    found = task.within(task.source.embedding) if "embedding" in task.reads else _with_open_peaks(task)
    _require_both(task, found)
    return found


def _with_open_peaks(task: Task) -> Task:
    """Return the task of the cells that have one, without a space."""
    return replace(task.within(Cells(task.has_open_peak[:, None].astype(np.float32))), space=None)


def _in_aligned(task: Task, result: Result) -> tuple[Task, Result]:
    """Return both for the cells that have a place in what the method aligned, which is the space then.

    Cells at zero are those of which it found nothing to read.
    """
    space = Cells(np.asarray(result.aligned))
    within = replace(task, space=space).within(space)
    _require_both(task, within)
    if len(within.at) == len(task.at):
        return within, result
    of_reference, of_query = space.have_counts[~task.query], space.have_counts[task.query]
    as_query = None if result.as_query is None else result.as_query[of_reference]
    held_out = None if result.held_out is None else result.held_out[of_reference]
    alike = None if result.alike is None else result.alike.of(of_reference, of_query)
    kept = replace(result, proba=result.proba[of_query], aligned=within.X)
    return within, replace(kept, as_query=as_query, held_out=held_out, alike=alike)


def _require_both(everyone: Task, task: Task) -> None:
    """Raise ValueError if no query cell, or no reference cell, is left in the task."""
    left = np.isin(everyone.at, task.at)
    require_both(left, everyone.query, "has an open peak among those that tell cells apart")


def _expand(rows: Float, cells: NDArray[np.integer], n_cells: int) -> Float:
    """Return rows (n, k) of some cells as those of all (n_cells, k), zero for the others."""
    full = np.zeros((n_cells, rows.shape[1]), dtype=rows.dtype)
    full[cells] = rows
    return full


def _expand_graph(graph: sp.csr_matrix, cells: NDArray[np.integer], n_cells: int) -> sp.csr_matrix:
    """Return the graph among all cells, where ``cells`` are those it was made of."""
    if len(cells) == n_cells:
        return graph
    indptr = np.zeros(n_cells + 1, dtype=graph.indptr.dtype)
    indptr[cells + 1] = np.diff(graph.indptr)
    indices = cells.astype(graph.indices.dtype)[graph.indices]
    return sp.csr_matrix((graph.data, indices, indptr.cumsum(dtype=indptr.dtype)), shape=(n_cells, n_cells))
