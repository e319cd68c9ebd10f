from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from tqdm import tqdm

from ..calibration import fit_temperature, scale
from ..graphs import NearestCells, nearest_graph, neighbors_among, personalized_propagation, symmetrize
from ._held_out_parts import held_out_parts
from ._members import Seen, by_cells_alone, by_pooled_cells, by_profiles
from ._mixture import fit_mixture, mix
from ._principal_axes import principal_axes
from ._task import Result, Task

Float = NDArray[np.floating]
Codes = NDArray[np.integer]
Member = Callable[[Seen, Codes, Seen, int], Float]

VERY_FEW = 1 / 3
"""Share of the neighbors a query cell is to have, below which a query is very small: of 15, that is less than 50
cells. Of one cell of cortex labels are .58 right with profiles, .55 without; of a hundred simulated cells .78, .82."""


@dataclass(frozen=True)
class RobustRecipe:
    """Constants of the default annotator, one setting for all data."""

    n_dims: int = 64
    """Principal axes that are read; from 32 to 128 results are the same."""
    C: float = 1.0
    """Inverse ridge penalty of the logistic regressions, on unit-scale features."""
    C_pooled: float = 0.0625
    """The same of those that learn from cells together with their neighbors too: these say the same up to 64 times
    over, and what four times the evidence says is shrunk four times as much."""
    balance: float = 0.4
    """Cells of a class of n cells weigh n^-balance: 0 favors common types, 1 rare ones at the cost of common ones."""
    balance_pooled: float = 1.0
    """The same of those that see cells with their neighbors: these are sure of rare types, so that all types weigh
    the same. A query of one type alone is not what the reference's proportions say."""
    prior: float = 0.4
    """Exponent of the types' shares of the reference, with which profiles begin: 0 for none."""
    widths: tuple[int, ...] = (1, 2, 4)
    """Neighbors that cells are pooled with, in multiples of ``n_neighbors``; never more than a tenth of the query."""
    worth: float = 0.08
    """Share of the held-out log loss that pooling has to take off for anything to join the regressions on cells alone:
    what fits the same study a little better need not carry over to another. Pooling took off .065 at most where all
    peaks are shared, and .15 at least where half of them are."""
    restart: float = 0.45
    """Weight of a cell's own posterior against its neighbors'; below 0.3 rare types were lost."""
    rare: float = 0.2
    """Part of its share in the reference below which a type is absent from the query, if its cells are alone too."""
    alone: float = 0.1
    """Part of their neighbors that at most is of the type's cells if they are alone; of 15 neighbors one."""
    n_folds: int = 3
    """Held-out parts of the reference for calibration, unless it has batches."""
    enough: int = 1000
    """Held-out cells that choose the mixture; only as many parts are asked as hold so many."""


