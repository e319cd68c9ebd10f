from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from scllmda.genomics import gc_content, peak_strata
from scllmda.genomics._peak_background import PeakBackground


def peaks(n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """GC content and counts of peaks, which go together."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1, 30, n)
    return np.clip(rng.normal(0.45, 0.08, n) + 0.04 * np.log(rate), 0.05, 0.95), np.ceil(rate)


def test_gc_content() -> None:
    found = gc_content(["ACGT", "gggg", "NNCA", "", "NN", "RAC"])
    np.testing.assert_array_equal(found, [0.5, 1, 0.5, np.nan, np.nan, 0.5])


@pytest.mark.parametrize(("n", "n_strata"), [(30, 1), (2_000, 36), (50_000, 400)])
def test_strata_are_of_like_peaks(n: int, n_strata: int) -> None:
    gc, openness = peaks(n)
    rng = np.random.default_rng(1)
    # No two are equal, so that all strata are of about one size.
    gc, openness = gc + 1e-6 * rng.random(n), openness + 1e-3 * rng.random(n)
    strata = peak_strata(gc, openness)
    sizes = np.bincount(strata)
    assert len(sizes) == n_strata
    assert sizes.min() > 0.8 * n / n_strata
    for values in (openness, gc):
        within = np.sqrt(np.mean([values[strata == s].var() for s in range(n_strata)]))
        assert within < (values.std() * (0.5 if n_strata > 1 else 1.01))
    order = rng.permutation(n)
    assert np.array_equal(peak_strata(gc[order], openness[order]), strata[order])


def test_equal_peaks_share_a_stratum() -> None:
    gc, openness = np.tile([0.4, 0.5], 500), np.repeat([1.0, 2.0], 500)
    strata = peak_strata(gc, openness)
    for value in (0.4, 0.5):
        for count in (1, 2):
            assert len(set(strata[(gc == value) & (openness == count)])) == 1


def test_background_is_drawn_as_in_chromvar() -> None:
    """``getBackgroundPeaks``, step by step: whitened values, a grid of 50 × 50, a normal kernel, even within a bin."""
    gc, totals = peaks(300)
    values = np.column_stack([np.log10(totals), gc])
    whitened = np.linalg.solve(np.linalg.cholesky(np.cov(values.T)), values.T).T
    ticks = [np.linspace(column.min(), column.max(), 50) for column in whitened.T]
    grid = np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    nearest = ((whitened[:, None] - grid) ** 2).sum(axis=2).argmin(axis=1)
    density = np.bincount(nearest, minlength=len(grid))
    distance = np.linalg.norm(grid[nearest][:, None] - grid[nearest], axis=2)
    weight = norm.pdf(distance, scale=0.1) / density[nearest]
    expected = weight / weight.sum(axis=1, keepdims=True)

    found = PeakBackground.of(gc, totals)
    probability = found.kernel[found.bin][:, found.bin] / np.bincount(found.bin)[found.bin]
    np.testing.assert_allclose(probability, expected, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("equal", ["gc", "totals", "both", "one peak"])
def test_nothing_to_match_on(equal: str) -> None:
    gc, totals = peaks(1 if equal == "one peak" else 100)
    if equal in ("gc", "both"):
        gc[:] = 0.5
    if equal in ("totals", "both"):
        totals[:] = 3
    found = PeakBackground.of(gc, totals)
    np.testing.assert_allclose(found.kernel.sum(axis=1), 1)
    assert len(found.kernel) == (1 if equal in ("both", "one peak") else len(set(found.bin)))
