from __future__ import annotations

import numpy as np
import pytest

from scllmda.calibration import NoveltyRecipe, domain_shift, novelty, rejection_threshold, remoteness

RECIPE = NoveltyRecipe()


def nearest(known: np.ndarray, cells: np.ndarray, k: int, *, own: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return distances and indices of the nearest known cells, not counting a cell's own."""
    distances = np.linalg.norm(cells[:, None] - known, axis=2)
    if own:
        np.fill_diagonal(distances, np.inf)
    indices = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, indices, axis=1), indices


def remote(reference: np.ndarray, query: np.ndarray, *, n_neighbors: int = 15) -> tuple[np.ndarray, np.ndarray]:
    k = min(n_neighbors, len(reference) - 1)
    among = nearest(reference, reference, k, own=True)
    return remoteness(among, among, nearest(reference, query, max(1, k), own=False))


def scored(reference: np.ndarray, query: np.ndarray, *, n_neighbors: int = 15) -> np.ndarray:
    """Return the novelty of query cells."""
    own, foreign = remote(reference, query, n_neighbors=n_neighbors)
    return novelty(own, foreign)[1]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_remoteness_equals_brute_force(rng: np.random.Generator) -> None:
    reference, query = rng.standard_normal((30, 3)), rng.standard_normal((20, 3)) * 1.5
    own, foreign = remote(reference, query, n_neighbors=5)
    among = np.linalg.norm(reference[:, None] - reference, axis=2) + np.diag(np.full(30, np.inf))
    away = np.linalg.norm(query[:, None] - reference, axis=2)
    distance = np.sort(among, axis=1)[:, :5].mean(axis=1)
    for found, distances in ((own, among), (foreign, away)):
        np.testing.assert_allclose(found[:, 0], np.sort(distances, axis=1)[:, :5].mean(axis=1))
        around = [distance[row[:5]].mean() for row in np.argsort(distances, axis=1)]
        np.testing.assert_allclose(found[:, 1], found[:, 0] / around)


def test_reference_cells_are_as_remote_as_they_would_be_in_the_query(rng: np.random.Generator) -> None:
    reference = rng.standard_normal((30, 3))
    again = reference + rng.standard_normal((30, 3))
    among, of_again = nearest(reference, reference, 5, own=True), nearest(reference, again, 5, own=True)
    own, _ = remoteness(among, of_again, of_again)
    np.testing.assert_allclose(own[:, 0], of_again[0].mean(axis=1))
    np.testing.assert_allclose(own[:, 1], own[:, 0] / among[0].mean(axis=1)[of_again[1]].mean(axis=1))


def test_novelty_is_the_smaller_rank(rng: np.random.Generator) -> None:
    own, foreign = rng.gamma(2, 1, (40, 2)), rng.gamma(3, 1, (25, 2))
    of_reference, of_query = novelty(own, foreign)
    for found, cells in ((of_reference, own), (of_query, foreign)):
        np.testing.assert_allclose(found, [(own < cell).mean(axis=0).min() for cell in cells])


def test_what_most_classes_are_more_remote_by_is_between_the_domains(rng: np.random.Generator) -> None:
    labels = np.repeat(np.arange(5), 200)
    own = rng.gamma(20, 0.05, (1000, 2))
    np.testing.assert_allclose(domain_shift(own, [3, 2] * own, labels, labels, RECIPE), [3, 2], rtol=1e-6)
    # One class of five is three times as remote: that is not the platform.
    one = np.where(labels == 2, 3, 1)[:, None] * own
    np.testing.assert_allclose(domain_shift(own, one, labels, labels, RECIPE), 1)
    # A query that is nearer is not moved away.
    np.testing.assert_array_equal(domain_shift(own, own / 3, labels, labels, RECIPE), 1)


def test_shift_is_a_quantile_of_the_classes(rng: np.random.Generator) -> None:
    labels = np.repeat(np.arange(5), 50)
    own, foreign = rng.gamma(20, 0.05, (250, 2)), rng.gamma(40, 0.05, (250, 2))
    ratios = [np.median(foreign[labels == c], axis=0) / np.median(own[labels == c], axis=0) for c in range(5)]
    for quantile, nth in ((0.25, 1), (0.5, 2)):
        found = domain_shift(own, foreign, labels, labels, NoveltyRecipe(shift_quantile=quantile))
        np.testing.assert_allclose(found, np.sort(ratios, axis=0)[nth])
    np.testing.assert_array_equal(domain_shift(own, foreign, labels, labels, RECIPE), found)


def test_classes_of_few_cells_or_in_one_domain_say_nothing_of_the_domains(rng: np.random.Generator) -> None:
    own = rng.gamma(20, 0.05, (300, 2))
    zeros = np.zeros(300, dtype=int)
    assert domain_shift(own, 3 * own[:9], zeros, zeros[:9], RECIPE) is None
    assert domain_shift(own, 3 * own, zeros, zeros + 1, RECIPE) is None
    np.testing.assert_allclose(
        domain_shift(own, 3 * own[:9], zeros, zeros[:9], NoveltyRecipe(fewest_cells=9)),
        3 * np.median(own[:9], axis=0) / np.median(own, axis=0),
    )


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
    own, foreign = remote(np.zeros((1, 2)), np.array([[0.0, 0.0], [1.0, 0.0]]))
    np.testing.assert_array_equal(own, [[0, 1]])
    np.testing.assert_array_equal(foreign, [[0, 1], [1, 1]])


def test_cells_that_are_all_alike() -> None:
    own, foreign = remote(np.ones((20, 2)), np.ones((3, 2)))
    assert np.isfinite(own).all()
    np.testing.assert_array_equal(foreign, [[0, 1]] * 3)


def test_reference_smaller_than_the_neighborhood(rng: np.random.Generator) -> None:
    score = scored(rng.standard_normal((4, 2)), rng.standard_normal((300, 2)), n_neighbors=15)
    assert set(score) <= {0, 0.25, 0.5, 0.75, 1}


@pytest.mark.parametrize("rate", [0, 0.01, 0.1, 0.5, 1])
def test_no_more_of_the_reference_is_above_the_threshold(rate: float, rng: np.random.Generator) -> None:
    for scores in (rng.random(1000), np.repeat([0.1, 0.5, 0.9], 40), np.zeros(5)):
        share = (scores > rejection_threshold(scores, rate)).mean()
        assert share <= rate
        if len(set(scores)) == 1000:
            assert share > rate - 0.01