def robust(task: Task, recipe: RobustRecipe) -> Result:
    """Annotate with a mixture of classifiers, smoothed over each domain's graph.

    Two logistic regressions see cells alone, as they are and of unit length. Where held-out reference cells say so, two
    that see cells together with their neighbors take part, and naive Bayes on the neighbors' summed counts: the less
    a cell's own evidence says, the more its neighbors are asked. Held-out cells are seen exactly as query cells are:
    by the same peaks, as deeply, with neighbors among themselves. The mixture is smoothed by personalized propagation
    and scaled by a temperature fitted on held-out cells treated alike. Types that are absent from the query are not
    invented for single cells, unless the query is small.
    """
    reference, query = np.flatnonzero(~task.query), np.flatnonzero(task.query)
    labels, n_classes = task.labels[reference], task.n_classes
    axes = principal_axes(task.X)[:, : recipe.n_dims]
    known, asked = (_seen(task, cells, axes, recipe) for cells in (reference, query))
    parts = _held_out(task, known, axes, recipe)
    there = _share_there(task)
    members = _members(recipe, there, with_evidence=known.evidence is not None)

    tried = []
    for part in tqdm(parts, desc="held-out cells", unit="part", disable=None):
        # Regressions on cells alone are asked by all parts, the others by those that choose the mixture.
        names = list(members) if part.chooses else ["alone"]
        tried.append({name: members[name](part.known, labels[part.kept], part.seen, n_classes) for name in names})
    weights, temperature = {"alone": 1.0}, 1.0
    full = [(part, found) for part, found in zip(parts, tried, strict=True) if len(found) == len(members)]
    if full:
        truth = np.concatenate([labels[part.new] for part, _ in full])
        posteriors = {name: np.concatenate([found[name] for _, found in full]) for name in members}
        # A small query has few neighbors to pool, and little of its own in the space: counts are asked as well.
        weights = fit_mixture(posteriors, truth, worth=recipe.worth * there)
        smoothed = [part.smooth(mix(found, weights), recipe.restart) for part, found in full]
        temperature = fit_temperature(np.concatenate(smoothed), truth)
    held_out = np.full((len(labels), n_classes), 1 / n_classes)
    for part, found in zip(parts, tried, strict=True):
        held_out[part.new] = np.exp(found["alone"])
    if parts and there == 1 and len(weights) == 1:
        # Of cells that are seen alone all parts tell, and neighbors are as near as among all cells of the reference.
        held_out = personalized_propagation(symmetrize(known.graph), held_out, restart=recipe.restart)
        temperature = fit_temperature(held_out, labels)
    else:
        for part in parts:
            held_out[part.new] = part.smooth(held_out[part.new], recipe.restart)

    proba = mix({name: members[name](known, labels, asked, n_classes) for name in weights}, weights)
    votes = _votes(known, labels, asked, task)
    proba = scale(_smooth(proba, asked.graph, votes, there, recipe.restart), temperature)
    if there == 1:
        share = np.bincount(labels, minlength=n_classes) / len(labels)
        proba = _without_absent(proba, symmetrize(asked.graph), share, recipe)

    pooled = len(weights) > 1
    aligned, as_query = np.empty((len(task.X), axes.shape[1]), dtype=np.float32), np.array(known.alone)
    for cells, seen in ((reference, known), (query, asked)):
        aligned[cells] = seen.pooled[0] if pooled else seen.alone
    for part in parts:
        as_query[part.new] = part.seen.pooled[0] if pooled else part.seen.alone
    history = {"temperature": temperature, "weights": weights}
    return Result(proba, aligned, history, as_query, scale(held_out, temperature))


def _members(recipe: RobustRecipe, share_there: float, *, with_evidence: bool) -> dict[str, Member]:
    """Return the classifiers by name, each from known cells, their labels and new cells to log posteriors.

    Cells of a small query have too few neighbors to be placed together with them. Those of a very small one have next
    to none, and no part in the space they are placed in, so that their counts are asked.
    """
    members: dict[str, Member] = {"alone": partial(by_cells_alone, C=recipe.C, balance=recipe.balance)}
    if with_evidence and share_there == 1:
        members["pooled"] = partial(by_pooled_cells, C=recipe.C_pooled, balance=recipe.balance_pooled)
    if with_evidence and (share_there == 1 or share_there < VERY_FEW):
        members["profiles"] = partial(by_profiles, prior_weight=recipe.prior)
    return members


def _seen(task: Task, cells: NDArray[np.intp], axes: Float, recipe: RobustRecipe) -> Seen:
    """Return the cells of a domain."""
    of_cells = None if task.cells.evidence is None else task.cells.evidence.take(cells)
    around = task.X if task.cells.around is None else task.cells.around
    graph = task.nearest[cells][:, cells]
    alone = (task.X[cells] @ axes).astype(np.float32)
    return Seen(alone, of_cells, graph, axes, around[cells], _sizes(task, recipe))


def _sizes(task: Task, recipe: RobustRecipe) -> tuple[int, ...]:
    """Return how many neighbors cells are pooled with: as many as the query can give its cells, each once."""
    n_query = int(task.query.sum())
    return tuple(sorted({neighbors_among(n_query, width * task.n_neighbors) for width in recipe.widths}))


@dataclass(frozen=True)
class _Part:
    """A part of the reference, held out, and the rest."""

    kept: NDArray[np.intp]
    new: NDArray[np.intp]
    known: Seen
    """Cells that are kept."""
    seen: Seen
    """Held-out cells, as if they were of the query."""
    votes: Float
    """(n_new, n_classes): see :func:`_votes`."""
    there: float
    """See :func:`_share_there`."""
    chooses: bool
    """Whether it is one of those that choose the mixture."""

    def smooth(self, proba: Float, restart: float) -> Float:
        """Smooth as the query's posteriors are."""
        return _smooth(proba, self.seen.graph, self.votes, self.there, restart)


