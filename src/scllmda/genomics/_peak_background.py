"""Peaks that are like others in GC content and in how open they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import numpy.typing as npt

_BINS = 50
"""Of the grid of chromVAR (``bs``), along each axis."""
_WIDTH = 0.1
"""Standard deviation of the kernel of chromVAR (``w``), in standard deviations of the peaks."""
_MOST_STRATA = 20
"""Along each axis."""
_FEWEST_PEAKS = 50
"""In a stratum on average."""


def gc_content(sequences: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return (n,) share of G and C among the known bases of each sequence; NaN without a known base.

    Examples
    --------
    >>> from scllmda.genomics import gc_content
    >>> gc_content(["ACGT", "NNGg", "NN"]).tolist()
    [0.5, 1.0, nan]
    """
    text = pd.Series(list(sequences), dtype=object).astype(str)
    strong, weak = (text.str.count(bases).to_numpy(np.float64) for bases in ("[GCgc]", "[ATat]"))
    return np.divide(strong, strong + weak, out=np.full(len(text), np.nan), where=strong + weak > 0)


def peak_strata(gc: npt.NDArray[np.float64], openness: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return (n,) codes of strata of peaks with about the same GC content and openness.

    Peaks are cut by ranks of openness, and then by ranks of GC content, into up to 20 × 20 strata of 50 peaks and more
    on average; equal ones stay together, so that the order of peaks changes nothing.

    Parameters
    ----------
    gc, openness
        Of each peak, (n,), without NaN.
    """
    n_cuts = min(_MOST_STRATA, max(1, int(np.sqrt(len(gc) / _FEWEST_PEAKS))))
    outer = _by_rank(openness, n_cuts)
    inner = np.zeros(len(gc), dtype=np.intp)
    for code in range(n_cuts):
        rows = np.flatnonzero(outer == code)
        inner[rows] = _by_rank(gc[rows], n_cuts)
    return np.unique(outer * n_cuts + inner, return_inverse=True)[1]


def _by_rank(values: npt.NDArray[np.float64], n_parts: int) -> npt.NDArray[np.intp]:
    """Return which of so many equally large parts each value is in, by its rank; equal values are in one."""
    return np.searchsorted(np.sort(values), values) * n_parts // max(len(values), 1)


@dataclass(frozen=True, eq=False)
class PeakBackground:
    """From where, by chromVAR, background peaks of n peaks are drawn: a bin near the peak's, then a peak of it."""

    bin: npt.NDArray[np.intp]
    """(n,): bin of each peak, of the S that hold one."""
    kernel: npt.NDArray[np.float64]
    """(S, S): probabilities to draw from each bin for a peak of each bin; rows sum to 1."""

    @classmethod
    def of(cls, gc: npt.NDArray[np.float64], totals: npt.NDArray[np.float64]) -> PeakBackground:
        """Return the bins of peaks: nearest points of a grid over decorrelated log counts and GC content.

        The weight of a bin is that of a normal kernel at its distance from the peak's bin, whatever the number of peaks
        in it (Schep et al. 2017, Nature Methods 14:975, and ``getBackgroundPeaks`` of chromVAR).

        Parameters
        ----------
        gc
            (n,), without NaN.
        totals
            (n,): counts of each peak over all cells, above 0.
        """
        values = np.column_stack([np.log10(totals), gc])
        # Where all peaks have one GC content, or as many counts, there is nothing to match on.
        spread = values.std(axis=0)
        values = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
        covariance = np.cov(values.T) if len(values) > 1 else np.eye(2)
        factor = np.linalg.cholesky(covariance + 1e-9 * np.eye(2))
        values = np.linalg.solve(factor, values.T).T
        low = values.min(axis=0)
        step = np.maximum(values.max(axis=0) - low, 1e-9) / (_BINS - 1)
        # The order of peaks changes the last digits of sums, which must not decide where halves go.
        grid = np.rint(np.round((values - low) / step, 9)).astype(np.intp)
        points, codes = np.unique(grid, axis=0, return_inverse=True)
        distance = np.linalg.norm((points[:, None] - points) * step, axis=2)
        kernel = np.exp(-0.5 * (distance / _WIDTH) ** 2)
        return cls(codes.ravel(), kernel / kernel.sum(axis=1, keepdims=True))
