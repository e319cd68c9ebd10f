"""chromVAR's deviations: how much more open peaks with a motif are in a cell than like peaks without regard to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from ._peak_background import PeakBackground

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Deviations:
    r"""What of peaks and motifs the deviations of any cell are computed from.

    With counts :math:`x_{ci}` of cell :math:`c` in peak :math:`i`, the cell's sum :math:`d_c` over peaks and the
    peak's share :math:`f_i` of the counts of all cells, the raw deviation of a motif is, for the set :math:`M` of
    peaks with it,

    .. math:: y_{cM} = \frac{\sum_{i \in M} x_{ci}}{d_c \sum_{i \in M} f_i} - 1 .

    chromVAR draws for each peak 50 others that are like it in GC content and counts, computes the deviations of these
    50 sets, subtracts their mean from :math:`y` and divides by their standard deviation. Here mean and variance are
    those that ever more draws lead to. Each peak of the motif is drawn for independently, so that means and
    (co)variances of sums over a set are sums of those of the draws, which are means over bins; the ratio is expanded
    around them, its mean to second order and its variance to first. So there is no seed, no noise of 50 draws (10 % of
    the standard deviation), and one pass over the counts instead of 51.
    """

    matches: sp.csr_matrix
    """(n_peaks, n_motifs) float64: 1 where a peak has a site."""
    share: npt.NDArray[np.float64]
    """(n_peaks,): f, share of all counts."""
    to_bins: sp.csr_matrix
    """(n_peaks, n_bins): values of peaks times this are their means in each bin."""
    kernel: npt.NDArray[np.float64]
    """(n_bins, n_bins): from which bins peaks are drawn for a peak of each bin; rows sum to 1."""
    n_sites: npt.NDArray[np.float64]
    """(n_bins, n_motifs): number of peaks of each bin with a site."""

    @classmethod
    def of(cls, matches: sp.csr_matrix, totals: npt.NDArray[np.float64], gc: npt.NDArray[np.float64]) -> Deviations:
        """Return the deviations of motifs.

        Parameters
        ----------
        matches
            (n_peaks, n_motifs): whether a peak has a site.
        totals
            (n_peaks,): counts of all cells, above 0.
        gc
            (n_peaks,): share of G and C, not NaN.
        """
        matches = sp.csr_matrix(matches, dtype=np.float64)
        background = PeakBackground.of(gc, totals)
        n_peaks, n_bins = len(totals), len(background.kernel)
        in_bin = sp.csr_matrix((np.ones(n_peaks), background.bin, np.arange(n_peaks + 1)), shape=(n_peaks, n_bins))
        to_bins = sp.csr_matrix(in_bin.multiply(1 / in_bin.sum(axis=0)))
        share = totals / totals.sum()
        return cls(matches, share, to_bins, background.kernel, (in_bin.T @ matches).toarray())

    def of_cells(self, counts: sp.csr_matrix) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return deviations without bias, and z-scores, (n_cells, n_motifs); 0 where they are not defined.

        Parameters
        ----------
        counts
            (n_cells, n_peaks)
        """
        depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
        X = sp.diags(1 / np.where(depth > 0, depth, 1)) @ counts
        expected = self.share @ self.matches
        raw = (X @ self.matches).toarray() / np.where(expected > 0, expected, 1)
        mean, variance = self._of_background(X)
        deviation = np.where((expected > 0) & (depth > 0)[:, None], raw - mean, 0)
        return deviation, np.divide(deviation, np.sqrt(variance), out=np.zeros_like(raw), where=variance > 0)

    def _of_background(self, X: sp.csr_matrix) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return mean and variance, (n_cells, n_motifs), of observed over expected shares of counts of drawn sets.

        X holds shares of a cell's counts. Means over bins of a cell are as sparse as its counts, so that everything
        but the squared mean is a sparse product.
        """
        n, weight = self.n_sites, self.kernel.T @ self.n_sites
        x = X @ self.to_bins
        f = self.kernel @ (self.share @ self.to_bins)
        A, B = x @ weight, f @ n
        var_A = (X.multiply(X) @ self.to_bins) @ weight - (x @ self.kernel.T) ** 2 @ n
        cov = (X.multiply(self.share) @ self.to_bins) @ weight - x @ (self.kernel.T @ (f[:, None] * n))
        var_B = (self.share**2 @ self.to_bins) @ weight - f**2 @ n
        B = np.where(B > 0, B, 1)
        ratio = A / B
        mean = ratio + (ratio * var_B - cov) / B**2
        variance = (var_A - 2 * ratio * cov + ratio**2 * var_B) / B**2
        # What is left of equal numbers by rounding is 0.
        return mean, np.where(variance > 1e-12 * ratio**2, variance, 0)
