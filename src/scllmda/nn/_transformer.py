"""One layer of a transformer, whatever its attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import gelu
from torch.utils.checkpoint import checkpoint


class TransformerLayer(nn.Module):
    """Attention, then a feed-forward network with GELU, each with dropout, a residual connection and normalization.

    Parameters
    ----------
    attention
        From (n, length, n_dims), and what else it is called with, to the same shape.
    n_dims
        Width of a token.
    n_hidden
        Width of the feed-forward network.
    dropout
        Share of what attention and the feed-forward network return that is switched off in training.
    norm_first
        Normalize what enters them (pre-LN) instead of the sums that come out (post-LN, as in BERT).
    recompute
        In training, compute the feed-forward network twice, one sequence after the other, instead of keeping its
        activations, which are most of a layer's memory. Gradients are the same.
    """

    def __init__(
        self,
        attention: nn.Module,
        n_dims: int,
        n_hidden: int,
        dropout: float,
        *,
        norm_first: bool = False,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.attention_norm = nn.LayerNorm(n_dims)
        self.up = nn.Linear(n_dims, n_hidden)
        self.down = nn.Linear(n_hidden, n_dims)
        self.norm = nn.LayerNorm(n_dims)
        self.dropout = nn.Dropout(dropout)
        self.norm_first, self.recompute = norm_first, recompute

    def forward(self, x: torch.Tensor, *context: Any, n_first: int | None = None) -> torch.Tensor:
        """Return (n, length, n_dims); ``context`` is handed to the attention.

        With ``n_first`` the first tokens alone are returned, (n, n_first, n_dims), where nobody reads the others any
        more; the attention has to take it too.
        """
        only = {} if n_first is None else {"n_first": n_first}
        kept = x if n_first is None else x[:, :n_first]
        if self.norm_first:
            x = kept + self.dropout(self.attention(self.attention_norm(x), *context, **only))
            return x + self.dropout(self._feed(self.norm(x)))
        x = self.attention_norm(kept + self.dropout(self.attention(x, *context, **only)))
        return self.norm(x + self.dropout(self._feed(x)))

    def _feed(self, x: torch.Tensor) -> torch.Tensor:
        if self.recompute and torch.is_grad_enabled():
            # There is no dropout in it, and no other random number.
            return torch.cat(
                [
                    checkpoint(self._forward_feed, part, use_reentrant=False, preserve_rng_state=False)
                    for part in x.split(1)
                ]
            )
        return self._forward_feed(x)

    def _forward_feed(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(gelu(self.up(x)))
