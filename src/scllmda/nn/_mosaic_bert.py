"""MosaicBERT, the network of DNABERT-2."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from ._gates import halves


class MosaicBert(nn.Module):
    """BERT with linear attention biases for positions and gated feed-forward blocks.

    Normalization follows each block. There are no positions to run out of, so no longest input. Attention takes
    ``scaled_dot_product_attention`` with an additive mask everywhere: on CPU in fp32, at 64 to 300 tokens, it took
    half to three quarters of the time of matmul, softmax, matmul.

    Parameters
    ----------
    vocab_size, hidden_size, n_layers, n_heads, intermediate_size, n_token_types, layer_norm_eps
        Sizes; DNABERT-2's are 4096, 768, 12, 12, 3072, 2 and 1e-12 (its ``config.json``).

    Notes
    -----
    Portes et al. 2023 (MosaicBERT, arXiv 2312.17482); biases by Press, Smith & Lewis 2022 (ALiBi, arXiv 2108.12409),
    here symmetric; gating by Shazeer 2020 (GEGLU, arXiv 2002.05202), with the exact GELU.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        hidden_size: int,
        n_layers: int,
        n_heads: int,
        intermediate_size: int,
        n_token_types: int,
        layer_norm_eps: float,
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.tokens = nn.Embedding(vocab_size, hidden_size)
        self.token_types = nn.Embedding(n_token_types, hidden_size)
        self.norm = nn.LayerNorm(hidden_size, layer_norm_eps)
        self.layers = nn.ModuleList(
            _Layer(hidden_size, n_heads, intermediate_size, layer_norm_eps) for _ in range(n_layers)
        )

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return the last hidden states.

        Parameters
        ----------
        ids
            (n, length) integers.
        mask
            (n, length), True at tokens and False at padding; None if there is no padding.

        Returns
        -------
        (n, length, hidden_size); the vectors at padding have no meaning.
        """
        x = self.norm(self.tokens(ids) + self.token_types.weight[0])
        bias = alibi_bias(self.n_heads, ids.shape[1], device=x.device, dtype=x.dtype)
        if mask is not None:
            bias = bias.masked_fill(~mask[:, None, None, :], -torch.inf)  # (n, n_heads, length, length)
        for layer in self.layers:
            x = layer(x, bias)
        return x


class _Layer(nn.Module):
    def __init__(self, hidden_size: int, n_heads: int, intermediate_size: int, layer_norm_eps: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size)
        self.attention_out = nn.Linear(hidden_size, hidden_size)
        self.attention_norm = nn.LayerNorm(hidden_size, layer_norm_eps)
        self.gated = nn.Linear(hidden_size, 2 * intermediate_size, bias=False)
        self.out = nn.Linear(intermediate_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size, layer_norm_eps)

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        x = self.attention_norm(x + self.attention_out(self._attend(x, bias)))
        gate, value = halves(self.gated, x)
        return self.norm(x + self.out(gelu(gate) * value))

    def _attend(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.n_heads, -1))  # (n, length, 3, n_heads, d)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)


def alibi_slopes(n_heads: int) -> torch.Tensor:
    """Return the slope of each head.

    For a power of two, the geometric series 2^(-8/n), 2^(-16/n), … 2^-8; else that of the next lower power, then every
    other slope of twice that power (Press, Smith & Lewis 2022).
    """
    power = 1 << (n_heads.bit_length() - 1)
    series = 2.0 ** (-8 / power * torch.arange(1, power + 1))
    between = 2.0 ** (-4 / power * (2 * torch.arange(n_heads - power) + 1))
    return torch.cat([series, between])


@lru_cache(maxsize=4)  # batches come sorted by length
def alibi_bias(n_heads: int, length: int, *, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return the bias of attention scores, −slope × distance between tokens: (1, n_heads, length, length)."""
    with torch.inference_mode(mode=False):  # so that a kept bias also serves a later call that needs gradients
        position = torch.arange(length, device=device)
        distance = (position[:, None] - position).abs()
        return (-alibi_slopes(n_heads).to(device)[:, None, None] * distance).to(dtype)[None]
