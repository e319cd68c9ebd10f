"""A test of labels against cells of other labels that were read as deeply."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc
from scipy.stats import false_discovery_control

from ._open_cells import OpenCells

_PEAKS_AT_ONCE = 2**13
"""So that what is computed on the way takes some megabytes, however many peaks there are."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Each group of cells against all others at its depth; all arrays are (n_peaks, n_groups)."""

    log2fc: NDArray[np.float32]
    """log2 of the openness in the group over that of other cells at its depth."""
    fraction: NDArray[np.float32]
    """Share of the group's cells that a peak is open in."""
    background: NDArray[np.float32]
    """The same of other cells, weighted to the depths of the group."""
    score: NDArray[np.float32]
    """Standard deviations by which more cells of the group are open than chance has at their depth."""
    pvalue: NDArray[np.float64]
    """Two-sided."""
    fdr: NDArray[np.float64]
    """Adjusted, see :func:`compare`."""


def compare(sums: OpenCells) -> Comparison:
    r"""Compare each group with all other cells in strata of depth.

    Given how many cells :math:`m_s` of the :math:`N_s` of a stratum a peak is open in, the number among the
    :math:`n_s` of a group is hypergeometric if labels mean nothing. The score is that of Cochran, Mantel and Haenszel
    without continuity correction,

    .. math:: z = \frac{\sum_s a_s - \kappa_1}{\sqrt{\kappa_2}}, \quad \kappa_1 = \sum_s \frac{n_s m_s}{N_s}, \quad
        \kappa_2 = \sum_s \frac{n_s (N_s - n_s) m_s (N_s - m_s)}{N_s^2 (N_s - 1)} .

    Its normal approximation is far off where few cells are open: where .06 of 20 cells are expected to be open, three
    are no chance of 3e-34, but of 7e-6. A hypergeometric number is a sum of independent events, and the p-value is
    therefore that of the binomial, moved by a constant, that has the first three cumulants of the sum (Röllin 2007,
    Annals of Applied Probability 17:1596). Beyond the most cells that this binomial reaches, the p-value is at most
    that of the binomial with the same mean and as many cells as the sum reaches, which is an upper bound (Hoeffding
    1956, Annals of Mathematical Statistics 27:713). It is twice that of the tail in which the number lies. Before that,
    its logarithm is within 3 % of the exact one, down to 1e-7.

    The fold change compares the shares of open cells, those of other cells weighted to the group's depths; cells
    without another one at their depth are left out. Half a cell of the smaller side is added to both, so that it is
    finite.

    FDRs are those of Benjamini and Hochberg over the peaks of a group. So that no group has markers by chance, however
    many there are, they are no smaller than that of the group itself: the smallest one of its peaks that holds whatever
    their dependence is (Benjamini and Yekutieli 2001, Annals of Statistics 29:1165), adjusted over the groups.
    """
    n_groups, n_peaks = sums.of_group.shape
    log2fc, fraction, background, score = np.empty((4, n_peaks, n_groups), dtype=np.float32)
    pvalue = np.empty((n_peaks, n_groups))
    for first in range(0, n_peaks, _PEAKS_AT_ONCE):
        some = slice(first, first + _PEAKS_AT_ONCE)
        of_group, of_stratum = sums.of_group[:, some], sums.of_stratum[:, some]
        cumulants = _cumulants(sums.cells, of_stratum)
        score[some] = _score(of_group, *cumulants[:2]).T
        pvalue[some] = _pvalue(of_group, cumulants, sums.cells, of_stratum).T
        fraction[some] = (of_group / sums.cells.sum(axis=1)[:, None]).T
        inside, outside, half = _shares(sums, some)
        background[some] = outside.T
        log2fc[some] = np.log2((inside + half) / (outside + half)).T
    fdr = false_discovery_control(pvalue, axis=0)
    of_groups = false_discovery_control(false_discovery_control(pvalue, axis=0, method="by").min(axis=0))
    return Comparison(log2fc, fraction, background, score, pvalue, np.maximum(fdr, of_groups))


def _cumulants(
    cells: NDArray[np.int64], of_stratum: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return (n_groups, n_peaks) mean, variance and third cumulant of the number of open cells, sums over strata."""
    n, N = cells.astype(np.float64), cells.sum(axis=0).astype(np.float64)
    m, M = of_stratum, N[:, None]
    # In a stratum of one or two cells what is divided is 0 too.
    second = n * (N - n) / (N**2 * np.maximum(N - 1, 1))
    third = second * (N - 2 * n) / (N * np.maximum(N - 2, 1))
    spread = m * (M - m)
    return (n / N) @ m, second @ spread, third @ (spread * (M - 2 * m))


def _score(
    of_group: NDArray[np.float64], mean: NDArray[np.float64], variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.divide(of_group - mean, np.sqrt(variance), out=np.zeros(mean.shape), where=variance > 0)


def _pvalue(
    of_group: NDArray[np.float64],
    cumulants: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    cells: NDArray[np.int64],
    of_stratum: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return (n_groups, n_peaks) two-sided p-values; 1 where nothing varies."""
    pvalue = np.ones(of_group.shape)
    group, peak = varies = np.nonzero(cumulants[1] > 0)
    a, mean, variance, third = (x[varies] for x in (of_group, *cumulants))
    # Few open cells are many closed ones.
    is_below, n_cells = a <= mean, cells.sum(axis=1)[group]
    a, mean, third = (np.where(is_below, x, y) for x, y in ((n_cells - a, a), (n_cells - mean, mean), (-third, third)))
    p = (1 - third / variance) / 2
    n = variance / (p * (1 - p))
    # P(X ≥ a) of a binomial is the incomplete beta function at (a, n - a + 1), which needs no whole numbers.
    moved = a - (mean - n * p)
    at = np.clip(moved, np.finfo(float).tiny, n)
    tail = betainc(at, n - at + 1, p)
    # The sum reaches further than the binomial.
    far = np.flatnonzero(moved > n)
    m, N = of_stratum[:, peak[far]], cells.sum(axis=0)[:, None]
    most = np.minimum(cells[group[far]].T, np.where(is_below[far], N - m, m)).sum(axis=0)
    tail[far] = np.minimum(tail[far], betainc(a[far], most - a[far] + 1, mean[far] / most))
    pvalue[varies] = np.minimum(2 * tail, 1)
    return pvalue


def _shares(sums: OpenCells, some: slice) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return shares of open cells of groups and of others at the same depths, and what half a cell is.

    Only strata count in which there are both.
    """
    n, N = sums.cells, sums.cells.sum(axis=0)
    is_alone = (n == N).astype(np.float64)
    n_compared = np.maximum((n * (n < N)).sum(axis=1), 1)[:, None]
    n_others = np.maximum(((N - n) * (n > 0)).sum(axis=1), 1)[:, None]
    m = sums.of_stratum[:, some]
    inside = sums.of_group[:, some] - is_alone @ m
    outside = np.maximum(sums.weights @ m - sums.weighted[:, some], 0)
    return inside / n_compared, outside / n_compared, 0.5 / np.minimum(n_compared, n_others)
