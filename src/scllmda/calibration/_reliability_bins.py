from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ReliabilityBins:
    """Cells counted in bins of confidence, of equal width between 0 and 1. Means of empty bins are NaN."""

    n_cells: NDArray[np.integer]
    """(n_bins,) number of cells in each bin."""
    confidence: NDArray[np.floating]
    """(n_bins,) mean confidence of the cells of each bin."""
    accuracy: NDArray[np.floating]
    """(n_bins,) share of the cells of each bin that are labeled correctly."""

    @property
    def ece(self) -> float:
        """Expected calibration error, the mean of |accuracy - confidence| over cells (Guo et al. 2017 eq. 3).

        NaN if there are no cells.
        """
        filled = self.n_cells > 0
        if not filled.any():
            return float("nan")
        return float(np.average(np.abs(self.accuracy - self.confidence)[filled], weights=self.n_cells[filled]))


def reliability_bins(confidence: NDArray[np.floating], correct: NDArray[np.bool_], n_bins: int) -> ReliabilityBins:
    """Bin cells by confidence.

    Parameters
    ----------
    confidence
        (n_cells,) probability of the predicted label.
    correct
        (n_cells,) whether the predicted label is the true one.
    n_bins
        Number of bins. A bin contains its lower edge, the last one also its upper edge.

    Raises
    ------
    ValueError
        ``n_bins`` below 1.
    """
    if n_bins < 1:
        msg = f"Found n_bins={n_bins}; expected a positive number of confidence bins."
        raise ValueError(msg)
    # Rounding may leave a probability just above 1.
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    n_cells = np.bincount(bins, minlength=n_bins)
    mean_confidence, accuracy = (
        np.divide(
            np.bincount(bins, weights=values, minlength=n_bins), n_cells, out=np.full(n_bins, np.nan), where=n_cells > 0
        )
        for values in (confidence, correct)
    )
    return ReliabilityBins(n_cells, mean_confidence, accuracy)
