from __future__ import annotations

import torch
from torch import nn

from scllmda.nn._gates import halves


def test_halves_are_those_of_the_layer() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(8, 12, bias=False), torch.randn(3, 5, 8)
    with torch.inference_mode():
        whole = halves(layer, x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            split = halves(layer, x)
            expected = layer(x).chunk(2, dim=-1)
    assert torch.equal(torch.cat(whole, dim=-1), layer(x))
    for found, of_layer in zip(split, expected, strict=True):
        assert found.is_contiguous()
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found, of_layer)
