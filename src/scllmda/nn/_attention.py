"""Attention of each token to all others, with memory that grows with their number and not with its square."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


class MultiHeadAttention(nn.Module):
    """Multi-head attention, softmax(Q Kᵀ / √d) V in each head (Vaswani et al. 2017, eq. 1).

    PyTorch's scaled dot-product attention computes it in tiles, so that no array of length × length is kept.

    Parameters
    ----------
    n_dims
        Width of a token.
    n_heads
        Number of heads, which divides it.
    """

    def __init__(self, n_dims: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(n_dims, n_dims)
        self.key = nn.Linear(n_dims, n_dims)
        self.value = nn.Linear(n_dims, n_dims)
        self.out = nn.Linear(n_dims, n_dims)

    def forward(
        self, x: torch.Tensor, is_there: torch.Tensor | None = None, *, n_first: int | None = None
    ) -> torch.Tensor:
        """Return what each token gathers, (n, length, n_dims).

        Parameters
        ----------
        x
            (n, length, n_dims) tokens.
        is_there
            (n, length), True at tokens that may be attended to, one of each sequence at least; None for all. What
            stands at the others changes nothing.
        n_first
            Return this for the first tokens of each sequence alone, at a cost that grows with the length.
        """
        q, k, v = (
            tokens.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for tokens in (self.query(x[:, :n_first]), self.key(x), self.value(x))
        )  # (n, n_heads, length, d)
        mask = None if is_there is None else is_there[:, None, None, :]
        return self.out(scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))
