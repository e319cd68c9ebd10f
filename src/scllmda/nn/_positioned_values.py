"""Tokens that are a value at a known place."""

from __future__ import annotations

import torch
from torch import nn


class PositionedValues(nn.Module):
    """The embedding of a value, which is learned, plus the embedding of its place, which is given and stays.

    Parameters
    ----------
    n_tokens
        Number of values, with those that stand for no value (mask, padding).
    positions
        (length, n_dims) embeddings of the places.
    """

    positions: torch.Tensor

    def __init__(self, n_tokens: int, positions: torch.Tensor) -> None:
        super().__init__()
        self.values = nn.Embedding(n_tokens, positions.shape[1])
        self.register_buffer("positions", positions)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return (n, length, n_dims) of ids (n, length) of values, one for each place."""
        return self.values(ids) + self.positions
