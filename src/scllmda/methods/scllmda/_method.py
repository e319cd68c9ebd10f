"""scLLMDA, from the DNA under the peaks to labels.

First stage (``represent``, eq. 1-3): every peak i has a vector z_i of its DNA, published of DNABERT-2. A network
predicts from it which cells open the peak, Ŷ = σ(MLP(Z) W_o + b_o), and is trained by cross-entropy on reference and
query cells together; column j of W_o is the vector of cell j. It is ``methods/_cell_network.py``, shared with
seqAlignATAC.

Between the stages (``Task``): a graph of nearest neighbors within reference and query each, and the positive pointwise
mutual information of cells that meet on short random walks on it (eq. 5-8).

Second stage (``label``, eq. 4 and 9-17): graph convolutions on both graphs carry the labels over, here and in
``_network.py``.
"""

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
