from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from scllmda.calibration import fit_temperature, scale


def sample(logits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a label per row from softmax(logits), by the Gumbel trick."""
    return (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 4.0])
def test_recovers_a_known_temperature(temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (20_000, 6))
    labels = sample(logits, rng)
    assert fit_temperature(softmax(temperature * logits, axis=1), labels) == pytest.approx(temperature, rel=0.05)


def test_is_the_least_log_loss_of_a_fine_grid() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (300, 4))
    labels = sample(logits / 3, rng)
    grid = np.exp(np.linspace(np.log(0.1), np.log(10), 2001))
    losses = [-log_softmax(logits / t, axis=1)[np.arange(300), labels].mean() for t in grid]
    assert fit_temperature(softmax(logits, axis=1), labels) == pytest.approx(grid[np.argmin(losses)], rel=0.01)


def test_stays_within_bounds() -> None:
    proba = np.tile([0.9, 0.1], (50, 1))
    assert 0.1 <= fit_temperature(proba, np.zeros(50, dtype=int)) < 0.11
    assert 9 < fit_temperature(proba, np.arange(50) % 2) <= 10


def test_scale_is_softmax_of_divided_logits() -> None:
    logits = np.random.default_rng(2).normal(0, 2, (40, 5))
    proba = softmax(logits, axis=1)
    np.testing.assert_allclose(scale(proba, 2.5), softmax(logits / 2.5, axis=1), rtol=1e-10)
    np.testing.assert_allclose(scale(proba, 1), proba, rtol=1e-10)


@pytest.mark.parametrize("temperature", [0.1, 1, 10])
def test_scaled_rows_sum_to_one_even_of_zeros_and_ones(temperature: float) -> None:
    proba = np.vstack([np.eye(4), np.full((1, 4), 0.25), [[1e-30, 0, 1 - 1e-16, 1e-16]]])
    scaled = scale(proba, temperature)
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(scaled.sum(axis=1), 1)


def test_scale_keeps_the_winner_and_orders_confidence() -> None:
    proba = np.random.default_rng(3).dirichlet(np.ones(4), 100)
    cold, hot = scale(proba, 0.5), scale(proba, 5)
    np.testing.assert_array_equal(cold.argmax(axis=1), proba.argmax(axis=1))
    np.testing.assert_array_equal(hot.argmax(axis=1), proba.argmax(axis=1))
    assert (cold.max(axis=1) >= proba.max(axis=1)).all()
    assert (hot.max(axis=1) <= proba.max(axis=1)).all()
