from __future__ import annotations

from dataclasses import dataclass

from .._cell_network import CellNetworkRecipe

ALIGNMENTS = ("adversarial", "mmd")


@dataclass(frozen=True)
class SeqAlignAtacRecipe(CellNetworkRecipe):
    """Constants of both stages of seqAlignATAC (Liu et al. 2025, Bioinformatics, btaf682).

    Its paper names none. Those of the first stage are scLLMDA's, which has the same network; those of the second are
    from the released code of A2GNN (Liu et al. 2024, AAAI), the network that it builds on.
    """

    alignment: str = "adversarial"
    """How domains are made alike, by an "adversarial" discriminator as in the paper, or by the maximum mean discrepancy
    ("mmd"), A2GNN's other variant. With its published weight that drew classes over one another on small simulated
    data, most of all where reference and query differ in proportions."""
    n_hidden: int = 128
    """Width of both graph convolutions; released A2GNN code."""
    n_propagations: int = 10
    """K, propagations of the second convolution on the query. It is ours, as the paper names no number, and A2GNN's 30
    is for citation graphs."""
    dropout: float = 0.1
    """Share of units switched off after the first convolution; released A2GNN code, adversarial variant."""
    n_epochs: int = 200
    """Epochs of the second stage; in the released A2GNN code as many at most, of which it keeps the best. Ours are
    fixed, and the last is kept."""
    adversary_weight: float = 0.001
    """λ, the weight of the domain loss beside that of the labels; released A2GNN code. What reaches the encoder of it
    grows from 0 to 1 times that (eq. 20)."""
    adversary_lr: float = 0.1
    """Learning rate of gradient descent; released A2GNN code."""
    adversary_momentum: float = 0.9
    """Momentum of gradient descent; released A2GNN code."""
    adversary_weight_decay: float = 1e-3
    """Ridge penalty of all weights; released A2GNN code."""
    mmd_weight: float = 5.0
    """Weight of the discrepancy beside the loss of the labels; released A2GNN code."""
    mmd_lr: float = 5e-3
    """Learning rate of Adam; released A2GNN code."""
    mmd_weight_decay: float = 5e-3
    """Ridge penalty of all weights; released A2GNN code."""
    mmd_draws: int = 5
    """Draws of cells that the discrepancy is averaged over in an epoch; released A2GNN code."""
    mmd_cells: int = 1000
    """Cells of each domain in a draw, with replacement; released A2GNN code."""

    def __post_init__(self) -> None:
        """Refuse what there is not before any work.

        Raises
        ------
        ValueError
            Unknown alignment, or space of cells; a negative number of propagations.
        """
        super().__post_init__()
        if self.alignment not in ALIGNMENTS:
            msg = f"Unknown alignment {self.alignment!r}; expected one of {list(ALIGNMENTS)}."
            raise ValueError(msg)
        if self.n_propagations < 0:
            msg = f"n_propagations is {self.n_propagations}; expected 0 or more."
            raise ValueError(msg)
