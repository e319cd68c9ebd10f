"""Gated linear units (Shazeer 2020, arXiv 2002.05202): a gate and a value from one layer."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import linear


def halves(layer: nn.Linear, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first and the second half of what a linear layer without bias gives, (…, n / 2) each.

    In half precision, as on a GPU, each half is a product of its own, so that it lies together in memory: a network of
    DNABERT-2's size then takes nine tenths of the time.
    """
    kind = x.device.type
    if not torch.is_autocast_enabled(kind):
        gate, value = layer(x).chunk(2, dim=-1)
    else:
        half = x.to(torch.get_autocast_dtype(kind))  # once for both
        gate, value = (linear(half, weight) for weight in layer.weight.chunk(2))
    return gate, value