def _held_out(task: Task, known: Seen, axes: Float, recipe: RobustRecipe) -> list[_Part]:
    """Return the parts in which reference cells are held out; none if there is but one."""
    reference = np.flatnonzero(~task.query)
    labels = task.labels[reference]
    evidence = task.cells.as_query
    alone = known.alone if evidence is None else (evidence.cells @ axes).astype(np.float32)
    around_new = known.around if evidence is None else evidence.cells
    if task.cells.around_as_query is not None:
        around_new = task.cells.around_as_query
    k = neighbors_among(int(task.query.sum()), task.n_neighbors)
    part = held_out_parts(task.labels, task.batch, recipe.n_folds)[reference]
    parts, n_tried, no_graph = [], 0, sp.csr_matrix((0, 0), dtype=np.float32)  # among known cells none is read
    for p in range(part.max() + 1) if part.any() else ():
        kept, new = np.flatnonzero(part != p), np.flatnonzero(part == p)
        # Neighbors are looked for within each part, as they are within reference and query.
        of_kept, of_new = None, None
        chooses = n_tried < recipe.enough
        n_tried += len(new)
        if evidence is not None and known.evidence is not None:
            of_kept, of_new = known.evidence.take(kept), evidence.take(new)
        of_known = Seen(known.alone[kept], of_kept, no_graph, axes, known.around[kept], known.sizes)
        # A part that is smaller than the query has not as many cells that are as near.
        sizes = tuple(sorted({neighbors_among(len(new), size) for size in known.sizes}))
        of_part = nearest_graph(around_new[new], min(k, neighbors_among(len(new), task.n_neighbors)))
        seen = Seen(alone[new], of_new, of_part, axes, around_new[new], sizes)
        votes = _votes(of_known, labels[kept], seen, task)
        parts.append(_Part(kept, new, of_known, seen, votes, _share_there(task), chooses))
    return parts


def _share_there(task: Task) -> float:
    """Return the share of the neighbors a query cell is to have, that a small query can give it."""
    return neighbors_among(int(task.query.sum()), task.n_neighbors) / task.n_neighbors


def _votes(known: Seen, labels: Codes, new: Seen, task: Task) -> Float:
    """Return the shares of classes (n_new, n_classes) among the known cells nearest to each new cell.

    They stand for the neighbors that a small query cannot give its cells.
    """
    from sklearn.preprocessing import normalize

    if _share_there(task) == 1:
        return np.zeros((len(new.alone), task.n_classes))
    _, nearest = NearestCells(normalize(known.alone), task.n_neighbors).of(normalize(new.alone))
    return np.eye(task.n_classes)[labels[nearest]].mean(axis=1)


def _smooth(proba: Float, graph: sp.csr_matrix, votes: Float, there: float, restart: float) -> Float:
    """Return posteriors smoothed over a directed graph; known cells vote in place of neighbors that are missing."""
    smoothed = personalized_propagation(symmetrize(graph), proba, restart=restart)
    return there * smoothed + (1 - there) * (restart * proba + (1 - restart) * votes)


def _without_absent(proba: Float, graph: sp.csr_matrix, share: Float, recipe: RobustRecipe) -> Float:
    """Return ``proba`` (n_query, n_classes) with classes that are absent from the query a hundred times less likely.

    Those have much less of the query's probability than their ``share`` (n_classes,) of the reference's cells, and no
    cell in the company of others: rare types that are there are found together.
    """
    n_query, n_classes = proba.shape
    called, cells = proba.argmax(axis=1), np.arange(n_query)
    alike = np.asarray((graph @ np.eye(n_classes, dtype=np.float32)[called])[cells, called])
    company = np.zeros(n_classes)
    np.maximum.at(company, called, alike / np.maximum(np.diff(graph.indptr), 1))
    absent = (proba.mean(axis=0) < recipe.rare * share) & (company <= recipe.alone)
    proba = np.where(absent, 0.01, 1.0) * proba
    return proba / proba.sum(axis=1, keepdims=True)
