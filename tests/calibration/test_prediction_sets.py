"""Sets of classes that cannot be excluded."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise
from math import ceil, comb

import numpy as np
import pytest

from scllmda.calibration import Sets, least_probabilities, prediction_sets

Arrays = tuple[np.ndarray, np.ndarray]


def draw(rng: np.random.Generator, n: int, shares: list[float], clearness: float = 1.5) -> Arrays:
    """Return probabilities of cells by Bayes' rule, and their classes: each class is a normal around a corner."""
    labels = rng.choice(len(shares), n, p=shares)
    X = clearness * np.eye(len(shares))[labels] + rng.normal(size=(n, len(shares)))
    proba = np.exp(clearness * X) * shares
    return proba / proba.sum(axis=1, keepdims=True), labels


def rank_by_hand(n: int, coverage: Fraction) -> int:
    """Return the smallest k with P(Binomial(n, coverage) < k) >= .9, at least ⌈(n + 1) coverage⌉ and at most n."""
    below, k, p = 0.0, 0, float(coverage)
    while below < 0.9:
        below += comb(n, k) * p**k * (1 - p) ** (n - k)
        k += 1
    return min(n, max(k, ceil((n + 1) * coverage)))


@pytest.mark.parametrize("coverage", [Fraction(1, 2), Fraction(4, 5), Fraction(9, 10), Fraction(19, 20)])
def test_quantiles_by_hand(coverage: Fraction) -> None:
    proba, labels = draw(np.random.default_rng(0), 300, [0.6, 0.3, 0.07, 0.03])
    # The query has each pair of likeliest classes as often, and all cells weigh the same.
    found = least_probabilities(proba, labels, proba, float(coverage))
    for c in range(4):
        cells = np.flatnonzero(labels == c)
        values = sorted((np.inf if proba[i].argmax() == c else proba[i, c] for i in cells), reverse=True)
        too_few = ceil((len(values) + 1) * coverage) > len(values)
        assert found[c] == (0 if too_few else values[rank_by_hand(len(values), coverage) - 1])


def test_weighted_quantiles_by_hand() -> None:
    rng = np.random.default_rng(1)
    (held_out, labels), (query, _) = draw(rng, 400, [0.5, 0.3, 0.2]), draw(rng, 250, [0.1, 0.2, 0.7])
    found = least_probabilities(held_out, labels, query, 0.8)

    def pairs(proba: np.ndarray) -> list[tuple[int, ...]]:
        return [tuple(sorted(range(3), key=lambda c: -row[c])[:2]) for row in proba]

    known, new = Counter(pairs(held_out)), Counter(pairs(query))
    weights = [(new[pair] / 250) / (known[pair] / 400) for pair in pairs(held_out)]
    for c in range(3):
        of_class = np.flatnonzero(labels == c)
        cells = [(np.inf if held_out[i].argmax() == c else held_out[i, c], weights[i]) for i in of_class]
        least = []
        for of_cells in ([(value, 1.0) for value, _ in cells], cells):
            total = sum(weight for _, weight in of_cells)
            n = int(total**2 / sum(weight**2 for _, weight in of_cells))
            share, reached = rank_by_hand(n, Fraction(4, 5)) / n, 0.0
            for value, weight in sorted(of_cells, key=lambda cell: -cell[0]):
                reached += weight / total
                if reached >= share - 1e-9:
                    least.append(value)
                    break
        assert found[c] == min(least)


def test_members_by_hand() -> None:
    proba = np.array([[0.6, 0.3, 0.1], [0.3, 0.35, 0.35], [0.1, 0.2, 0.7]])
    members = prediction_sets(proba, np.array([np.inf, 0.3, 0.0]))
    np.testing.assert_array_equal(members, [[True, True, True], [False, True, True], [False, False, True]])
    np.testing.assert_array_equal(Sets(members, np.array([np.inf, 0.3, 0.0])).always, [False, False, True])


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_each_class_is_covered_where_cells_are_alike(coverage: float) -> None:
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(20):
        (held_out, labels), (query, truth) = (draw(rng, n, [0.7, 0.2, 0.1]) for n in (600, 3000))
        members = prediction_sets(query, least_probabilities(held_out, labels, query, coverage))
        covered.append([members[truth == c, c].mean() for c in range(3)])
    # In nine of ten draws of held-out cells, up to what chance makes of the share among 300 cells.
    assert (np.array(covered) >= coverage - 0.04).mean() >= 0.9
    assert (np.mean(covered, axis=0) >= coverage).all()
    # No more than the rank among some 60 held-out cells of the rarest class makes of it.
    assert np.mean(covered, axis=0)[2] <= rank_by_hand(60, Fraction(coverage)) / 61 + 0.02


def test_other_proportions_cost_no_coverage() -> None:
    rng = np.random.default_rng(3)
    held_out, labels = draw(rng, 2000, [0.7, 0.2, 0.1])
    query, truth = draw(rng, 4000, [0.7, 0.2, 0.1])
    # p(x | class) stays: cells of the first class are left out, nine of ten.
    kept = (truth != 0) | (rng.random(4000) < 0.1)
    members = prediction_sets(query[kept], least_probabilities(held_out, labels, query[kept], 0.9))
    assert all(members[truth[kept] == c, c].mean() >= 0.88 for c in range(3))


def test_other_proportions_within_a_class_cost_no_coverage() -> None:
    """Of the first class one in ten cells looks like the second in the reference, and nine in ten in the query."""
    rng = np.random.default_rng(4)

    def side(n: int, share: float) -> Arrays:
        labels = rng.integers(2, size=n)
        odd = (labels == 1) | (rng.random(n) < share)
        p = np.where(odd, rng.uniform(0, 0.5, n), rng.uniform(0.5, 1, n))
        return np.column_stack([p, 1 - p]), labels

    (held_out, labels), (query, truth) = side(4000, 0.08), side(4000, 0.9)
    members = prediction_sets(query, least_probabilities(held_out, labels, query, 0.9))
    without = prediction_sets(query, least_probabilities(held_out, labels, held_out, 0.9))
    assert members[truth == 0, 0].mean() >= 0.88
    assert without[truth == 0, 0].mean() < 0.5


def test_a_class_of_few_cells_is_in_every_set() -> None:
    proba, labels = draw(np.random.default_rng(5), 500, [0.6, 0.4])
    few = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:8]])
    least = least_probabilities(proba[few], labels[few], proba, 0.9)
    assert least[1] == 0 < least[0]
    assert prediction_sets(proba, least)[:, 1].all()
    # Nine cells are enough, and four are at a lower coverage.
    assert least_probabilities(proba, np.where(np.cumsum(labels) <= 9, labels, 0), proba, 0.9)[1] > 0
    assert least_probabilities(proba[few[:-4]], labels[few[:-4]], proba, 0.8)[1] > 0


def test_greater_coverage_makes_greater_sets_whatever_the_order() -> None:
    rng = np.random.default_rng(6)
    (held_out, labels), (query, _) = draw(rng, 500, [0.5, 0.3, 0.2]), draw(rng, 300, [0.2, 0.3, 0.5])
    at = [least_probabilities(held_out, labels, query, coverage) for coverage in (0.5, 0.8, 0.9, 0.95)]
    assert all((more <= less).all() for less, more in pairwise(at))
    known, new = rng.permutation(500), rng.permutation(300)
    np.testing.assert_array_equal(least_probabilities(held_out[known], labels[known], query[new], 0.9), at[2])
    members = prediction_sets(query, at[0])
    assert members[np.arange(300), query.argmax(axis=1)].all()
