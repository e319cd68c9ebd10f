"""seqAlignATAC, from the DNA under the peaks to labels.

First stage (``represent``, eq. 1-5): every peak has a vector of its DNA, published of Nucleotide Transformer. A network
predicts from it which cells open the peak, and is trained by cross-entropy on reference and query cells together; the
weights of a cell's output unit are its vector. It is ``methods/_cell_network.py``, shared with scLLMDA, whose constants
stand for those that the paper does not name.

Between the stages (``Task``): a graph of nearest neighbors within reference and query each (eq. 6-7).

Second stage (``label``, eq. 8-21): one graph network, shallow on the reference and deep on the query, carries the
labels over, here and in ``_network.py``.
"""

from __future__ import annotations

import numpy as np

from ...graphs import gcn_normalize
from .._cell_network import OF_SPACE, WITHOUT_SEQUENCE, cells_by_network, parts_read
from .._method import Method
from .._principal_axes import rotate_to_principal_axes
from .._task import Result, Task
from ._recipe import SeqAlignAtacRecipe


def label(task: Task, recipe: SeqAlignAtacRecipe) -> Result:
    """Annotate with seqAlignATAC's asymmetric graph network, the second stage (eq. 6-21).

    One network with the same weights for both domains: a graph convolution, then a second one that does not propagate
    on the reference, where labels say enough, and propagates K times on the query, where only neighbors do. A
    classifier is trained on the reference's labels; a discriminator whose gradient is reversed, or the maximum mean
    discrepancy, makes the domains alike.

    As in scLLMDA, the cells are scaled as a whole to unit mean square: the learning rates are published for features of
    that order, and gradient descent takes steps in proportion to them. One factor for all cells leaves the difference
    between the domains to the alignment. The PPMI graph is not read. The aligned representation is the encoder's,
    rotated to its principal axes.
    """
    from ...nn import Domain, pick_device
    from ._network import train_asymmetric_adapter

    reference, query = np.flatnonzero(~task.query), np.flatnonzero(task.query)
    X = task.X_at_unit_scale
    source, target = (
        Domain(X[cells], gcn_normalize(task.connectivities[cells][:, cells])) for cells in (reference, query)
    )
    proba, encoded_source, encoded_target, history = train_asymmetric_adapter(
        source,
        target,
        task.labels[reference],
        task.n_classes,
        recipe,
        seed=task.seed,
        device=pick_device(task.device),
    )
    encoded = task.in_order(encoded_source, encoded_target)
    return Result(proba, rotate_to_principal_axes(encoded).astype(np.float32), history)


SEQALIGNATAC = Method(
    "seqalignatac",
    label,
    SeqAlignAtacRecipe,
    "Published system: cells by a network on the peaks' DNA (of encoder=, published: Nucleotide Transformer), then "
    "graph convolutions shallow on the reference and deep on the query, with a domain adversary or MMD",
    "Liu et al. 2025, Bioinformatics, btaf682",
    reads=parts_read,
    represent=cells_by_network,
    of_space=OF_SPACE,
    without_sequence=WITHOUT_SEQUENCE,
)
