from __future__ import annotations

import numpy as np
import pytest

from scllmda.calibration import reliability_bins


def test_by_hand() -> None:
    confidence, correct = np.array([0.0, 0.3, 0.5, 0.9, 1 + 1e-12]), np.array([False, True, False, True, True])
    bins = reliability_bins(confidence, correct, 4)
    np.testing.assert_array_equal(bins.n_cells, [1, 1, 1, 2])
    np.testing.assert_allclose(bins.confidence, [0, 0.3, 0.5, 0.95])
    np.testing.assert_allclose(bins.accuracy, [0, 1, 0, 1])
    assert bins.ece == pytest.approx((0 + 0.7 + 0.5 + 2 * 0.05) / 5)


def test_empty_bins_are_missing_and_do_not_count() -> None:
    bins = reliability_bins(np.array([0.25, 0.25]), np.array([True, False]), 3)
    np.testing.assert_array_equal(bins.n_cells, [2, 0, 0])
    np.testing.assert_array_equal(np.isnan(bins.accuracy), [False, True, True])
    np.testing.assert_array_equal(np.isnan(bins.confidence), [False, True, True])
    assert bins.ece == pytest.approx(0.25)


def test_no_cells() -> None:
    bins = reliability_bins(np.empty(0), np.empty(0, dtype=bool), 3)
    np.testing.assert_array_equal(bins.n_cells, [0, 0, 0])
    assert np.isnan(bins.ece)


def test_errors() -> None:
    with pytest.raises(ValueError, match="n_bins=0; expected a positive"):
        reliability_bins(np.ones(2), np.ones(2, dtype=bool), 0)
