from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from tqdm import tqdm

from ..calibration import fit_temperature, scale
from ..graphs import NearestCells, neighbors_among, personalized_propagation, symmetrize
from ._held_out_parts import held_out_parts
from ._linear_model import LinearModel
from ._members import DomainCells, Profiles, Regressions, by_cells_alone, by_pooled_cells, by_profiles
from ._method import Method
from ._mixture import fit_mixture, mix
from ._one_type import go_together
from ._principal_axes import principal_axes
from ._task import Alike, Result, Task

Float = NDArray[np.floating]
Codes = NDArray[np.integer]
Member = Regressions | Profiles
Classifier = Callable[[DomainCells, Codes, int, Member | None], Member]
"""Learns from known cells, their labels, the number of classes, and what it learned from cells that are mostly the
same; what it returns gives new cells log posteriors."""

ABSENT = 0.01
"""Factor of the probability of a type that was found absent from the query: it is called where nothing else is as
likely by a hundredth. With 0 a cell of a rare type that was missed would have no probability of its own type at all."""
VERY_FEW = 1 / 3
"""A query is very small if its cells can be given a smaller share of the neighbors they are to have: of 15, if it has
less than 50 cells. Of one cell of cortex labels are .58 right with naive Bayes on its counts and .55 without; of a
hundred simulated cells .78 and .82."""


@dataclass(frozen=True)
class RobustRecipe:
    """Constants of the default annotator, one setting for all data."""

    n_dims: int = 64
    """Principal axes of the embedding that classifiers read. From 32 to 128 results are the same."""
    C: float = 1.0
    """Inverse ridge penalty of the logistic regressions on single cells, for features of unit spread; scikit-learn's
    default. With 0.1 and 10 results are in the ablation table."""
    C_pooled: float = 0.0625
    """Inverse ridge penalty of the regressions on cells pooled with their neighbors. Rows that share neighbors say the
    same thing over again, up to 64 times, and what is repeated sixteen times is shrunk sixteen times as much."""
    balance: float = 0.4
    """Cells of a class of n cells weigh n^-balance in the regressions on single cells. 0 favors common types, 1 rare
    types at the cost of common ones."""
    balance_pooled: float = 1.0
    """The same of the regressions on pooled cells. Many cells' counts are sure of rare types too, so that all types
    can weigh the same; a query of one sorted type is not what the reference's proportions say."""
    prior: float = 0.4
    """Exponent of the types' shares of the reference, which naive Bayes starts from. 0 is none, 1 the shares."""
    widths: tuple[int, ...] = (1, 2, 4)
    """Numbers of neighbors that cells are pooled with, in multiples of ``n_neighbors``; never more than a tenth of the
    query's cells."""
    worth: float = 0.08
    """Share of the held-out log loss that pooling has to take off to take part at all. What fits cells of the same
    study a little better need not do so in another one. Pooling took off .065 at most where all peaks are shared, and
    .15 at least where half of them are."""
    restart: float = 0.45
    """Weight of a cell's own probabilities against those of its neighbors. Below 0.3 rare types were lost."""
    rare: float = 0.2
    """A type is absent from the query if it has less than this part of its share in the reference, and ``alone`` holds.
    Without it (0), macro-F1 on a simulated query that lacks types falls from .997 to .746."""
    alone: float = 0.1
    """A type's cells are alone if this part of their neighbors, at most, is of the type (of 15 neighbors one)."""
    n_folds: int = 3
    """Parts of the reference that are held out in turn for calibration, unless it has batches."""
    enough: int = 1000
    """Held-out cells that choose the weights of the mixture. Parts are added until there are so many."""
    most_reference: int = 30_000
    """Cells of a reference in an object of its own that are looked at, about as many: of each class its share, and 100
    at least. Of a larger reference, so, time grows with the query alone."""


