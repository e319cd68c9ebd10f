"""Attention of all tokens to all others, compared with a dense computation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

from scllmda.nn import MultiHeadAttention, TransformerLayer

N, LENGTH, D, HEADS = 3, 11, 8, 2


def numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def dense_attention(attention: MultiHeadAttention, x: np.ndarray, is_there: np.ndarray) -> np.ndarray:
    """Return softmax(Q_h K_hᵀ / √d_k) V_h, head by head and cell by cell, among the tokens that are there."""
    maps = {
        name: (numbers(getattr(attention, name).weight), numbers(getattr(attention, name).bias))
        for name in ("query", "key", "value", "out")
    }
    found = np.zeros_like(x)
    for cell in range(len(x)):
        Q, K, V = (x[cell] @ W.T + b for W, b in (maps[name] for name in ("query", "key", "value")))
        heads = []
        for head in range(HEADS):
            part = slice(head * D // HEADS, (head + 1) * D // HEADS)
            scores = Q[:, part] @ K[is_there[cell]][:, part].T / np.sqrt(D // HEADS)
            heads.append(softmax(scores, axis=1) @ V[is_there[cell]][:, part])
        found[cell] = np.concatenate(heads, axis=1) @ maps["out"][0].T + maps["out"][1]
    return found


@pytest.fixture
def made() -> tuple[MultiHeadAttention, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MultiHeadAttention(D, HEADS), torch.randn(N, LENGTH, D)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_the_dense_one(made: tuple[MultiHeadAttention, torch.Tensor], masked: bool) -> None:
    attention, x = made
    is_there = np.ones((N, LENGTH), dtype=bool)
    if masked:
        is_there = (np.arange(LENGTH) + np.arange(N)[:, None]) % 3 > 0
    found = attention(x, torch.from_numpy(is_there) if masked else None)
    np.testing.assert_allclose(numbers(found), dense_attention(attention, numbers(x), is_there), atol=1e-5)


def test_what_is_not_there_is_not_read(made: tuple[MultiHeadAttention, torch.Tensor]) -> None:
    attention, x = made
    is_there = (torch.arange(LENGTH) != 4).expand(N, LENGTH)
    other = x.clone()
    other[:, 4] = 99.0
    kept = [i for i in range(LENGTH) if i != 4]
    torch.testing.assert_close(attention(other, is_there)[:, kept], attention(x, is_there)[:, kept])


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_first_tokens_alone_are_those_of_all(
    made: tuple[MultiHeadAttention, torch.Tensor], norm_first: bool
) -> None:
    attention, x = made
    layer = TransformerLayer(attention, D, 2 * D, 0.3, norm_first=norm_first).eval()
    is_there = torch.arange(LENGTH).expand(N, LENGTH) < 9
    first = layer(x, is_there, n_first=2)
    assert first.shape == (N, 2, D)
    torch.testing.assert_close(first, layer(x, is_there)[:, :2])
