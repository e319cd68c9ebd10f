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
        cells = np.zeros((X.shape[0], self._loadings.shape[1]), dtype=np.float32)
        for tile in tiles(len(cells)):
            part = X[tile]
            exposure = (part @ self._used).astype(np.float64) / (self._mass or 1)
            pull = (part @ self._loadings).astype(np.float64) - exposure[:, None] * self._mean
            scores = _row_by_row(pull, self._shrinkage.axes) * self._shrinkage.variance(exposure)
            cells[tile] = half_precision(_row_by_row(scores, self._shrinkage.axes.T))
        return cells


def half_precision(values: Float) -> NDArray[np.float32]:
    """Round to what two bytes can hold, far finer than posteriors are wide: a reference is stored in half the space."""
    return np.clip(values, *HALF_RANGE).astype(np.float16).astype(np.float32)


def _row_by_row(rows: Float, matrix: Float) -> Float:
    """Multiply each row by itself: linear algebra libraries round differently by the number of rows."""
    return (rows[:, None] @ np.ascontiguousarray(matrix))[:, 0]