def robust(task: Task, recipe: RobustRecipe) -> Result:
    """Annotate with a mixture of classifiers, smoothed over each domain's graph.

    Two logistic regressions read each cell alone, as it is and scaled to unit length. Where held-out reference cells
    say that it pays, two that read cells pooled with their neighbors take part, and naive Bayes on the summed counts:
    the less a cell's own counts say, the more its neighbors' are needed. Held-out cells are seen exactly as query cells
    are: by the same peaks, as few counts, neighbors among themselves. The mixture is smoothed by personalized
    propagation, and scaled by a temperature that was fitted on held-out cells treated alike.

    Types that are absent from the query are not invented for single cells, unless the query is small. All but one are
    absent if the labels have nothing to do with where cells lie by peaks that the query has alone, though those of as
    many reference cells have: then the query was sorted.
    """
    reference, query = np.flatnonzero(~task.query), np.flatnonzero(task.query)
    labels, n_classes = task.labels[reference], task.n_classes
    axes = principal_axes(task.X)[:, : recipe.n_dims]
    known, new = (_domain_cells(task, cells, axes, recipe) for cells in (reference, query))
    parts, share = _held_out(task, known, axes, recipe), _share_of_neighbors(task)
    classifiers = _classifiers(recipe, share, with_evidence=known.evidence is not None)
    tried, start = _try(classifiers, parts, known, labels, n_classes)
    weights, temperature, held_out, alike = _calibrate(classifiers, tried, known, labels, n_classes, share, recipe)

    # log p = Σ_m weight_m log p_m + const, over the classifiers m that take part.
    members = {name: classifiers[name](known, labels, n_classes, start.get(name)) for name in weights}
    logs = {"alone": members["alone"](new)}
    is_one_type = share == 1 and _is_one_type(task, tried, np.exp(logs["alone"]))
    pooled = replace(new, is_one_type=is_one_type)
    logs |= {name: member(pooled) for name, member in members.items() if name != "alone"}
    # p ← restart p + (1 − restart) × that of neighbors, until it no longer changes; then p^(1/temperature).
    smoothed = _smooth(
        mix(logs, weights), new.graph, _votes(known.alone, labels, new.alone, task), share, recipe.restart
    )
    proba = scale(smoothed, temperature)
    of_sets = Alike(alike[0], scale(alike[1], temperature), proba)
    factor: Float = np.ones(n_classes)
    if share == 1:
        expected = np.bincount(labels, minlength=n_classes) / len(labels)
        factor = _factor_of_absent(proba, symmetrize(new.graph), expected, recipe)
        proba = _times(proba, factor)
    if is_one_type:
        together = np.exp(logs["pooled"]) if "pooled" in logs else proba
        others = np.where(np.arange(n_classes) != together.mean(axis=0).argmax(), ABSENT, 1)
        proba, factor = _times(proba, others), factor * others

    def where(cells: DomainCells) -> NDArray[np.float32]:
        return cells.pooled[0] if len(weights) > 1 else cells.alone

    as_query = None
    if len(weights) > 1 or task.cells.as_query is not None:
        as_query = np.array(known.alone)
        for part in parts:
            as_query[part.new] = where(part.new_cells)
    aligned = task.in_order(where(known), where(new))
    history = {"temperature": temperature, "weights": weights}
    model = LinearModel(axes, members, weights, pooled.links(members.values()), is_one_type, temperature, factor)
    return Result(proba, aligned, history, as_query, scale(held_out, temperature), of_sets, model)


def _try(
    classifiers: dict[str, Classifier], parts: list[_Part], known: DomainCells, labels: Codes, n_classes: int
) -> tuple[list[tuple[_Part, dict[str, Float]]], dict[str, Member]]:
    """Return each held-out part with log posteriors of its cells by classifiers that learned from the others.

    Regressions on single cells are tried on all parts, the other classifiers on those that choose the mixture. Second
    is what each classifier learned last, at which the next may begin: what it ends at does not depend on it.
    """
    tried, learned = [], dict[str, Member]()
    for part in tqdm(parts, desc="held-out cells", unit="part", disable=None):
        names = list(classifiers) if part.chooses else ["alone"]
        kept = known.take(part.kept)
        for name in names:
            learned[name] = classifiers[name](kept, labels[part.kept], n_classes, learned.get(name))
        tried.append((part, {name: learned[name](part.new_cells) for name in names}))
    return tried, learned


