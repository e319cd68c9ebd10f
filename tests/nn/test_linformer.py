"""The blocks of language models over peaks, compared with dense computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import erf, softmax

from scllmda.nn import LinformerAttention, PositionedValues, TransformerLayer

N, LENGTH, D, HEADS, K = 3, 11, 8, 2, 5


def numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def dense_attention(
    attention: LinformerAttention, x: np.ndarray, E: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """Return annATAC's eq. 2 head by head: softmax(Q_h (E K_h)ᵀ / √d_k) E V_h, with the same E for keys and values."""
    found = np.zeros_like(x)
    for cell in range(len(x)):
        known = np.ones(x.shape[1], dtype=bool) if mask is None else np.broadcast_to(mask, x.shape[:2])[cell]
        heads = []
        for head in range(HEADS):
            part = slice(head * D // HEADS, (head + 1) * D // HEADS)
            Q = x[cell] @ numbers(attention.query.weight)[part].T + numbers(attention.query.bias)[part]
            K_h = x[cell] @ numbers(attention.key.weight)[part].T
            V_h = x[cell] @ numbers(attention.value.weight)[part].T
            short_k, short_v = E[known].T @ K_h[known], E[known].T @ V_h[known]
            heads.append(softmax(Q @ short_k.T / np.sqrt(D // HEADS), axis=1) @ short_v)
        out = np.concatenate(heads, axis=1)
        found[cell] = out @ numbers(attention.out.weight).T + numbers(attention.out.bias)
    return found


@pytest.fixture
def made() -> tuple[LinformerAttention, torch.Tensor, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LinformerAttention(D, HEADS), torch.randn(N, LENGTH, D), torch.randn(LENGTH, K)


@pytest.mark.parametrize("masked", ["none", "one for all", "one per cell"])
def test_attention_is_the_dense_one(made: tuple[LinformerAttention, torch.Tensor, torch.Tensor], masked: str) -> None:
    attention, x, E = made
    masks = {
        "none": None,
        "one for all": np.arange(LENGTH) % 3 > 0,
        "one per cell": (np.arange(LENGTH) + np.arange(N)[:, None]) % 3 > 0,
    }
    mask = masks[masked]
    expected = dense_attention(attention, numbers(x), numbers(E), mask)
    found = attention(x, E, None if mask is None else torch.from_numpy(mask))
    np.testing.assert_allclose(numbers(found), expected, atol=1e-5)


def test_what_is_masked_is_not_read(made: tuple[LinformerAttention, torch.Tensor, torch.Tensor]) -> None:
    attention, x, E = made
    mask = torch.arange(LENGTH) != 4
    other = x.clone()
    other[:, 4] = 99.0
    kept = [i for i in range(LENGTH) if i != 4]
    torch.testing.assert_close(attention(other, E, mask)[:, kept], attention(x, E, mask)[:, kept])


def normalized(x: np.ndarray, norm: torch.nn.LayerNorm) -> np.ndarray:
    centered = x - x.mean(axis=-1, keepdims=True)
    scaled = centered / np.sqrt(np.mean(centered**2, axis=-1, keepdims=True) + norm.eps)
    return scaled * numbers(norm.weight) + numbers(norm.bias)


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_layer_is_the_dense_one(
    made: tuple[LinformerAttention, torch.Tensor, torch.Tensor], norm_first: bool
) -> None:
    attention, x, E = made
    layer = TransformerLayer(attention, D, 2 * D, 0.3, norm_first=norm_first).eval()
    X, M = numbers(x), numbers(E)

    def feed(h: np.ndarray) -> np.ndarray:
        h = h @ numbers(layer.up.weight).T + numbers(layer.up.bias)
        h = h * (1 + erf(h / np.sqrt(2))) / 2
        return h @ numbers(layer.down.weight).T + numbers(layer.down.bias)

    if norm_first:
        X = X + dense_attention(attention, normalized(X, layer.attention_norm), M)
        X = X + feed(normalized(X, layer.norm))
    else:
        X = normalized(X + dense_attention(attention, X, M), layer.attention_norm)
        X = normalized(X + feed(X), layer.norm)
    np.testing.assert_allclose(numbers(layer(x, E)), X, atol=1e-4)


def test_recomputing_does_not_change_gradients(made: tuple[LinformerAttention, torch.Tensor, torch.Tensor]) -> None:
    attention, x, E = made
    gradients = []
    for recompute in (False, True):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            layer = TransformerLayer(attention, D, 2 * D, 0.3, recompute=recompute)
            layer.zero_grad()
            layer(x, E).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in layer.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_a_token_is_its_value_at_its_place() -> None:
    positions = torch.arange(8.0).reshape(4, 2)
    tokens = PositionedValues(3, positions)
    ids = torch.tensor([[0, 2, 1, 0]])
    torch.testing.assert_close(tokens(ids)[0], tokens.values.weight[ids[0]] + positions)
    assert not [name for name, _ in tokens.named_parameters() if "positions" in name], "positions are not trained"
    assert "positions" in tokens.state_dict()
