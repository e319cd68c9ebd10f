"""Training on labels: a fixed held-out part, the best network kept, predictions that no batch changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.nn.functional import cross_entropy

from scllmda.methods import make_recipe
from scllmda.methods._finetuning import hold_out
from scllmda.methods.annatac import _finetune
from scllmda.methods.annatac._finetune import begin_with_openness, class_weights, predict, train_classifier
from scllmda.methods.annatac._network import CellClassifier, MaskedIslands, Sizes
from scllmda.methods.annatac._pretrain import make_network
from scllmda.methods.annatac._tokens import IslandCells, Tokens, canonical

TOKENS = Tokens(5)


def recipe(**changes: Any) -> Any:
    return make_recipe("annatac", {"preset": "small", "n_layers": 1, "n_epochs": 12, **changes})


def cells(n_cells: int = 90, n_islands: int = 60) -> tuple[IslandCells, np.ndarray]:
    """Return cells of three types, each with islands of its own."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(n_cells) % 3)
    openness = np.where(np.arange(n_islands) % 3 == labels[:, None], 1.0, 0.2)
    X = np.minimum(rng.poisson(openness), 5).astype(np.uint8)
    names = tuple(map(str, range(n_islands)))
    return IslandCells(canonical(sp.csr_matrix(X)), names, np.ones(n_islands, dtype=bool)), labels


def network(data: IslandCells, settings: Any) -> CellClassifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = make_network(data.values, Sizes.of(settings), settings).encoder
        return CellClassifier(encoder, settings.n_dims, len(data.names), 3)


def train(data: IslandCells, labels: np.ndarray, settings: Any, seed: int = 0) -> tuple[CellClassifier, dict[str, Any]]:
    made = network(data, settings)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        return made, train_classifier(made, data, labels, 3, TOKENS, settings, rng=rng, device="cpu")


@pytest.mark.parametrize(("min_steps", "passes"), [(1, 1), (8, 3)])
def test_held_out_cells_are_the_same_in_every_epoch_and_others_learned_in_each_pass(
    monkeypatch: pytest.MonkeyPatch, min_steps: int, passes: int
) -> None:
    data, labels = cells()
    measured, learned = [], []

    class Spy(IslandCells):
        def take(self, chosen: np.ndarray) -> IslandCells:
            measured.append(tuple(chosen))
            return super().take(chosen)

        def tokens(self, chosen: np.ndarray, tokens: Tokens) -> np.ndarray:
            learned.extend(chosen)
            return super().tokens(chosen, tokens)

    spied = Spy(data.values, data.names, data.is_there)
    monkeypatch.setattr(_finetune, "predict", lambda network, cells, *_: (np.full((cells.values.shape[0], 3), 1 / 3),))
    _, history = train(spied, labels, recipe(n_epochs=3, patience=9, min_steps=min_steps))
    (held_out,) = set(measured)
    assert len(measured) == len(history["loss"]) == 3
    assert not set(held_out) & set(learned)
    others = sorted(set(range(90)) - set(held_out))
    for each in np.reshape(learned, (3 * passes, len(others))):
        assert sorted(each) == others


def test_classes_weigh_by_their_share() -> None:
    labels = np.repeat([0, 1], [30, 10])
    np.testing.assert_allclose(class_weights(labels, 3), [0.25**2, 0.75**2, 1.0])
    logits, y = torch.randn(40, 3), torch.from_numpy(labels)
    weight = class_weights(labels, 3)
    each = cross_entropy(logits, y, reduction="none").numpy()
    expected = (each * weight[labels]).sum() / weight[labels].sum()
    assert cross_entropy(logits, y, weight=torch.from_numpy(weight)).item() == pytest.approx(expected, rel=1e-5)


def test_the_number_of_an_island_begins_as_its_openness() -> None:
    data, _ = cells()
    made, settings = network(data, recipe(dropout=0.5)), recipe()
    W = torch.randn(5, settings.n_dims, generator=torch.Generator().manual_seed(1))
    begin_with_openness(made, W, data, TOKENS, 16, "cpu")
    with torch.inference_mode():
        x = made.encoder(torch.from_numpy(data.tokens(np.arange(16), TOKENS)))
        numbers = made.squeeze(x).squeeze(-1).numpy()
        # Σ_c (c − c̄) w_c·x of classes 1 to 5, in its own standard deviations, two of them above 0.
        expected = sum((c - 3) * (x @ W[c - 1]).numpy() for c in range(1, 6))
    np.testing.assert_allclose(numbers, (expected - expected.mean()) / expected.std() + 2, atol=1e-2)


