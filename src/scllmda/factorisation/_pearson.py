from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Float = NDArray[np.floating]

OVERSAMPLING = 16
"""Further random directions, so that the last ones asked for are good too."""

SMALL = 2**21
"""Entries, cells × peaks, up to which a dense decomposition is as quick."""


@dataclass(frozen=True)
class PearsonResiduals:
    """Pearson residuals of cells × peaks under independence, as a sparse matrix minus a rank-one term.

    With μ = (cell total × peak total) / total, the matrix is (X − μ) / √(μ · total). Its singular vectors are those of
    correspondence analysis, and the second-order expansion of the Poisson (and, openness being rare, the Bernoulli)
    likelihood of X around μ is least squares on it.
    """

    scaled: sp.csr_matrix
    """X with rows and columns divided by the square roots of their totals."""
    root_cell_mass: Float
    """(n_cells,): square root of each cell's share of all counts."""
    root_peak_mass: Float
    """(n_peaks,): square root of each peak's share of all counts."""
    total: float
    """Sum of all counts."""

    @classmethod
    def of(cls, X: sp.csr_matrix) -> PearsonResiduals:
        """Return the residuals of non-negative counts, with at least one above zero."""
        cell_total = np.asarray(X.sum(axis=1, dtype=np.float64)).ravel()
        peak_total = np.asarray(X.sum(axis=0, dtype=np.float64)).ravel()
        total = float(cell_total.sum())
        scaled = sp.diags_array(_inverse_root(cell_total)) @ X @ sp.diags_array(_inverse_root(peak_total))
        return cls(
            sp.csr_matrix(scaled, dtype=np.float32), np.sqrt(cell_total / total), np.sqrt(peak_total / total), total
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_peaks)."""
        return self.scaled.shape

    def times(self, loadings: Float) -> Float:
        """Residuals (n_cells, n_peaks) @ (n_peaks, k)."""
        loadings = np.ascontiguousarray(loadings, dtype=np.float32)
        return self.scaled @ loadings - np.outer(self.root_cell_mass, self.root_peak_mass @ loadings)

    def transposed_times(self, scores: Float) -> Float:
        """Transposed residuals (n_peaks, n_cells) @ (n_cells, k)."""
        scores = np.ascontiguousarray(scores, dtype=np.float32)
        return self.scaled.T @ scores - np.outer(self.root_peak_mass, self.root_cell_mass @ scores)

    def svd(self, n_components: int, rng: np.random.Generator, *, n_passes: int = 3) -> tuple[Float, Float]:
        """Return the leading left singular vectors (n_cells, k) and singular values (k,), largest first.

        By subspace iteration from a random start (Halko et al. 2011, algorithm 4.4). After few passes the subspace is
        only near the leading one, which costs points of accuracy if it is the embedding, but is as good a start of
        the alternations as a converged one: those iterate on the same subspace.

        Parameters
        ----------
        n_components
            k. The SVD is exact for small matrices, and from half of the smaller dimension on.
        rng
            Draws the start.
        n_passes
            Products with the residuals and their transpose.
        """
        if n_components >= min(self.shape) // 2 or self.shape[0] * self.shape[1] <= SMALL:
            dense = self.scaled.toarray() - np.outer(self.root_cell_mass, self.root_peak_mass)
            U, S, _ = np.linalg.svd(dense, full_matrices=False)
            return U[:, :n_components], S[:n_components]
        basis = rng.standard_normal((self.shape[1], n_components + OVERSAMPLING))
        for _ in range(n_passes):
            basis, _ = np.linalg.qr(self.transposed_times(self.times(basis)))
        projected = self.times(basis)
        values, vectors = np.linalg.eigh(projected.T @ projected)
        S = np.sqrt(np.maximum(values[::-1][:n_components], 0))
        U = projected @ vectors[:, ::-1][:, :n_components]
        return np.divide(U, S, out=np.zeros_like(U), where=S > 1e-12), S


def _inverse_root(totals: Float) -> Float:
    return np.divide(1.0, np.sqrt(totals), out=np.zeros_like(totals), where=totals > 0)
