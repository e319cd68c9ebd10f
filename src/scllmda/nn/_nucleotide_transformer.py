"""The Nucleotide Transformer, both generations."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import gelu, scaled_dot_product_attention, silu

from ._gates import halves

_MASKED_IN_TRAINING = 0.15 * 0.8
"""Share of the tokens that were replaced by <mask> in training: 80 % of the 15 % that were to be predicted (ESM-2, Lin
et al. 2023)."""


class NucleotideTransformer(nn.Module):
    """ESM-style encoder of the Nucleotide Transformer; what differs between its generations is set by three switches.

    Normalization precedes each block, and one more follows the last.

    Parameters
    ----------
    vocab_size, hidden_size, n_layers, n_heads, intermediate_size, n_positions, layer_norm_eps, pad_id, mask_id
        Sizes and token ids, from a checkpoint's ``config.json``.
    rotary
        Rotary positions (v2) instead of learned ones (v1), of which the first ``pad_id + 1`` are never used.
    gated
        SwiGLU without biases (v2) instead of GELU (v1) in the feed-forward blocks.
    token_dropout
        Scale the embeddings as in training, by 0.88 where nothing is masked (v1).

    Notes
    -----
    Dalla-Torre et al. 2025, Nature Methods 22:287; rotary positions by Su et al. 2021 (RoFormer, arXiv 2104.09864).
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        hidden_size: int,
        n_layers: int,
        n_heads: int,
        intermediate_size: int,
        n_positions: int,
        layer_norm_eps: float,
        pad_id: int,
        mask_id: int,
        rotary: bool,
        gated: bool,
        token_dropout: bool,
    ) -> None:
        super().__init__()
        self.pad_id = pad_id
        self.mask_id = mask_id
        self.token_dropout = token_dropout
        self.head_size = hidden_size // n_heads
        self.tokens = nn.Embedding(vocab_size, hidden_size)
        self.positions = None if rotary else nn.Embedding(n_positions, hidden_size)
        self.layers = nn.ModuleList(
            _Layer(hidden_size, n_heads, intermediate_size, layer_norm_eps, gated=gated) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(hidden_size, layer_norm_eps)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return the last hidden states.

        Parameters
        ----------
        ids
            (n, length) integers, padded on the right.
        mask
            (n, length), True at tokens and False at padding; None if there is no padding.

        Returns
        -------
        (n, length, hidden_size); the vectors at padding have no meaning.
        """
        x = self.embed(ids, mask)
        rotation = None
        if self.positions is None:
            rotation = rotary_angles(ids.shape[1], self.head_size, device=ids.device)
        attended = None if mask is None else mask[:, None, None, :]
        for layer in self.layers:
            x = layer(x, attended, rotation)
        return self.norm(x)

    def embed(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return the embeddings of tokens and positions, which enter the first layer, (n, length, hidden_size)."""
        x = self.tokens(ids)
        if self.token_dropout:
            masked = ids == self.mask_id
            n_tokens = ids.shape[1] if mask is None else mask.sum(dim=1)
            scale = (1 - _MASKED_IN_TRAINING) / (1 - masked.sum(dim=1) / n_tokens)
            x = x.masked_fill(masked[:, :, None], 0) * scale[:, None, None]
        if self.positions is not None:
            x = x + self.positions.weight[self.pad_id + 1 : self.pad_id + 1 + ids.shape[1]]
        return x


class _Layer(nn.Module):
    def __init__(
        self, hidden_size: int, n_heads: int, intermediate_size: int, layer_norm_eps: float, *, gated: bool
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.gated = gated
        self.attention_norm = nn.LayerNorm(hidden_size, layer_norm_eps)
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size)
        self.attention_out = nn.Linear(hidden_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size, layer_norm_eps)
        self.up = nn.Linear(hidden_size, intermediate_size * (2 if gated else 1), bias=not gated)
        self.down = nn.Linear(intermediate_size, hidden_size, bias=not gated)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None, rotation: tuple[torch.Tensor, torch.Tensor] | None
    ) -> torch.Tensor:
        x = x + self.attention_out(self._attend(self.attention_norm(x), mask, rotation))
        return x + self.down(self._activate(self.norm(x)))

    def _attend(
        self, x: torch.Tensor, mask: torch.Tensor | None, rotation: tuple[torch.Tensor, torch.Tensor] | None
    ) -> torch.Tensor:
        q, k, v = (
            project(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )  # (n, n_heads, length, d)
        if rotation is not None:
            q, k = _rotate(q, *rotation), _rotate(k, *rotation)
        return scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)

    def _activate(self, x: torch.Tensor) -> torch.Tensor:
        if not self.gated:
            return gelu(self.up(x))
        gate, value = halves(self.up, x)
        return silu(gate) * value


def rotary_angles(length: int, head_size: int, *, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosine and sine of the angles, position · 10000^(−2i/d), twice side by side: (length, head_size) each."""
    frequencies = 10000.0 ** (-torch.arange(0, head_size, 2, device=device) / head_size)
    angles = torch.outer(torch.arange(length, device=device), frequencies).repeat(1, 2)
    return angles.cos(), angles.sin()


def _rotate(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    turned = x * cosine + torch.cat([-second, first], dim=-1) * sine
    return turned.to(x.dtype)  # the angles are fp32 also under autocast