def _calibrate(
    classifiers: dict[str, Classifier],
    tried: list[tuple[_Part, dict[str, Float]]],
    known: DomainCells,
    labels: Codes,
    n_classes: int,
    share: float,
    recipe: RobustRecipe,
) -> tuple[dict[str, float], float, Float, tuple[NDArray[np.intp], Float]]:
    """Return the mixture's weights, its temperature, and the reference's smoothed probabilities by its other cells.

    Last are the positions of those cells that the whole mixture was tried on, and their probabilities by it. A single
    part, a reference that cannot be divided, calibrates nothing.
    """
    weights, temperature = {"alone": 1.0}, 1.0
    alike = np.zeros(0, dtype=np.intp), np.zeros((0, n_classes))
    by_all = [(part, found) for part, found in tried if len(found) == len(classifiers)]
    if by_all:
        truth = np.concatenate([labels[part.new] for part, _ in by_all])
        posteriors = {name: np.concatenate([found[name] for _, found in by_all]) for name in classifiers}
        # A small query has few neighbors to pool, and little of its own in the space: counts are read all the sooner.
        weights = fit_mixture(posteriors, truth, worth=recipe.worth * share)
    held_out = _by_others(tried, len(labels), n_classes)
    if tried and share == 1 and len(weights) == 1:
        # All parts tell of cells read alone, and their neighbors are as near as among all cells of the reference.
        held_out = personalized_propagation(symmetrize(known.graph), held_out, restart=recipe.restart)
        return weights, fit_temperature(held_out, labels), held_out, (np.arange(len(labels)), held_out)
    if by_all:
        smoothed = [part.smooth(mix(found, weights), recipe.restart) for part, found in by_all]
        alike = np.concatenate([part.new for part, _ in by_all]), np.concatenate(smoothed)
        temperature = fit_temperature(alike[1], truth)
    for part, _ in tried:
        held_out[part.new] = part.smooth(held_out[part.new], recipe.restart)
    return weights, temperature, held_out, alike


def _is_one_type(task: Task, tried: list[tuple[_Part, dict[str, Float]]], proba: Float) -> bool:
    """Return whether the query is of one type: its own peaks do not go with labels, and the reference's do."""
    axes = task.cells.own_axes
    if axes is None or not tried:
        return False
    held_out = _by_others(tried, int((~task.query).sum()), task.n_classes)
    return go_together(held_out, axes[~task.query]) and not go_together(proba, axes[task.query])


def _by_others(tried: list[tuple[_Part, dict[str, Float]]], n_reference: int, n_classes: int) -> Float:
    """Return probabilities (n_reference, n_classes) of reference cells, read alone, by the cells of the other parts.

    Where there are no parts nothing is known, and all classes are as likely.
    """
    proba = np.full((n_reference, n_classes), 1 / n_classes)
    for part, found in tried:
        proba[part.new] = np.exp(found["alone"])
    return proba


def _classifiers(recipe: RobustRecipe, share: float, *, with_evidence: bool) -> dict[str, Classifier]:
    """Return the classifiers by name.

    Cells of a small query have too few neighbors to be placed together with them. Those of a very small one have next
    to none, and no part in the space they are placed in, so that naive Bayes reads their counts.
    """
    found: dict[str, Classifier] = {"alone": partial(by_cells_alone, C=recipe.C, balance=recipe.balance)}
    if with_evidence and share == 1:
        found["pooled"] = partial(by_pooled_cells, C=recipe.C_pooled, balance=recipe.balance_pooled)
    if with_evidence and (share == 1 or share < VERY_FEW):
        found["profiles"] = partial(by_profiles, prior_weight=recipe.prior)
    return found


def _domain_cells(task: Task, cells: NDArray[np.intp], axes: Float, recipe: RobustRecipe) -> DomainCells:
    """Return the cells of a domain, at positions ``cells``."""
    evidence = None if task.cells.evidence is None else task.cells.evidence.take(cells)
    alone = (task.X[cells] @ axes).astype(np.float32)
    sizes = _sizes_among(int(task.query.sum()), [width * task.n_neighbors for width in recipe.widths])
    graph = task.nearest[cells][:, cells]
    return DomainCells(alone, evidence, task.n_neighbors, axes, task.around[cells], sizes, graph)


