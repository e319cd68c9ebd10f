"""How many of the reference's own cells lie above the threshold of rejection."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from scllmda.calibration import rejection_threshold

RATES = [Fraction(1, 64), Fraction(1, 16), Fraction(1, 8), Fraction(3, 16), Fraction(1, 4), Fraction(1, 2)]


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("n_cells", [1, 2, 3, 5, 10, 17, 33, 100])
def test_as_many_as_the_rate_allows_are_above_and_no_more(n_cells: int, rate: Fraction) -> None:
    scores = np.random.default_rng(n_cells).permutation(n_cells) / n_cells
    threshold = rejection_threshold(scores, float(rate))
    assert (scores > threshold).sum() == int(rate * (n_cells - 1))


@pytest.mark.parametrize("rate", [float(rate) for rate in RATES])
def test_the_threshold_is_the_novelty_of_a_cell_which_is_not_rejected(rate: float) -> None:
    scores = np.random.default_rng(0).random(50) ** 3
    threshold = rejection_threshold(scores, rate)
    assert threshold in scores
    assert not (scores[scores == threshold] > threshold).any()


def test_a_cell_between_the_two_most_novel_ones_is_labeled_where_none_may_be_rejected_falsely() -> None:
    # One cell of eleven may be rejected at the most: a twentieth of them is less than one.
    scores = np.arange(11) / 11
    assert rejection_threshold(scores, 0.05) == 10 / 11
    assert rejection_threshold(scores, 0.0) == 10 / 11
    assert rejection_threshold(scores, 0.25) == 8 / 11


def test_ties_are_rejected_together_or_not_at_all() -> None:
    scores = np.array([0.2] * 6 + [0.9] * 4)
    # A quarter of the cells may be rejected, and four of ten are alike.
    assert rejection_threshold(scores, 0.25) == 0.9
    assert rejection_threshold(scores, 0.45) == 0.2
