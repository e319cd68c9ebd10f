"""Attention whose cost grows with the length of the sequence, not with its square."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


class LinformerAttention(nn.Module):
    """Multi-head attention to k mixtures of the tokens, which a projection along the sequence makes.

    With one projection E (length, k) for keys and values, and for all heads, it is
    softmax(Q (EᵀK)ᵀ / √d) EᵀV (Linformer, Wang et al. 2020, eq. 7; annATAC, eq. 2). Keys and values are linear in the
    tokens and have no bias, so that Eᵀ(X W) = (EᵀX) W: the tokens are projected once, before keys and values are made
    of them, which leaves no array of the sequence's length to keep but the queries.

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
        self.key = nn.Linear(n_dims, n_dims, bias=False)
        self.value = nn.Linear(n_dims, n_dims, bias=False)
        self.out = nn.Linear(n_dims, n_dims)

    def forward(self, x: torch.Tensor, projection: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return what each token gathers, (n, length, n_dims).

        Parameters
        ----------
        x
            (n, length, n_dims) tokens.
        projection
            (length, k); layers may share it, so that it belongs to the network.
        mask
            (length,) or (n, length), True at tokens that may be attended to; None for all.
        """
        attended = x if mask is None else x * mask.unsqueeze(-1)
        mixtures = projection.T @ attended  # (n, k, n_dims)
        q, k, v = (
            tokens.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for tokens in (self.query(x), self.key(mixtures), self.value(mixtures))
        )  # (n, n_heads, length or k, d)
        return self.out(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
