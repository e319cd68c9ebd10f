"""Where cells are by their counts, and what each peak has to do with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._decoder import CellMapper, Decoder
from ._shrinkage import Shrinkage

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Placement:
    """How cells are placed by their counts on peaks that were all measured in them."""

    decoder: Decoder
    """Of these peaks, with base rate 0 for those that were not used."""
    gram: Float
    """(k, k): :meth:`Decoder.gram` of the base rates."""
    as_new: bool
    """Whether cells of the fit are placed as if they had not been in it; see :meth:`Decoder.pull_of_own_counts`."""

    def __call__(self, X: sp.csr_matrix) -> Placed:
        """Place cells with counts (n_cells, n_peaks)."""
        mapper = CellMapper(self.decoder, self.decoder.rate, gram=self.gram)
        pull, exposure = mapper.evidence(X)
        fitted = None
        if self.as_new:
            fitted = mapper.embed(pull, exposure)
            pull = pull - self.decoder.pull_of_own_counts(X, fitted)
        return Placed(self, X, mapper, pull.astype(np.float32), exposure, fitted)


@dataclass(frozen=True)
class Placed:
    """Cells that were placed."""

    by: Placement
    counts: sp.csr_matrix
    """(n_cells, n_peaks)."""
    mapper: CellMapper
    pull: Float
    """(n_cells, k): see :meth:`CellMapper.evidence`."""
    exposure: Float
    """(n_cells,)."""
    fitted: NDArray[np.float32] | None
    """(n_cells, k): where the cells were in the fit, if they are placed as if they had not been in it."""

    def pull_by_peak(self, directions: Float) -> Float:
        r"""Return what each peak adds to the cells' pulls along a direction for each of them, (n_peaks,).

        The pull is a sum over peaks, so that Σ_j u_j · pull_j = Σ_i Σ_j u_j · [(x_ij − c_j r_i) l_i − x_ij S_i w_j],
        where S_i = (r_i G + T⁻¹)⁻¹ is what :meth:`Decoder.pull_of_own_counts` takes off.

        Parameters
        ----------
        directions
            (n_cells, k): u_j.
        """
        decoder, of_peak = self.by.decoder, self.counts.T
        expected = np.outer(decoder.rate.astype(np.float64), self.exposure @ directions)
        by_peak = np.einsum("ik,ik->i", decoder.loadings, of_peak @ directions * (decoder.rate > 0)[:, None] - expected)
        if self.fitted is None:
            return by_peak
        posterior = Shrinkage(decoder.cell_gram, decoder.peak_covariance)
        variance = posterior.variance(decoder.evidence.astype(np.float64)) * (decoder.evidence > 0)[:, None]
        along = (self.fitted @ posterior.axes) * (directions @ posterior.axes)
        return by_peak - np.einsum("ik,ik->i", variance, of_peak @ along)