def test_learns_types() -> None:
    data, labels = cells()
    trained, history = train(data, labels, recipe(min_steps=1))
    assert history["loss"][-1] < 0.3 < history["loss"][0]
    proba, aligned = predict(trained, data, TOKENS, 16, "cpu")
    assert (proba.argmax(axis=1) == labels).mean() > 0.9
    assert aligned.shape == (90, 128)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)


def test_stops_without_a_better_network_and_keeps_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    data, labels = cells()
    seen = []

    def say(network: CellClassifier, held_out: IslandCells, *_: Any) -> tuple[np.ndarray]:
        """Be as right as a list says, by epoch."""
        n = held_out.values.shape[0]
        truth = labels[hold_out(labels, 0.1, np.random.default_rng(0))]
        wrong = [5, 2, 4, 2, 3][len(seen)]
        seen.append(network.classify.weight.detach().clone())
        return (np.eye(3)[np.where(np.arange(n) < wrong, (truth + 1) % 3, truth)] * 0.9 + 0.1 / 3,)

    monkeypatch.setattr(_finetune, "predict", say)
    trained, history = train(data, labels, recipe(patience=3, min_steps=1))
    assert len(history["held_out_accuracy"]) == 5
    assert history["best_epoch"] == 2
    torch.testing.assert_close(trained.classify.weight.detach(), seen[1], rtol=0, atol=0)


def test_predictions_do_not_depend_on_the_batch() -> None:
    data, _ = cells()
    made = network(data, recipe(dropout=0.5))
    whole = predict(made, data, TOKENS, 90, "cpu")
    for size in (1, 7, 64):
        for one, expected in zip(predict(made, data, TOKENS, size, "cpu"), whole, strict=True):
            np.testing.assert_allclose(one, expected, atol=1e-5)
    alone = predict(made, data.take(np.array([5])), TOKENS, 8, "cpu")[0]
    np.testing.assert_allclose(alone[0], whole[0][5], atol=1e-5)


def test_islands_that_are_not_there_are_not_read() -> None:
    data, _ = cells()
    made = network(data, recipe()).eval()
    placed = IslandCells(data.values, data.names, np.arange(60) != 7)
    other = placed.values.tolil()
    other[:, 7] = 5
    changed = IslandCells(canonical(other), data.names, placed.is_there)
    with torch.no_grad():
        made.encoder.tokens.values.weight[TOKENS.absent] = 50.0
    for one, expected in zip(
        predict(made, changed, TOKENS, 32, "cpu"), predict(made, placed, TOKENS, 32, "cpu"), strict=True
    ):
        np.testing.assert_allclose(one, expected, atol=1e-5)
    weight = made.encoder.tokens.values.weight
    before = predict(made, placed, TOKENS, 32, "cpu")[0]
    with torch.no_grad():
        weight[TOKENS.absent] = -50.0
    np.testing.assert_allclose(predict(made, placed, TOKENS, 32, "cpu")[0], before, atol=1e-5)


def test_masked_loss_is_the_sum_of_the_log_probabilities_of_the_masked_classes() -> None:
    data, _ = cells()
    settings = recipe(dropout=0.0)
    made = network(data, settings)
    head = MaskedIslands(made.encoder, Sizes.of(settings)).eval()
    ids = torch.from_numpy(data.tokens(np.arange(4), TOKENS))
    at, classes = torch.tensor([[0, 3], [2, 8], [3, 8]]), torch.tensor([1, 5, 2], dtype=torch.uint8)
    log_proba = torch.log_softmax(head.predict(made.encoder(ids)), dim=-1)
    expected = -sum(log_proba[cell, island, c - 1] for (cell, island), c in zip(at, classes.long(), strict=True))
    torch.testing.assert_close(head(ids, at, classes), expected)


@pytest.mark.parametrize("share", [True, False])
def test_layers_share_a_projection_or_have_their_own(share: bool) -> None:
    data, _ = cells()
    encoder = network(data, recipe(n_layers=3, share_projection=share)).encoder
    assert len(encoder.projections) == (1 if share else 3)
    assert encoder.projections[0].shape == (60, 16)
