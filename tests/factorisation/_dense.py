"""What the factorisation computes, by dense matrices and a linear system per peak and per cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from scllmda.factorisation import Factorisation, InMemory, Margins, fit, margins


@dataclass(frozen=True)
class InBlocks:
    """A matrix in memory as blocks of a given size."""

    X: sp.csr_matrix
    size: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.X.shape

    def __iter__(self) -> Iterator[sp.csr_matrix]:
        for first in range(0, self.X.shape[0], self.size):
            yield self.X[first : first + self.size]


def csr(dense: Any) -> sp.csr_matrix:
    return sp.csr_matrix(np.asarray(dense, dtype=np.float32))


def run(X: sp.csr_matrix, n_components: int = 3, *, seed: int = 0, **options: Any) -> Factorisation:
    """Fit by the margins of one view."""
    return fit(InMemory(X), margins(InMemory(X)), n_components, rng=np.random.default_rng(seed), **options)


def effects(fitted: Factorisation) -> np.ndarray:
    """Return log fold changes (n_cells, n_peaks), which do not depend on the gauge."""
    return fitted.cells.astype(np.float64) @ fitted.decoder.loadings.astype(np.float64).T


def expected_counts(m: Margins) -> np.ndarray:
    """Return (n_cells, n_peaks)."""
    return m.exposure[:, None] * m.expected[m.view]


def split_counts(X: sp.csr_matrix, share: float, rng: np.random.Generator) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Return binary counts without a random share of those that are open, and that share."""
    X = sp.coo_matrix(X)
    held_out = rng.random(X.nnz) < share
    kept, rest = (
        sp.csr_matrix((np.ones(mask.sum(), dtype=np.float32), (X.row[mask], X.col[mask])), shape=X.shape)
        for mask in (~held_out, held_out)
    )
    return kept, rest


def held_out_gain(fitted: Factorisation, m: Margins, held_out: sp.csr_matrix) -> float:
    """Return the log-likelihood gained over independence, to second order, per held-out count.

    Σ (x − s m) w·b − ½ Σ s m (w·b)², with s the held-out counts of a cell: the model's own expansion.
    """
    X = sp.coo_matrix(held_out.multiply((m.rate > 0)[None, :]))
    depth = np.asarray(X.sum(axis=1)).ravel()
    W, B = fitted.cells.astype(np.float64), fitted.decoder.loadings.astype(np.float64)
    linear = (W[X.row] * B[X.col]).sum() - (depth @ W) @ (m.rate @ B)
    quadratic = (((depth[:, None] * W).T @ W) * ((m.rate[:, None] * B).T @ B)).sum()
    return float((linear - quadratic / 2) / X.nnz)


@dataclass(frozen=True)
class Dense:
    """One alternation in the gauge of the SVD that it starts from."""

    cells: np.ndarray
    loadings: np.ndarray
    cell_prior: np.ndarray
    peak_prior: np.ndarray


def least_squares_start(X: np.ndarray, m: Margins, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cells by the SVD of Pearson residuals (n_cells, k), and the loadings that fit them best (n_peaks, k)."""
    residual, scale = _residual(X, m), np.sqrt(m.exposure[:, None] * m.rate)
    pearson = np.divide(residual, scale, out=np.zeros_like(residual), where=scale > 0)
    U, S, _ = np.linalg.svd(pearson, full_matrices=False)
    root = np.sqrt(m.exposure)[:, None]
    cells = np.divide(U[:, :k] * S[:k], root, out=np.zeros((len(X), k)), where=root > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        best = np.nan_to_num(residual.T @ cells / S[:k] ** 2 / m.rate[:, None])
    return cells, best


def one_alternation(X: np.ndarray, m: Margins, k: int, expected: np.ndarray | None = None) -> Dense:
    """Update every peak, then every cell, then both priors.

    Counts x_ji have mean and variance c_j m_i (1 + w_j · b_i) and c_j m_i, w_j ~ N(0, V), b_i ~ N(expected_i, T).
    The start has T = I, and V the mean of w wᵀ weighted by exposure.
    """
    cells, _ = least_squares_start(X, m, k)
    residual, c, rate = _residual(X, m), m.exposure, m.rate
    seen = m.expected[m.view] > 0
    V = (c[:, None] * cells).T @ cells / c.sum()
    expected = np.zeros((X.shape[1], k)) if expected is None else expected

    loadings, of_peaks = np.zeros((X.shape[1], k)), np.zeros((X.shape[1], k, k))
    deviations = np.zeros((X.shape[1], k))
    for i in np.flatnonzero(rate):
        gram = (seen[:, i] * c * cells.T) @ cells
        of_peaks[i] = np.linalg.inv(rate[i] * gram + np.eye(k))
        deviations[i] = of_peaks[i] @ (residual[:, i] @ cells - rate[i] * gram @ expected[i])
        loadings[i] = expected[i] + deviations[i]

    cells, of_cells = np.zeros((len(X), k)), np.zeros((len(X), k, k))
    second_moments = np.einsum("ik,il->ikl", loadings, loadings) + of_peaks
    for j in np.flatnonzero(c):
        design = np.einsum("i,ikl->kl", m.expected[m.view[j]], second_moments)
        of_cells[j] = np.linalg.inv(c[j] * design + np.linalg.inv(V))
        cells[j] = of_cells[j] @ (residual[j] @ loadings)
    return Dense(
        cells,
        loadings,
        _mackay(V, cells[c > 0], of_cells[c > 0]),
        _mackay(np.eye(k), deviations[rate > 0], of_peaks[rate > 0]),
    )


def _mackay(prior: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Return the next prior: squares of the means over what is determined of them, where the prior is I."""
    root = np.linalg.cholesky(prior)
    to_whitened = np.linalg.inv(root)
    whitened = means @ to_whitened.T
    determined = sum(np.eye(len(prior)) - to_whitened @ C @ to_whitened.T for C in covariances)
    values, vectors = np.linalg.eigh(determined)
    scale = root @ (vectors / np.sqrt(values)) @ vectors.T
    return scale @ (whitened.T @ whitened) @ scale.T


def _residual(X: np.ndarray, m: Margins) -> np.ndarray:
    return np.where(m.rate > 0, X - expected_counts(m), 0)
