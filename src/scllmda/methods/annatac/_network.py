"""The encoder of islands, and what follows it in pre-training and in training on labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ...nn import LinformerAttention, PositionedValues, TransformerLayer
from .._presets import OfRecipe
from ._tokens import Tokens

HEAD = (512, 128)
"""Widths of the classifier's hidden layers; released code."""


@dataclass(frozen=True)
class Sizes(OfRecipe):
    """What the shape of an encoder depends on, besides the number of islands."""

    n_dims: int
    n_layers: int
    n_heads: int
    n_projected: int
    n_hidden: int
    n_values: int
    share_projection: bool

    @property
    def multiplications_per_token(self) -> int:
        """Of a forward pass through all layers."""
        return self.n_layers * self.n_dims * 2 * (self.n_dims + self.n_projected + self.n_hidden)


class IslandEncoder(nn.Module):
    """Value and position of each island, and layers of Linformer attention, normalized after each (post-LN)."""

    def __init__(self, positions: torch.Tensor, sizes: Sizes, *, dropout: float, recompute: bool) -> None:
        super().__init__()
        self.tokens = PositionedValues(len(Tokens(sizes.n_values)), positions)
        n_projections = 1 if sizes.share_projection else sizes.n_layers
        length = len(positions)
        # Of this scale the mixtures of tokens have the tokens' own.
        self.projections = nn.ParameterList(
            torch.randn(length, sizes.n_projected) / length**0.5 for _ in range(n_projections)
        )
        self.layers = nn.ModuleList(
            TransformerLayer(
                LinformerAttention(sizes.n_dims, sizes.n_heads),
                sizes.n_dims,
                sizes.n_hidden,
                dropout,
                recompute=recompute,
            )
            for _ in range(sizes.n_layers)
        )

    def forward(self, ids: torch.Tensor, is_there: torch.Tensor | None = None) -> torch.Tensor:
        """Return (n, n_islands, n_dims).

        Parameters
        ----------
        ids
            (n, n_islands) tokens.
        is_there
            (n_islands,) whether the data have an island; others are not attended to. None: all.
        """
        x = self.tokens(ids.int())
        for i, layer in enumerate(self.layers):
            x = layer(x, self.projections[i % len(self.projections)], is_there)
        return x


class MaskedIslands(nn.Module):
    """The encoder in pre-training: a fully connected layer foretells the class of masked islands."""

    def __init__(self, encoder: IslandEncoder, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = encoder
        self.predict = nn.Linear(sizes.n_dims, sizes.n_values)

    def forward(self, ids: torch.Tensor, at: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy, summed over all masks of all cells (eq. 3).

        Parameters
        ----------
        ids
            (n, n_islands) tokens, some of them masked.
        at
            (n_masks, 2) cell and island of each mask.
        classes
            (n_masks,) the class of openness there, 1 or more.
        """
        x = self.encoder(ids)[at[:, 0], at[:, 1]]
        return cross_entropy(self.predict(x), classes.long() - 1, reduction="sum")


class CellClassifier(nn.Module):
    """The encoder in training on labels: one number per island, then fully connected layers.

    The published convolution of kernel (1, n_dims) over islands × dimensions with one channel is a linear map of each
    island's dimensions to a number.
    """

    def __init__(self, encoder: IslandEncoder, n_dims: int, n_islands: int, n_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.squeeze = nn.Linear(n_dims, 1)
        self.first = nn.Linear(n_islands, HEAD[0])
        self.second = nn.Linear(HEAD[0], HEAD[1])
        self.classify = nn.Linear(HEAD[1], n_classes)

    def forward(self, ids: torch.Tensor, is_there: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (n, n_classes), and the second hidden layer (n, 128) before its ReLU, where cells are compared.

        Parameters
        ----------
        ids, is_there
            See :class:`IslandEncoder`; islands that are not there count 0.
        """
        x = torch.relu(self.squeeze(self.encoder(ids, is_there)).squeeze(-1))
        if is_there is not None:
            x = x * is_there
        aligned = self.second(torch.relu(self.first(x)))
        return self.classify(torch.relu(aligned)), aligned
