from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._sequence_prior import SequencePrior
from ._shrinkage import Shrinkage
from ._tiles import tiles, weighted_gram

Float = NDArray[np.floating]

HALF_RANGE = (np.finfo(np.float16).min, np.finfo(np.float16).max)
"""Smallest and largest number of half precision (two bytes, ``np.float16``)."""


@dataclass(frozen=True)
class Decoder:
    """What is kept of a fit to place new cells: the loadings of its peaks, and the priors, all frozen."""

    loadings: Float
    """(n_peaks, k): loadings g(seq_i) + v_i of each peak, rounded to half precision. As fitted they are orthonormal
    under the base rates, Σ rate_i · loading_i loading_iᵀ = I. Peaks that the fit did not use have zeros."""
    rate: Float
    """(n_peaks,): base rate of each peak, its share of all counts; as fitted they sum to 1. 0 for peaks that the fit
    did not use."""
    evidence: Float
    """(n_peaks,): ``rate`` where a peak's loadings were learned from counts; 0 where they are what its sequence
    predicts, as for peaks that :meth:`extend` adds."""
    cell_covariance: Float
    """(k, k): V, the covariance of the normal prior of the cells, w ~ N(0, V)."""
    peak_covariance: Float
    """(k, k): T, the covariance of the normal prior of what sequence does not predict of the loadings, v ~ N(0, T)."""
    cell_gram: Float
    """(k, k): G = Σ exposure_j · E[w_j w_jᵀ] over the cells of the fit. The loadings of a peak were learned with the
    precision rate_i G + T⁻¹."""
    prior: SequencePrior | None = None
    """g, which predicts a peak's loadings from its sequence; None if the fit had no sequences."""

    def extend(self, embeddings: Float, rate: Float) -> Decoder:
        """Add peaks that were not part of the fit, with the loadings that their sequence predicts, g(seq).

        Parameters
        ----------
        embeddings
            (n_new, d) peak embeddings. Peaks without one (rows of NaN) get base rate 0, and so do not count.
        rate
            (n_new,) base rates, relative to those of the fitted peaks.
        """
        if self.prior is None:
            msg = "A factorisation without sequence prior cannot be extended to other peaks."
            raise ValueError(msg)
        known = np.isfinite(embeddings).all(axis=1)
        return replace(
            self,
            loadings=np.concatenate([self.loadings, self.prior(embeddings).astype(np.float32)]),
            rate=np.concatenate([self.rate, np.where(known, rate, 0).astype(np.float32)]),
            evidence=np.concatenate([self.evidence, np.zeros(len(rate), dtype=np.float32)]),
        )

    def pull_of_own_counts(self, X: sp.csr_matrix, cells: Float) -> Float:
        """Return the part of the cells' pull (n_cells, k) that they get back from loadings fitted to their own counts.

        The loadings of a peak point to the cells in which it is open, so that a cell of the fit is drawn to its own
        fitted position, most of all by rare peaks. A new cell is not: to compare both, this part is subtracted. If cell
        j had not been in the fit, the loadings of an open peak i would lack (rate_i G + T⁻¹)⁻¹ w_j, with G
        ``cell_gram`` and T ``peak_covariance``. The part is Σ_i x_ij (rate_i G + T⁻¹)⁻¹ w_j (where counts are 0 or 1,
        and expected counts small against 1).

        Parameters
        ----------
        X
            (n_cells, n_peaks): counts, or some of the counts, that the loadings were fitted to.
        cells
            (n_cells, k): the fitted w of these cells.
        """
        posterior = Shrinkage(self.cell_gram, self.peak_covariance)
        variance = posterior.variance(self.evidence.astype(np.float64)) * (self.evidence > 0)[:, None]
        returned = X @ variance.astype(np.float32)
        returned *= cells @ posterior.axes.astype(np.float32)
        return returned @ posterior.axes.T

    def gram(self, expected: Float) -> Float:
        """Return Σ_i ``expected``_i · E[loading_i loading_iᵀ], (k, k), with ``expected`` (n_peaks,) base rates.

        The counts of a cell determine w with the precision exposure × this matrix.
        """
        posterior = Shrinkage(self.cell_gram, self.peak_covariance)
        spread = posterior.covariance(posterior.summed_variance(self.evidence, expected))
        return weighted_gram(self.loadings, expected) + spread


