from __future__ import annotations

import numpy as np
import pytest

from scllmda.calibration import distance_to_reference
from scllmda.calibration import novelty as rank


def novelty(reference: np.ndarray, query: np.ndarray, *, n_neighbors: int = 15) -> np.ndarray:
    own = distance_to_reference(reference, n_neighbors=n_neighbors)
    return rank(own, distance_to_reference(reference, query, n_neighbors=n_neighbors))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_equals_brute_force(rng: np.random.Generator) -> None:
    reference, query = rng.standard_normal((30, 3)), rng.standard_normal((20, 3)) * 1.5
    among = np.linalg.norm(reference[:, None] - reference, axis=2)
    own = np.array([np.sort(np.delete(row, i))[:5].mean() for i, row in enumerate(among)])
    foreign = np.sort(np.linalg.norm(query[:, None] - reference, axis=2), axis=1)[:, :5].mean(axis=1)
    expected = [(own < distance).mean() for distance in foreign]
    np.testing.assert_allclose(novelty(reference, query, n_neighbors=5), expected)


def test_around_a_half_for_the_reference_s_own_distribution(rng: np.random.Generator) -> None:
    score = novelty(rng.standard_normal((1000, 4)), rng.standard_normal((1000, 4)))
    assert abs(score.mean() - 0.5) < 0.03
    assert score.min() >= 0
    assert score.max() <= 1


def test_one_far_away_and_rising_with_distance(rng: np.random.Generator) -> None:
    reference = rng.standard_normal((200, 4))
    score = novelty(reference, np.outer([0, 1, 2, 4, 100], np.ones(4)))
    assert (np.diff(score) >= 0).all()
    assert score[0] < 0.2
    assert score[-1] == 1


def test_neither_distance_nor_scale_of_the_space_matters(rng: np.random.Generator) -> None:
    reference, query = rng.standard_normal((50, 3)), rng.standard_normal((20, 3))
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    np.testing.assert_allclose(
        novelty(reference, query), novelty(8 * reference @ rotation + 5, 8 * query @ rotation + 5), atol=1 / 50 + 1e-9
    )


def test_reference_of_one_cell() -> None:
    np.testing.assert_array_equal(novelty(np.zeros((1, 2)), np.array([[0.0, 0.0], [1.0, 0.0]])), [0, 1])


def test_reference_smaller_than_the_neighbourhood(rng: np.random.Generator) -> None:
    score = novelty(rng.standard_normal((4, 2)), rng.standard_normal((300, 2)), n_neighbors=15)
    assert set(score) <= {0, 0.25, 0.5, 0.75, 1}
