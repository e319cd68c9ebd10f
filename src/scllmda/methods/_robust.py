from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import softmax

from ..calibration import fit_temperature, scale
from ..graphs import personalised_propagation
from ._held_out_parts import held_out_parts
from ._logistic import logistic_posteriors
from ._principal_axes import rotate_to_principal_axes
from ._task import Result, Task

Float = NDArray[np.floating]
Codes = NDArray[np.integer]


@dataclass(frozen=True)
class RobustRecipe:
    """Constants of the default annotator, one setting for all data."""

    n_dims: int = 64
    """Principal axes that are read; from 32 to 128 results are the same."""
    C: float = 1.0
    """Inverse ridge penalty of the logistic regressions, on unit-scale features."""
    balance: float = 0.4
    """Cells of a class of n cells weigh n^-balance: 0 favours common types, 1 rare ones at the cost of common ones."""
    restart: float = 0.45
    """Weight of a cell's own posterior against its neighbours'; below 0.3 rare types were lost."""
    rare: float = 0.2
    """Part of its share in the reference below which a type is absent from the query, if its cells are alone too."""
    alone: float = 0.1
    """Part of their neighbours that at most is of the type's cells if they are alone; of 15 neighbours one."""
    n_folds: int = 3
    """Held-out parts of the reference for calibration, unless it has batches."""


def robust(task: Task, recipe: RobustRecipe) -> Result:
    """Annotate with two logistic regressions, smoothed over each domain's graph.

    The posteriors of one on cells as they are and of one on cells of unit length are averaged as logarithms, smoothed
    by personalised propagation, and scaled by a temperature fitted on held-out reference cells treated alike. Types
    that are absent from the query are not invented for single cells.
    """
    reference, query = np.flatnonzero(~task.query), np.flatnonzero(task.query)
    labels = task.labels[reference]
    X = rotate_to_principal_axes(task.X)[:, : recipe.n_dims]
    X_reference = X[reference]

    part = held_out_parts(task.labels, task.batch, recipe.n_folds)[reference]
    held_out = np.full((len(reference), task.n_classes), 1 / task.n_classes)
    for p in range(part.max() + 1) if part.any() else ():
        left_out = part == p
        kept, new = X_reference[~left_out], X_reference[left_out]
        held_out[left_out] = _posteriors(kept, labels[~left_out], new, task.n_classes, recipe)
    held_out = personalised_propagation(task.connectivities[reference][:, reference], held_out, restart=recipe.restart)
    temperature = fit_temperature(held_out, labels)

    graph = task.connectivities[query][:, query]
    proba = _posteriors(X_reference, labels, X[query], task.n_classes, recipe)
    proba = scale(personalised_propagation(graph, proba, restart=recipe.restart), temperature)
    proba = _without_absent(proba, graph, np.bincount(labels, minlength=task.n_classes) / len(labels), recipe)
    return Result(proba, X.astype(np.float32), {"temperature": temperature})


def _posteriors(known: Float, labels: Codes, new: Float, n_classes: int, recipe: RobustRecipe) -> Float:
    """Return (n_new, n_classes): the normalised geometric mean of both regressions' posteriors, floored at 1e-9."""
    from sklearn.preprocessing import normalize

    log_posteriors = [
        np.log(logistic_posteriors(a, labels, b, n_classes, C=recipe.C, balance=recipe.balance) + 1e-9)
        for a, b in ((known, new), (normalize(known), normalize(new)))
    ]
    return softmax(np.mean(log_posteriors, axis=0), axis=1)


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