class CellMapper:
    """Embeds cells in the space of a decoder, each cell for itself.

    A cell's vector is the posterior mean of w given its counts, to second order around the base rates, with loadings l,
    base rates r and prior frozen. With exposure c (:meth:`evidence`),

    w = (c D + V⁻¹)⁻¹ Σ_i (x_i − c r_i) l_i, where D = Σ_i r_i E[l_i l_iᵀ] (:meth:`Decoder.gram`).

    The bits of the result do not depend on which other cells are mapped along.

    Parameters
    ----------
    decoder
        The space.
    expected
        (n_peaks,) base rates; 0 for peaks that were not measured in these cells, which are then left out.
    gram
        (k, k): D, where it is known.
    """

    def __init__(self, decoder: Decoder, expected: Float, gram: Float | None = None) -> None:
        # Rates are stored in single precision. Rounding them here makes mapped cells equal to fitted ones.
        expected = expected.astype(np.float32).astype(np.float64)
        self._used = (expected > 0).astype(np.float32)
        self._loadings = decoder.loadings * self._used[:, None]
        self._mass = expected.sum()
        self._mean = np.einsum("i,ik->k", expected, decoder.loadings)
        self.gram: Float = decoder.gram(expected) if gram is None else gram
        """D (k, k)."""
        self._shrinkage = Shrinkage(self.gram, decoder.cell_covariance)

    def __call__(self, X: sp.csr_matrix) -> NDArray[np.float32]:
        """Return the embedding (n_cells, k) of counts (n_cells, n_peaks), rounded to half precision.

        Cells without a count on the peaks that are used have zeros.
        """
        return self.embed(*self.evidence(X))

    def evidence(self, X: sp.csr_matrix) -> tuple[Float, Float]:
        """Return the pull (n_cells, k) and the exposure (n_cells,) of cells with counts (n_cells, n_peaks).

        The exposure c is the number of counts that a cell would have if all peaks had been measured in it; expected
        counts are c × base rates. The pull is (counts − expected counts) @ loadings: the gradient of the log likelihood
        at w = 0. Both are sums over counts, so those of cells that are pooled are the sums of those of the cells.
        """
        pull = X.tocsc() @ self._loadings
        exposed = (X @ self._used).astype(np.float64) / (self._mass or 1)
        return pull - exposed[:, None] * self._mean, exposed

    def embed(self, pull: Float, exposure: Float) -> NDArray[np.float32]:
        """Return the posterior means (n_cells, k) given :meth:`evidence`, rounded to half precision."""
        cells = np.zeros(pull.shape, dtype=np.float32)
        for tile in tiles(len(cells)):
            scores = _row_by_row(pull[tile], self._shrinkage.axes) * self._shrinkage.variance(exposure[tile])
            cells[tile] = half_precision(_row_by_row(scores, self._shrinkage.axes.T))
        return cells

    def pull_along(self, directions: Float, exposure: Float) -> Float:
        """Return u (n_cells, k) such that u · pull is the length of w along a direction for each cell (n_cells, k)."""
        axes = self._shrinkage.axes
        return ((directions @ axes) * self._shrinkage.variance(exposure)) @ axes.T


def half_precision(values: Float) -> NDArray[np.float32]:
    """Round to numbers of two bytes, so that a reference is stored in half the space.

    On bone marrow the rounding errors of cells are 3e-5 of their posterior standard deviations, and .007 at most. The
    numbers are those of a conversion to ``float16``, which takes fourteen times as long where they are very small.
    """
    single = np.clip(values, *HALF_RANGE).astype(np.float32)
    # Veltkamp's splitting: x (2^13 + 1) − (x (2^13 + 1) − x) is x rounded to 24 − 13 = 11 binary digits.
    shifted = single * np.float32(2**13 + 1)
    rounded = shifted - (shifted - single)
    # Below 2^-14, numbers of two bytes are the multiples of 2^-24.
    small = np.abs(single) < np.float32(2**-14)
    rounded[small] = np.rint(single[small] * np.float32(2**24)) * np.float32(2**-24)
    return rounded


def _row_by_row(rows: Float, matrix: Float) -> Float:
    """Return ``rows @ matrix``, one row at a time: linear algebra libraries round differently by the number of rows."""
    return (rows[:, None] @ np.ascontiguousarray(matrix))[:, 0]
