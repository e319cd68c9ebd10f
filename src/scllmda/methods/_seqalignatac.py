from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graphs import gcn_normalize
from ._principal_axes import rotate_to_principal_axes
from ._task import Result, Task

ALIGNMENTS = ("adversarial", "mmd")


@dataclass(frozen=True)
class SeqAlignAtacRecipe:
    """Constants of seqAlignATAC (Liu et al. 2025, Bioinformatics, btaf682).

    Where the paper's main text names none, they are those of the released code of A2GNN (Liu et al. 2024, AAAI), the
    network it builds on.
    """

    alignment: str = "adversarial"
    """"adversarial": paper. "mmd": A2GNN's other variant, maximum mean discrepancy; with its published weight it drew
    classes over one another on small simulated data, most of all where reference and query differ in proportions."""
    n_hidden: int = 128
    """Released A2GNN code."""
    n_propagations: int = 10
    """K, on the query; named by no one for cells. A2GNN propagates 30 times on citation graphs. Ours."""
    dropout: float = 0.1
    """Released A2GNN code, adversarial variant."""
    n_epochs: int = 200
    """Released A2GNN code, where it is the most; it may stop early and keeps the best. Ours is fixed, the last kept."""
    adversary_weight: float = 0.001
    """Released A2GNN code; times a schedule from 0 to 1 for what reaches the encoder."""
    adversary_lr: float = 0.1
    """Released A2GNN code, SGD."""
    adversary_momentum: float = 0.9
    """Released A2GNN code."""
    adversary_weight_decay: float = 1e-3
    """Released A2GNN code."""
    mmd_weight: float = 5.0
    """Released A2GNN code."""
    mmd_lr: float = 5e-3
    """Released A2GNN code, Adam."""
    mmd_weight_decay: float = 5e-3
    """Released A2GNN code."""
    mmd_draws: int = 5
    """Released A2GNN code: draws of cells that the discrepancy is averaged over in an epoch."""
    mmd_cells: int = 1000
    """Released A2GNN code: cells of each domain in a draw, with replacement."""

    def __post_init__(self) -> None:
        """Refuse an unknown alignment before any work.

        Raises
        ------
        ValueError
            Unknown alignment, or a negative number of propagations.
        """
        if self.alignment not in ALIGNMENTS:
            msg = f"Unknown alignment {self.alignment!r}; expected one of {list(ALIGNMENTS)}."
            raise ValueError(msg)
        if self.n_propagations < 0:
            msg = f"n_propagations is {self.n_propagations}; expected 0 or more."
            raise ValueError(msg)


def seqalignatac(task: Task, recipe: SeqAlignAtacRecipe) -> Result:
    """Annotate with seqAlignATAC's asymmetric graph network: shallow on the reference, deep on the query.

    As in :func:`scllmda`, the representation is scaled as a whole to unit mean square: the learning rates are published
    for features of that order, and gradient descent takes steps in proportion to them. One factor for all cells leaves
    the difference between the domains to the alignment. The PPMI graph is not read.

    The aligned representation is the encoder's, rotated to its principal axes.
    """
    from ..nn import Adversary, Domain, Mmd, pick_device, train_asymmetric_adapter

    reference, query = np.flatnonzero(~task.query), np.flatnonzero(task.query)
    X = task.X_at_unit_scale
    source, target = (
        Domain(X[cells], gcn_normalize(task.connectivities[cells][:, cells])) for cells in (reference, query)
    )
    alignment = (
        Adversary(
            weight=recipe.adversary_weight,
            lr=recipe.adversary_lr,
            momentum=recipe.adversary_momentum,
            weight_decay=recipe.adversary_weight_decay,
        )
        if recipe.alignment == "adversarial"
        else Mmd(
            weight=recipe.mmd_weight,
            lr=recipe.mmd_lr,
            weight_decay=recipe.mmd_weight_decay,
            n_draws=recipe.mmd_draws,
            n_cells=recipe.mmd_cells,
        )
    )
    proba, encoded_source, encoded_target, history = train_asymmetric_adapter(
        source,
        target,
        task.labels[reference],
        task.n_classes,
        alignment=alignment,
        n_hidden=recipe.n_hidden,
        n_propagations=recipe.n_propagations,
        dropout=recipe.dropout,
        n_epochs=recipe.n_epochs,
        seed=task.seed,
        device=pick_device(task.device),
    )
    encoded = task.in_order(encoded_source, encoded_target)
    return Result(proba, rotate_to_principal_axes(encoded).astype(np.float32), history)
