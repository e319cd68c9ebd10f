from __future__ import annotations

import numpy as np
import pytest

from scllmda.calibration import novelty, rejection_threshold, remoteness


def scored(reference: np.ndarray, query: np.ndarray, *, n_neighbors: int = 15) -> np.ndarray:
    """Return the novelty of query cells of one class."""
    own, foreign = remoteness(reference, query, n_neighbors=n_neighbors)
    return novelty(own, foreign, np.zeros(len(own), dtype=int), np.ones(len(foreign), dtype=int))[1]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_remoteness_equals_brute_force(rng: np.random.Generator) -> None:
    reference, query = rng.standard_normal((30, 3)), rng.standard_normal((20, 3)) * 1.5
    own, foreign = remoteness(reference, query, n_neighbors=5)
    among = np.linalg.norm(reference[:, None] - reference, axis=2) + np.diag(np.full(30, np.inf))
    away = np.linalg.norm(query[:, None] - reference, axis=2)
    distance = np.sort(among, axis=1)[:, :5].mean(axis=1)
    for found, distances in ((own, among), (foreign, away)):
        np.testing.assert_allclose(found[:, 0], np.sort(distances, axis=1)[:, :5].mean(axis=1))
        around = [distance[row[:5]].mean() for row in np.argsort(distances, axis=1)]
        np.testing.assert_allclose(found[:, 1], found[:, 0] / around)


def test_novelty_is_the_smaller_rank(rng: np.random.Generator) -> None:
    own, foreign = rng.gamma(2, 1, (40, 2)), rng.gamma(3, 1, (25, 2))
    # No class is in both: nothing says how far the domains are apart.
    of_reference, of_query = novelty(own, foreign, np.zeros(40, dtype=int), np.ones(25, dtype=int))
    for found, cells in ((of_reference, own), (of_query, foreign)):
        np.testing.assert_allclose(found, [(own < cell).mean(axis=0).min() for cell in cells])


def test_what_most_classes_are_more_remote_by_is_between_the_domains(rng: np.random.Generator) -> None:
    labels = np.repeat(np.arange(5), 200)
    own = rng.gamma(20, 0.05, (1000, 2))
    same = novelty(own, own, labels, labels)[1]
    platform = novelty(own, 3 * own, labels, labels)[1]
    np.testing.assert_allclose(platform, same, atol=0.05)
    # One class of five is three times as remote: that is not the platform.
    one = novelty(own, np.where(labels == 2, 3, 1)[:, None] * own, labels, labels)[1]
    assert (one[labels == 2] == 1).mean() > 0.9
    np.testing.assert_allclose(one[labels != 2], same[labels != 2], atol=0.05)
    # A query that is nearer is not moved away.
    assert novelty(own, own / 3, labels, labels)[1].max() < 0.5


def test_a_class_of_few_cells_says_nothing_of_the_domains(rng: np.random.Generator) -> None:
    own = rng.gamma(20, 0.05, (300, 2))
    few = novelty(own, 3 * own[:9], np.zeros(300, dtype=int), np.zeros(9, dtype=int))[1]
    assert few.min() > 0.9


def test_around_a_third_for_the_reference_s_own_distribution(rng: np.random.Generator) -> None:
    score = scored(rng.standard_normal((1000, 4)), rng.standard_normal((1000, 4)))
    assert 0.3 < score.mean() < 0.5
    assert score.min() >= 0
    assert score.max() <= 1


def test_one_far_away_and_rising_with_distance(rng: np.random.Generator) -> None:
    reference = rng.standard_normal((200, 4))
    score = scored(reference, np.outer([0, 1, 2, 4, 100], np.ones(4)))
    assert (np.diff(score) >= 0).all()
    assert score[0] < 0.2
    assert score[-1] == 1


def test_neither_distance_nor_scale_of_the_space_matters(rng: np.random.Generator) -> None:
    reference, query = rng.standard_normal((50, 3)), rng.standard_normal((20, 3))
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    np.testing.assert_allclose(
        scored(reference, query), scored(8 * reference @ rotation + 5, 8 * query @ rotation + 5), atol=1 / 50 + 1e-9
    )


def test_reference_of_one_cell() -> None:
    own, foreign = remoteness(np.zeros((1, 2)), np.array([[0.0, 0.0], [1.0, 0.0]]))
    np.testing.assert_array_equal(own, [[0, 1]])
    np.testing.assert_array_equal(foreign, [[0, 1], [1, 1]])


def test_cells_that_are_all_alike() -> None:
    own, foreign = remoteness(np.ones((20, 2)), np.ones((3, 2)))
    assert np.isfinite(own).all()
    np.testing.assert_array_equal(foreign, [[0, 1]] * 3)


def test_reference_smaller_than_the_neighbourhood(rng: np.random.Generator) -> None:
    score = scored(rng.standard_normal((4, 2)), rng.standard_normal((300, 2)), n_neighbors=15)
    assert set(score) <= {0, 0.25, 0.5, 0.75, 1}


@pytest.mark.parametrize("rate", [0, 0.01, 0.1, 0.5, 1])
def test_no_more_of_the_reference_is_above_the_threshold(rate: float, rng: np.random.Generator) -> None:
    for scores in (rng.random(1000), np.repeat([0.1, 0.5, 0.9], 40), np.zeros(5)):
        share = (scores > rejection_threshold(scores, rate)).mean()
        assert share <= rate
        if len(set(scores)) == 1000:
            assert share > rate - 0.01
