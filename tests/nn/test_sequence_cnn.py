from __future__ import annotations

import numpy as np
import pytest
import torch

from scllmda.nn import CnnRecipe, SequenceCnn, predict_sequence_cnn, train_sequence_cnn

RECIPE = CnnRecipe(n_filters=8, n_layers=1, n_bottleneck=4, batch_size=32)
MOTIF = np.array([2, 0, 3, 0, 0], dtype=np.uint8)  # GATAA


@pytest.fixture(scope="module")
def peaks() -> tuple[np.ndarray, np.ndarray]:
    """Random sequences, half of them with a motif on either strand, and whether they have it."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (600, 64), dtype=np.uint8)
    has_motif = np.arange(600) % 2 == 0
    for row in np.flatnonzero(has_motif):
        for at in rng.choice(8, 3, replace=False) * 8:
            codes[row, at : at + 5] = MOTIF if rng.random() < 0.5 else 3 - MOTIF[::-1]
    return np.stack([codes, 3 - codes[:, ::-1]]), (has_motif - 0.5)[:, None] * [2, 0]


def train(
    peaks: tuple[np.ndarray, np.ndarray], *, n_epochs: int = 3, seed: int = 0, **changes: object
) -> tuple[SequenceCnn, list[float]]:
    strands, targets = peaks
    given = {
        "weights": np.ones(600),
        "importance": np.array([1.0, 0.0]),
        "held_out": np.arange(600) >= 450,
        "recipe": RECIPE,
        **changes,
    }
    return train_sequence_cnn(strands, targets, **given, n_epochs=n_epochs, seed=seed, device="cpu")


def test_learns_a_motif_of_either_strand(peaks: tuple[np.ndarray, np.ndarray]) -> None:
    network, history = train(peaks, n_epochs=25)
    assert max(history) > 0.5
    expected = predict_sequence_cnn(network, peaks[0][:, 450:])[:, 0]
    assert np.corrcoef(expected, peaks[1][450:, 0])[0, 1] > 0.7


def test_history_is_the_held_out_r2_and_the_best_epoch_is_kept(peaks: tuple[np.ndarray, np.ndarray]) -> None:
    weights = np.random.default_rng(1).random(600)
    network, history = train(peaks, n_epochs=6, weights=weights)
    strands, targets = peaks
    error = predict_sequence_cnn(network, strands[:, 450:])[:, 0] - targets[450:, 0]
    r2 = 1 - (weights[450:] * error**2).sum() / (weights[450:] * targets[450:, 0] ** 2).sum()
    assert max(history) == pytest.approx(r2, abs=1e-5)


def test_held_out_sequences_are_not_learnt_from(peaks: tuple[np.ndarray, np.ndarray]) -> None:
    strands, targets = peaks
    changed = targets.copy()
    changed[450:] *= 3
    one, other = train(peaks, n_epochs=1)[0], train((strands, changed), n_epochs=1)[0]
    np.testing.assert_array_equal(predict_sequence_cnn(one, strands), predict_sequence_cnn(other, strands))


def test_stops_when_held_out_sequences_are_predicted_no_better() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 4, (2, 600, 64), dtype=np.uint8), rng.standard_normal((600, 2))
    history = train(noise, n_epochs=60)[1]
    assert len(history) == int(np.argmax(history)) + 1 + RECIPE.patience < 60


def test_both_strands_are_averaged(peaks: tuple[np.ndarray, np.ndarray]) -> None:
    network = train(peaks, n_epochs=1)[0]
    strands = peaks[0][:, :20]
    np.testing.assert_array_equal(
        predict_sequence_cnn(network, strands), predict_sequence_cnn(network, strands[::-1].copy())
    )
    with torch.no_grad():
        each = [network(torch.from_numpy(strand)).numpy() for strand in strands]
    np.testing.assert_allclose(predict_sequence_cnn(network, strands), np.mean(each, axis=0), atol=1e-6)


def test_unknown_bases_are_no_base(peaks: tuple[np.ndarray, np.ndarray]) -> None:
    network = SequenceCnn(1, RECIPE)
    torch.testing.assert_close(network.one_hot[4], torch.zeros(4))
    assert "one_hot" not in network.state_dict()


def test_deterministic_and_leaves_the_global_generator_alone(peaks: tuple[np.ndarray, np.ndarray]) -> None:
    before = torch.random.get_rng_state()
    first, history = train(peaks)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(5)
    again, other = train(peaks), train(peaks, seed=1)
    assert again[1] == history != other[1]
    for name, value in first.state_dict().items():
        assert torch.equal(value, again[0].state_dict()[name])


def test_fewer_sequences_than_a_batch(peaks: tuple[np.ndarray, np.ndarray]) -> None:
    history = train(peaks, recipe=CnnRecipe(n_filters=8, n_layers=1, batch_size=10_000), n_epochs=2)[1]
    assert np.isfinite(history).all()
