from __future__ import annotations

from dataclasses import dataclass

from .._cell_network import CellNetworkRecipe


@dataclass(frozen=True)
class ScllmdaRecipe(CellNetworkRecipe):
    """Constants of both stages of scLLMDA (Liu et al. 2026, PLoS Comput Biol 22(4):e1014226)."""

    n_hidden: int = 100
    """Width of the first graph convolution; paper (architecture 100-16)."""
    n_out: int = 16
    """Width of the second, and of the aligned representation; paper."""
    n_discriminator: int = 40
    """Width of the domain discriminator's hidden layer; released code."""
    dropout: float = 0.1
    """Share of units switched off between the convolutions, and in the discriminator; released code."""
    lr: float = 3e-3
    """Learning rate of Adam; paper."""
    domain_weight: float = 1.0
    """λ, the weight of the domain loss beside that of the labels; the paper recommends 0.9 to 1.1."""
    max_rate: float = 0.05
    """Largest factor of the reversed gradient; released code."""
    rate_epochs: int = 200
    """The factor is (epoch + 1) / ``rate_epochs`` until it reaches ``max_rate``; released code."""
    n_epochs: int = 55
    """Epochs of the second stage; paper, for three of its six sources. Its numbers for the others (122 and 22) were
    chosen knowing the result; ours is fixed."""
