"""scLLMDA, from the DNA under the peaks to labels."""

from __future__ import annotations

import numpy as np

from ...graphs import gcn_normalize, symmetric_normalize
from .._cell_network import OF_SPACE, WITHOUT_SEQUENCE, cells_by_network, parts_read
from .._method import Method
from .._task import Result, Task
from ._recipe import ScllmdaRecipe


def label(task: Task, recipe: ScllmdaRecipe) -> Result:
    r"""Annotate with scLLMDA's graph domain adaptation network, the second stage (eq. 4-17).

    Each domain has two graphs of its cells: nearest neighbors A, propagated by D̃^-½ (A + I) D̃^-½, and positive
    pointwise mutual information P of cells met on short random walks, by D^-½ P D^-½. Two graph convolutions with the
    same weights for both graphs and both domains give two views of each cell, which attention fuses. A classifier is
    trained on the reference's labels; a discriminator, whose gradient is reversed, makes the domains alike.

    The cells are scaled as a whole to unit mean square: the learning rate and the number of epochs are published for
    embeddings of that order.
    """
    from ...nn import Domain, pick_device
    from ._network import train_adapter

    reference, query = np.flatnonzero(~task.query), np.flatnonzero(task.query)
    X = task.X_at_unit_scale
    source, target = (
        Domain(
            X[cells],
            gcn_normalize(task.connectivities[cells][:, cells]),
            symmetric_normalize(task.ppmi[cells][:, cells]),
        )
        for cells in (reference, query)
    )
    proba, encoded_source, encoded_target, history = train_adapter(
        source,
        target,
        task.labels[reference],
        task.n_classes,
        recipe,
        seed=task.seed,
        device=pick_device(task.device),
    )
    return Result(proba, task.in_order(encoded_source, encoded_target), history)


SCLLMDA = Method(
    "scllmda",
    label,
    ScllmdaRecipe,
    "Published system: cells by a network on the peaks' DNA (of encoder=, published: DNABERT-2), then graph "
    "convolutions on kNN and PPMI graphs with a domain adversary",
    "Liu et al. 2026, PLoS Comput Biol 22(4):e1014226",
    reads=parts_read,
    represent=cells_by_network,
    of_space=OF_SPACE,
    without_sequence=WITHOUT_SEQUENCE,
)
