"""Expression of cells whose open peaks alone are known: the one shape that its methods have, and the way to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._pretraining import Expression, Unlabeled
from ._run import with_place
from ._task import Source, Task

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Predicted:
    """What a method says of the expression of cells."""

    values: NDArray[np.float32]
    """(n_cells, n_genes)."""
    genes: tuple[str, ...]
    """(n_genes,) names."""
    is_probability: bool = False
    """Whether values are probabilities that a gene is expressed; else they are log of 1 + counts per 10,000."""
    history: Mapping[str, Any] = field(default_factory=dict)
    """Losses or fitted constants, numbers or lists of numbers."""


@dataclass(frozen=True)
class ExpressionMethod:
    """A method that foretells expression, and what to know of it."""

    name: str
    """As in ``method=`` and in ``.uns``."""
    predict: Callable[[Task, Expression, Any], Predicted]
    """From a task whose reference cells are of one class, their expression in the order of the task, and the recipe,
    to that of the query's cells."""
    recipe: type
    """Frozen dataclass of its constants, each with its source."""
    description: str
    citation: str
    reads: frozenset[str]
    """Parts of the source (see ``PARTS``) that it reads."""
    predict_by_weights: Callable[[Unlabeled, Any, str], Predicted] | None = None
    """From cells, the recipe with ``weights``, and a torch device, without any reference. None: it has no weights."""


def predict_expression(
    source: Source,
    query: NDArray[np.bool_],
    expression: Expression,
    *,
    method: ExpressionMethod,
    recipe: Any,
    rng: np.random.Generator,
    device: str,
) -> tuple[Predicted, NDArray[np.bool_]]:
    """Foretell the expression of query cells from reference cells that both were measured of.

    Parameters
    ----------
    source
        Of reference and query.
    query
        (n_cells,) whether a cell is of the query.
    expression
        Of the reference's cells, in their order in the source.
    method, recipe
        See ``EXPRESSION_METHODS`` and ``make_expression_recipe``.
    rng
        All randomness.
    device
        Torch device.

    Returns
    -------
    Of the query's cells in their order in the source; and whether each of them has an open peak among those that are
    read. Cells without one get the mean of the reference.

    Raises
    ------
    ValueError
        No reference cell, or no query cell, has an open peak.
    """
    everyone = Task(source, method.reads, np.arange(len(query)), -query.astype(np.intp), 1, rng, device=device)
    task = with_place(everyone)
    of_reference = np.flatnonzero(~query)
    known = np.flatnonzero(np.isin(of_reference, task.at))
    found = method.predict(task, Expression(sp.csr_matrix(expression.values[known]), expression.genes), recipe)
    seen = np.isin(np.flatnonzero(query), task.at)
    mean = np.asarray(expression.values.mean(axis=0), dtype=np.float32).reshape(1, -1)
    values = np.repeat(mean, len(seen), axis=0)
    values[seen] = found.values
    return Predicted(values, found.genes, found.is_probability, found.history), seen
