"""The loop that trains on what is known of the reference: a fixed held-out part, the best network kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from scllmda.methods._finetuning import Fitting, fit_best, hold_out, learned_and_measured, score_labels

X = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)


def constant(step: int, per_epoch: int) -> float:
    return 1.0


def fitting(**changes: Any) -> Fitting:
    shape: dict[str, Any] = {"n_epochs": 5, "batch_size": 8, "lr": 0.05, "patience": 2}
    return Fitting(**{"title": "", "factor": constant, "precision": "float32", "device": "cpu", **shape, **changes})


def train(scores: list[tuple[float, float]], **changes: Any) -> tuple[Any, list[torch.Tensor], nn.Linear]:
    """Train a line while held-out cells are foretold as well as a list says, by epoch."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Linear(3, 1)
    seen: list[torch.Tensor] = []

    def score() -> tuple[float, float]:
        seen.append(network.weight.detach().clone())
        return scores[len(seen) - 1]

    def loss(batch: np.ndarray) -> torch.Tensor:
        x = torch.from_numpy(X[batch])
        return (network(x)[:, 0] - x.sum(dim=1)).square().mean()

    rng = np.random.default_rng(0)
    return fit_best(network, np.arange(40), fitting(**changes), loss=loss, score=score, rng=rng), seen, network


def test_held_out_cells_are_a_share_of_each_type() -> None:
    labels = np.repeat([0, 1, 2, 3], [100, 40, 3, 2])
    held_out = hold_out(labels, 0.1, np.random.default_rng(0))
    assert np.bincount(labels[held_out], minlength=4).tolist() == [10, 4, 1, 0]
    np.testing.assert_array_equal(hold_out(labels, 0.1, np.random.default_rng(0)), held_out)
    assert not hold_out(labels, 0.0, np.random.default_rng(0)).any()


def test_where_none_is_held_out_all_are_measured_on() -> None:
    learned, measured = learned_and_measured(np.array([False, True, False]))
    assert (learned.tolist(), measured.tolist()) == ([0, 2], [1])
    learned, measured = learned_and_measured(np.zeros(3, dtype=bool))
    assert learned.tolist() == measured.tolist() == [0, 1, 2]


def test_stops_without_a_better_network_and_keeps_the_best() -> None:
    scores = [(0.5, 0.0), (0.8, -1.0), (0.8, -0.5), (0.7, 0.0), (0.9, 0.0)]
    found, seen, network = train(scores)
    # The third is as good as the second, and surer; no rise in two epochs ends it.
    assert found.scores == [0.5, 0.8, 0.8, 0.7]
    assert found.best_epoch == 3
    torch.testing.assert_close(network.weight.detach(), seen[2], rtol=0, atol=0)
    assert len(found.losses) == 4
    assert found.losses[-1] < found.losses[0]


def test_the_learning_rate_follows_the_steps() -> None:
    steps: list[tuple[int, int]] = []

    def factor(step: int, per_epoch: int) -> float:
        steps.append((step, per_epoch))
        return 0.0

    _, seen, _ = train([(0.0, 0.0)] * 3, factor=factor, n_epochs=2)
    assert steps == [(i, 5) for i in range(10)]
    torch.testing.assert_close(seen[0], seen[1], rtol=0, atol=0)


def test_few_cells_are_passed_over_several_times_in_an_epoch() -> None:
    seen: list[int] = []
    steps: list[tuple[int, int]] = []

    def factor(step: int, per_epoch: int) -> float:
        steps.append((step, per_epoch))
        return 1.0

    network = nn.Linear(3, 1)

    def loss(batch: np.ndarray) -> torch.Tensor:
        seen.extend(batch)
        return network(torch.from_numpy(X[batch])).square().mean()

    few = fitting(min_steps=12, n_epochs=2, factor=factor)
    fit_best(network, np.arange(30), few, loss=loss, score=lambda: (0.0, 0.0), rng=np.random.default_rng(0))
    # Three passes of four steps.
    assert steps == [(i, 12) for i in range(24)]
    for each in np.reshape(seen, (6, 30)):
        assert sorted(each) == list(range(30))


def test_scores_of_labels() -> None:
    proba = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]])
    right, sure = score_labels(proba, np.array([0, 1, 1]))
    assert right == 2 / 3
    np.testing.assert_allclose(sure, np.log([0.9, 0.6, 0.2]).mean(), atol=1e-9)
