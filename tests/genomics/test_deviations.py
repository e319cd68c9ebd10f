from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

from scllmda.genomics import Deviations
from scllmda.genomics._peak_background import PeakBackground

N_CELLS, N_PEAKS, N_MOTIFS = 12, 300, 6


@pytest.fixture(scope="module")
def data() -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
    """Counts, cells × peaks; matches, peaks × motifs; GC content."""
    rng = np.random.default_rng(0)
    rate = rng.gamma(1, 0.4, N_PEAKS) + 0.05
    counts = rng.poisson(rate * rng.gamma(5, 0.2, N_CELLS)[:, None])
    counts[0, counts.sum(axis=0) == 0] = 1
    gc = np.clip(rng.normal(0.5, 0.1, N_PEAKS) + 0.05 * np.log(rate), 0.05, 0.95)
    return counts, rng.random((N_PEAKS, N_MOTIFS)) < np.linspace(0.05, 0.4, N_MOTIFS), gc


def by_drawing(
    counts: NDArray[np.int64], matches: NDArray[np.bool_], gc: NDArray[np.float64], n_iterations: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """chromVAR as it is written: raw deviations, and mean and standard deviation of those of drawn background sets."""
    share = counts.sum(axis=0) / counts.sum()
    depth = counts.sum(axis=1, keepdims=True)

    def deviation(peaks: NDArray[np.intp] | slice) -> NDArray[np.float64]:
        observed, expected = counts[:, peaks] @ matches, depth * (share[peaks] @ matches)
        return (observed - expected) / expected

    background = PeakBackground.of(gc, counts.sum(axis=0).astype(float))
    chance = background.kernel[background.bin][:, background.bin] / np.bincount(background.bin)[background.bin]
    cumulative = chance.cumsum(axis=1)
    rng = np.random.default_rng(1)
    # The last of the sums may be a little less than 1.
    sets = ((rng.random((N_PEAKS, 1)) > cumulative[:, :-1]).sum(axis=1) for _ in range(n_iterations))
    drawn = np.stack([deviation(peaks) for peaks in sets])
    return deviation(slice(None)), drawn.mean(axis=0), drawn.std(axis=0, ddof=1)


def test_scores_are_those_that_ever_more_draws_lead_to(data: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    counts, matches, gc = data
    n_iterations = 3000
    raw, mean, sd = by_drawing(counts, matches, gc, n_iterations)
    totals = counts.sum(axis=0).astype(float)
    deviation, z = Deviations.of(sp.csr_matrix(matches), totals, gc).of_cells(sp.csr_matrix(counts))
    # Both means and standard deviations within five standard errors of so many draws.
    assert np.abs((raw - deviation - mean) / (sd / np.sqrt(n_iterations))).max() < 5
    np.testing.assert_allclose(deviation / z, sd, rtol=5 / np.sqrt(2 * n_iterations) + 0.01)
    # The scores themselves do not differ by more than 50 draws, which chromVAR takes, differ among each other.
    np.testing.assert_allclose(z, (raw - mean) / sd, atol=0.25)
    assert np.corrcoef(z.ravel(), ((raw - mean) / sd).ravel())[0, 1] > 0.999


def test_what_is_not_defined_is_0(data: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    counts, matches, gc = data[0].copy(), data[1].copy(), data[2]
    totals = counts.sum(axis=0).astype(float)
    counts[3], matches[:, 2] = 0, False
    for found in Deviations.of(sp.csr_matrix(matches), totals, gc).of_cells(sp.csr_matrix(counts)):
        assert np.isfinite(found).all()
        assert not found[3].any()
        assert not found[:, 2].any()
        assert np.delete(np.delete(found, 3, axis=0), 2, axis=1).all()


def test_equal_peaks_leave_nothing_to_draw() -> None:
    counts = np.full((3, 20), 2)
    deviation, z = Deviations.of(sp.csr_matrix(np.eye(20, 4)), np.full(20, 6.0), np.full(20, 0.5)).of_cells(
        sp.csr_matrix(counts)
    )
    np.testing.assert_allclose(deviation, 0, atol=1e-12)
    assert not z.any()