def _sizes_among(n_cells: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """Return how many neighbors cells are pooled with: as many as so many cells can give, each number once."""
    return tuple(sorted({neighbors_among(n_cells, size) for size in sizes}))


@dataclass(frozen=True)
class _Part:
    """A part of the reference that is held out, and the rest of it."""

    kept: NDArray[np.intp]
    """Positions, in the reference, of the cells that are kept."""
    new: NDArray[np.intp]
    """Positions of the cells that are held out."""
    new_cells: DomainCells
    """The held-out cells, as if they were of the query."""
    votes: Float
    """(n_new, n_classes): see :func:`_votes`."""
    share: float
    """See :func:`_share_of_neighbors`."""
    chooses: bool
    """Whether it is one of those that choose the mixture."""

    def smooth(self, proba: Float, restart: float) -> Float:
        """Smooth probabilities of the held-out cells as the query's are."""
        return _smooth(proba, self.new_cells.graph, self.votes, self.share, restart)


def _held_out(task: Task, known: DomainCells, axes: Float, recipe: RobustRecipe) -> list[_Part]:
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
    parts, n_chosen = [], 0
    for p in range(part.max() + 1) if part.any() else ():
        kept, new = np.flatnonzero(part != p), np.flatnonzero(part == p)
        chooses = n_chosen < recipe.enough
        n_chosen += len(new)
        of_new = None if evidence is None else evidence.take(new)
        # A part that is smaller than the query does not have as many cells that are as near. Neighbors are looked for
        # within each part, as they are within reference and query.
        sizes = _sizes_among(len(new), known.pool_sizes)
        n_neighbors = min(k, neighbors_among(len(new), task.n_neighbors))
        new_cells = DomainCells(alone[new], of_new, n_neighbors, axes, around_new[new], sizes)
        votes = _votes(known.alone[kept], labels[kept], new_cells.alone, task)
        parts.append(_Part(kept, new, new_cells, votes, _share_of_neighbors(task), chooses))
    return parts


def _share_of_neighbors(task: Task) -> float:
    """Return the share of the neighbors a cell is to have that the query can give its cells: 1 unless it is small."""
    return neighbors_among(int(task.query.sum()), task.n_neighbors) / task.n_neighbors


def _votes(known: Float, labels: Codes, new: Float, task: Task) -> Float:
    """Return the shares of classes (n_new, n_classes) among the known cells (n_known, d) nearest to each new cell.

    They stand for the neighbors that a small query cannot give its cells.
    """
    from sklearn.preprocessing import normalize

    if _share_of_neighbors(task) == 1:
        return np.zeros((len(new), task.n_classes))
    _, nearest = NearestCells(normalize(known), task.n_neighbors).of(normalize(new))
    return np.eye(task.n_classes)[labels[nearest]].mean(axis=1)


def _smooth(proba: Float, graph: sp.csr_matrix, votes: Float, share: float, restart: float) -> Float:
    """Return probabilities smoothed over a directed graph; known cells vote in place of neighbors that are missing."""
    smoothed = personalized_propagation(symmetrize(graph), proba, restart=restart)
    if share == 1:
        return smoothed
    return share * smoothed + (1 - share) * (restart * proba + (1 - restart) * votes)


def _factor_of_absent(proba: Float, graph: sp.csr_matrix, share: Float, recipe: RobustRecipe) -> Float:
    """Return by what the classes of ``proba`` (n_query, n_classes) are to be multiplied, if absent from the query.

    Those have much less of the query's probability than their ``share`` (n_classes,) of the reference's cells,
    and no cell in the company of others: rare types that are there are found together.
    """
    n_query, n_classes = proba.shape
    called, cells = proba.argmax(axis=1), np.arange(n_query)
    alike = np.asarray((graph @ np.eye(n_classes, dtype=np.float32)[called])[cells, called])
    company = np.zeros(n_classes)
    np.maximum.at(company, called, alike / np.maximum(np.diff(graph.indptr), 1))
    is_absent = (proba.mean(axis=0) < recipe.rare * share) & (company <= recipe.alone)
    return np.where(is_absent, ABSENT, 1.0)


def _times(proba: Float, factor: Float) -> Float:
    """Return ``proba`` (n_query, n_classes) with each class as many times as likely."""
    proba = factor * proba
    return proba / proba.sum(axis=1, keepdims=True)


ROBUST = Method(
    "robust",
    robust,
    RobustRecipe,
    "Our default: logistic regressions, smoothed over the graph, calibrated",
    "scllmda",
    holds_out=True,
    has_evidence=True,
    most_reference=attrgetter("most_reference"),
)
