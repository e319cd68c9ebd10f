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


@dataclass(frozen=True)
class Decoder:
    """The frozen part of a factorisation: all that new cells need."""

    loadings: Float
    """(n_peaks, k): g(seq) + v. Orthonormal under ``rate`` as fitted; zero for peaks that were no evidence. Of half
    precision."""
    rate: Float
    """(n_peaks,): base rates, summing to 1 as fitted; zero likewise."""
    evidence: Float
    """(n_peaks,): rate at which a peak's loadings were learned: ``rate``, or 0 if they are from its sequence alone."""
    cell_covariance: Float
    """(k, k): prior covariance of cells."""
    peak_covariance: Float
    """(k, k): prior covariance of loadings around g."""
    cell_gram: Float
    """(k, k): exposure-weighted second moment of the cells that the loadings were learned from."""
    prior: SequencePrior | None = None
    """g, from sequence to loadings; None without sequence."""

    def extend(self, embeddings: Float, rate: Float) -> Decoder:
        """Add peaks that were not fitted, by their sequence.

        Parameters
        ----------
        embeddings
            (n_new, d) peak embeddings; peaks without one (rows of NaN) are no evidence.
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

    def pull_of_itself(self, X: sp.csr_matrix, cells: Float) -> Float:
        """Return the part of the cells' pull (n_cells, k) that is their own doing.

        Loadings that were fitted to a cell are pulled to where it is, and pull it there in turn, the more the rarer the
        peak: a new cell has nothing like it. Without cell j, the loadings of peak i lack (rate_i G + T⁻¹)⁻¹ x_ij w_j,
        with G ``cell_gram`` and T ``peak_covariance``, and so its pull lacks the sum of x_ij times that (where expected
        counts are small against 1).

        Parameters
        ----------
        X
            (n_cells, n_peaks): counts, all or some of those that the loadings were fitted to.
        cells
            (n_cells, k): w of the cells, as fitted.
        """
        posterior = Shrinkage(self.cell_gram, self.peak_covariance)
        variance = posterior.variance(self.evidence.astype(np.float64)) * (self.evidence > 0)[:, None]
        own = X @ variance.astype(np.float32)
        own *= cells @ posterior.axes.astype(np.float32)
        return own @ posterior.axes.T

    def gram(self, expected: Float) -> Float:
        """Return Σ ``expected`` (n_peaks,) × E[loadings loadingsᵀ], (k, k): the design of a cell per unit exposure."""
        spread = Shrinkage(self.cell_gram, self.peak_covariance).covariance(self.evidence, expected)
        return weighted_gram(self.loadings, expected) + spread


class CellMapper:
    """Embeds cells in the space of a decoder, each by a convex fit of its own.

    The posterior mean of w_j given the counts, to second order around the base rates, with loadings, base rates and
    prior frozen. A cell's bits do not depend on the cells around it.

    Parameters
    ----------
    decoder
        The space.
    expected
        (n_peaks,) base rates, 0 for peaks that the cells are not seen through: those are no evidence on them.
    """

    def __init__(self, decoder: Decoder, expected: Float) -> None:
        # Of the precision that is stored, so that cells are mapped as they were fitted.
        expected = expected.astype(np.float32).astype(np.float64)
        self._used = (expected > 0).astype(np.float32)
        self._loadings = decoder.loadings * self._used[:, None]
        self._mass = expected.sum()
        self._mean = np.einsum("i,ik->k", expected, decoder.loadings)
        self._shrinkage = Shrinkage(decoder.gram(expected), decoder.cell_covariance)

    def __call__(self, X: sp.csr_matrix) -> NDArray[np.float32]:
        """Return the embedding (n_cells, k), of half precision, of counts (n_cells, n_peaks).

        Zero for cells without evidence.
        """
        return self.embed(*self.evidence(X))

    def evidence(self, X: sp.csr_matrix) -> tuple[Float, Float]:
        """Return what counts (n_cells, n_peaks) say of cells: their pull (n_cells, k) and their exposure (n_cells,).

        The pull is (counts − expected) @ loadings. Both can be added up: what several cells say together is their sum.
        """
        pull, exposed = np.zeros((X.shape[0], self._loadings.shape[1])), np.zeros(X.shape[0])
        for tile in tiles(len(pull)):
            part = X[tile]
            exposed[tile] = (part @ self._used).astype(np.float64) / (self._mass or 1)
            pull[tile] = (part @ self._loadings).astype(np.float64) - exposed[tile, None] * self._mean
        return pull, exposed

    def embed(self, pull: Float, exposure: Float) -> NDArray[np.float32]:
        """Return the posterior means (n_cells, k), of half precision, given evidence."""
        cells = np.zeros(pull.shape, dtype=np.float32)
        for tile in tiles(len(cells)):
            scores = _row_by_row(pull[tile], self._shrinkage.axes) * self._shrinkage.variance(exposure[tile])
            cells[tile] = half_precision(_row_by_row(scores, self._shrinkage.axes.T))
        return cells


def half_precision(values: Float) -> NDArray[np.float32]:
    """Round to what two bytes can hold, far finer than posteriors are wide: a reference is stored in half the space."""
    return np.clip(values, *HALF_RANGE).astype(np.float16).astype(np.float32)


def _row_by_row(rows: Float, matrix: Float) -> Float:
    """Multiply each row by itself: linear algebra libraries round differently by the number of rows."""
    return (rows[:, None] @ np.ascontiguousarray(matrix))[:, 0]
