"""The network: what order, padding and company change, which is nothing, and what a dense computation gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import erf, expit, log_expit, softmax
from tests.methods.epifoundation._cells import cells, encoder, recipe
from torch import nn

from scllmda.methods.epifoundation._network import (
    LONGER,
    SHORT,
    AlignedGenes,
    CellClassifier,
    GeneDecoder,
    PeakSetEncoder,
    alike,
)


def numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def linear(x: np.ndarray, layer: nn.Linear) -> np.ndarray:
    y = x @ numbers(layer.weight).T
    return y if layer.bias is None else y + numbers(layer.bias)


def normalized(x: np.ndarray, norm: nn.LayerNorm) -> np.ndarray:
    centered = x - x.mean(axis=-1, keepdims=True)
    scaled = centered / np.sqrt(np.mean(centered**2, axis=-1, keepdims=True) + norm.eps)
    return scaled * numbers(norm.weight) + numbers(norm.bias)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + erf(x / np.sqrt(2))) / 2


def dense(network: PeakSetEncoder, ids: np.ndarray) -> np.ndarray:
    """Return the state of [CLS] of one set, all tokens of all layers being computed (eq. 2-6)."""
    tokens = numbers(network.peaks.weight)[ids] + numbers(network.contigs.weight)[network.contig.numpy()[ids]]
    x = np.concatenate([numbers(network.cls)[None], tokens])
    for layer in network.layers:
        attention = layer.attention
        h = normalized(x, layer.attention_norm)
        heads = [
            np.split(linear(h, m), attention.n_heads, axis=1) for m in (attention.query, attention.key, attention.value)
        ]
        mixed = [softmax(q @ k.T / np.sqrt(q.shape[1]), axis=1) @ v for q, k, v in zip(*heads, strict=True)]
        x = x + linear(np.concatenate(mixed, axis=1), attention.out)
        x = x + linear(gelu(linear(normalized(x, layer.norm), layer.up)), layer.down)
    return normalized(x, network.norm)[0]


@pytest.fixture
def made() -> tuple[PeakSetEncoder, torch.Tensor, torch.Tensor]:
    data, _ = cells()
    network = encoder(data, recipe(dropout=0.5)).eval()
    # Sets of very different lengths, an empty one among them.
    lengths = torch.tensor([3, 0, 400, 70, 150, 1, 90])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        nn.init.normal_(network.peaks.weight)
        return network, torch.randint(0, 60, (int(lengths.sum()),)), lengths


def test_is_the_dense_one(made: tuple[PeakSetEncoder, torch.Tensor, torch.Tensor]) -> None:
    network, ids, lengths = made
    expected = [dense(network, part.numpy()) for part in ids.split(lengths.tolist())]
    np.testing.assert_allclose(numbers(network(ids, lengths)), expected, atol=1e-4)


def test_the_order_of_peaks_changes_nothing(made: tuple[PeakSetEncoder, torch.Tensor, torch.Tensor]) -> None:
    network, ids, lengths = made
    mixed = torch.cat([part[torch.randperm(len(part))] for part in ids.split(lengths.tolist())])
    assert (mixed != ids).any()
    torch.testing.assert_close(network(mixed, lengths), network(ids, lengths), atol=1e-5, rtol=1e-4)


def test_company_and_padding_change_nothing(made: tuple[PeakSetEncoder, torch.Tensor, torch.Tensor]) -> None:
    network, ids, lengths = made
    together = network(ids, lengths)
    for i, part in enumerate(ids.split(lengths.tolist())):
        alone = network(part, lengths[i : i + 1])
        torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=1e-4)


def test_sets_of_like_lengths_are_computed_with_together() -> None:
    lengths = torch.tensor([500, 3, 400, 60, 0, 100, 350, 12_000])
    groups = [lengths[group].tolist() for group in alike(lengths)]
    assert groups == [[12_000], [500, 400, 350], [100], [60, 3, 0]]
    rng = np.random.default_rng(0)
    drawn = torch.from_numpy(rng.integers(0, 3000, 200))
    groups = [drawn[group] for group in alike(drawn)]
    assert sum(map(len, groups)) == 200
    for group in groups:
        assert group.max() <= max(SHORT, LONGER * group.min())


def test_cost_grows_with_open_peaks_and_not_with_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that the layers compute are counted."""
    from torch.utils.flop_counter import FlopCounterMode

    def cost(n_vocabulary: int, n_open: int) -> int:
        data, _ = cells(n_peaks=n_vocabulary)
        network = encoder(data, recipe(n_layers=1)).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.arange(n_open), torch.tensor([n_open]))
        return counter.get_total_flops()

    assert cost(600, 100) == cost(6000, 100)
    # With one layer the cost is that of the tokens, not of their pairs.
    assert cost(6000, 4000) < 42 * cost(6000, 100)


def test_a_gene_s_number_is_that_of_a_network_on_both() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder, states = GeneDecoder(7, 10, 6), torch.randn(3, 10)
        nn.init.normal_(decoder.bias)
    W = np.concatenate([numbers(decoder.of_cell.weight), numbers(decoder.of_gene.weight)], axis=1)
    expected = np.empty((3, 7))
    for cell in range(3):
        for gene in range(7):
            both = np.concatenate([numbers(states)[cell], numbers(decoder.genes.weight)[gene]])
            hidden = gelu(W @ both + numbers(decoder.of_cell.bias))
            expected[cell, gene] = linear(hidden, decoder.out)[0] + numbers(decoder.bias)[gene]
    np.testing.assert_allclose(numbers(decoder.all(states)), expected, atol=1e-5)
    at = torch.tensor([[2, 6], [0, 1], [2, 0]])
    np.testing.assert_allclose(numbers(decoder(states, at)), expected[[2, 0, 2], [6, 1, 0]], atol=1e-5)


def test_loss_is_the_sum_of_the_log_probabilities_of_the_answers() -> None:
    data, _ = cells()
    network = AlignedGenes(encoder(data, recipe()), 5, 3).eval()
    ids, lengths = map(torch.from_numpy, data.sets(np.arange(4)))
    batch, at = torch.tensor([0, 2, 1, 0]), torch.tensor([[0, 4], [3, 1], [2, 2]])
    states = torch.cat([network.encoder(ids, lengths), network.batches(batch)], dim=1)
    logits = numbers(network.decoder(states, at))
    expected = -(log_expit(logits[0]) + log_expit(-logits[1]) + log_expit(logits[2]))
    found = network(ids, lengths, batch, at, torch.tensor([1, 0, 1], dtype=torch.uint8))
    np.testing.assert_allclose(found.item(), expected, rtol=1e-5)
    mean = network.batches.weight.mean(dim=0).expand(4, -1)
    of_mean = numbers(network.decoder.all(torch.cat([network.encoder(ids, lengths), mean], dim=1)))
    np.testing.assert_allclose(numbers(network.probability(network.encoder(ids, lengths))), expit(of_mean), atol=1e-6)


def test_labels_and_states_of_a_classifier() -> None:
    data, _ = cells()
    network = CellClassifier(encoder(data, recipe()), 3).eval()
    ids, lengths = map(torch.from_numpy, data.sets(np.arange(4)))
    logits, states = network(ids, lengths)
    torch.testing.assert_close(states, network.encoder(ids, lengths))
    expected = linear(gelu(linear(numbers(states), network.hidden)), network.classify)
    np.testing.assert_allclose(numbers(logits), expected, atol=1e-5)
