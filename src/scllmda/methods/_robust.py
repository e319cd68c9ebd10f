from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from ..calibration import fit_temperature, scale
from ..graphs import personalised_propagation
from ._logistic import logistic_posteriors
from ._principal_axes import rotate_to_principal_axes
from ._task import Result, Task

Float = NDArray[np.floating]
Codes = NDArray[np.integer]


@dataclass(frozen=True)
class RobustRecipe:
    """Constants of the default annotator, one setting for all data."""

    n_dims: tuple[int, ...] = (16, 32, 64)
    """Nested principal subspaces that vote: few dimensions carry common types, many carry rare ones."""
    C: float = 1.0
    """Inverse ridge penalty of the logistic regressions, on unit-scale features."""
    restart: float = 0.5
    """Weight of a cell's own posterior against its neighbours'; below 0.3 rare types were lost."""
    n_folds: int = 3
    """Held-out parts of the reference for calibration, unless it has batches."""


def robust(task: Task, recipe: RobustRecipe) -> Result:
    """Annotate with an ensemble of logistic regressions on nested subspaces, smoothed over each domain's graph.

    The members' posteriors (plain and class-balanced, of raw and of unit-length cells) are averaged as logarithms,
    smoothed by personalised propagation, and scaled by a temperature fitted on held-out reference cells treated alike.
    """
    reference, query = np.flatnonzero(~task.query), np.flatnonzero(task.query)
    labels = task.labels[reference]
    X = rotate_to_principal_axes(task.X)
    X_reference = X[reference]

    held_out = np.full((len(reference), task.n_classes), 1 / task.n_classes)
    batch = None if task.batch is None else task.batch[reference]
    for fold in _folds(labels, batch, recipe.n_folds, task.rng):
        kept = np.flatnonzero(~fold)
        held_out[fold] = _ensemble(X_reference, labels, kept, X_reference[fold], task.n_classes, recipe)
    temperature = fit_temperature(_smooth(task, reference, held_out, recipe), labels)

    everyone = np.arange(len(reference))
    proba = _ensemble(X_reference, labels, everyone, X[query], task.n_classes, recipe)
    proba = scale(_smooth(task, query, proba, recipe), temperature)
    return Result(proba, X[:, : max(recipe.n_dims)].astype(np.float32), {"temperature": temperature})


def _smooth(task: Task, cells: NDArray[np.intp], proba: Float, recipe: RobustRecipe) -> Float:
    return personalised_propagation(task.connectivities[cells][:, cells], proba, restart=recipe.restart)


def _ensemble(
    X: Float, labels: Codes, train: NDArray[np.intp], new: Float, n_classes: int, recipe: RobustRecipe
) -> Float:
    """Return (n_new, n_classes): the normalised geometric mean of the members' posteriors."""
    from threadpoolctl import threadpool_limits

    subspaces = sorted({min(n, X.shape[1]) for n in recipe.n_dims})
    # The products are too small to share: several threads made the fits eight times slower on two cores.
    with threadpool_limits(1):
        members = [
            _log_posterior(X[train, :n], labels[train], new[:, :n], n_classes, recipe.C, unit_length, balanced)
            for n, unit_length, balanced in product(subspaces, (False, True), (False, True))
        ]
    return softmax(np.mean(members, axis=0), axis=1)


def _log_posterior(
    known: Float,
    labels: Codes,
    new: Float,
    n_classes: int,
    C: float,
    unit_length: bool,  # noqa: FBT001
    balanced: bool,  # noqa: FBT001
) -> Float:
    """Return (n_new, n_classes) log posteriors of one logistic regression, floored at 1e-9."""
    from sklearn.preprocessing import normalize

    if unit_length:
        known, new = normalize(known), normalize(new)
    posterior = logistic_posteriors(known, labels, new, n_classes, C=C, balance=balanced)
    return np.log(posterior + 1e-9)


def _folds(labels: Codes, batch: Codes | None, n_folds: int, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Return masks of held-out cells: one per batch, else ``n_folds`` parts stratified by class."""
    if batch is not None and len(np.unique(batch)) > 1:
        return [batch == b for b in np.unique(batch)]
    # A cell's place within its shuffled class decides its fold; the offset spreads classes of one cell.
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(labels), dtype=int)
    fold[order] = np.arange(len(labels)) % n_folds
    return [mask for mask in (fold == f for f in range(n_folds)) if mask.any() and not mask.all()]
