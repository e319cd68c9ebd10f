from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._pearson import PearsonResiduals
from ._sequence_prior import SequencePrior, SequencePriorFitter

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Factorisation:
    """Pearson residuals (n_cells, n_peaks) ≈ ``cells @ peaks.T``, with the prior of the peaks' loadings."""

    cells: Float
    """(n_cells, k): cell embedding; columns orthogonal, largest first."""
    peaks: Float
    """(n_peaks, k): peak loadings; columns orthonormal; zero for peaks that were no evidence."""
    peak_mass: Float
    """(n_peaks,): each peak's share of all counts, the base rate; zero likewise."""
    prior: SequencePrior | None
    """From sequence to loadings divided by the root of ``peak_mass``; None without sequence."""


def fit(
    X: sp.csr_matrix,
    n_components: int,
    *,
    embeddings: Float | None = None,
    domain: NDArray[np.generic] | None = None,
    n_iterations: int = 12,
    rng: np.random.Generator,
) -> Factorisation:
    r"""Factorise binary cells × peaks with sequence as the prior of the peaks' loadings.

    The model is logit P(peak i open in cell j) = w_j · (g(seq_i) + v_i) + a_i + b_j, with w_j ~ N(0, Λ) and
    v_i ~ N(0, T), both diagonal. To second order around the base rates it is least squares on Pearson residuals,
    solved by alternating posterior means (variational Bayes, Bishop 1999; Lim & Teh 2007) from a truncated SVD. With c
    counts, evidence E per count and prior variance V, an effect moves from its prior mean to what the counts say by
    c E / (c E + 1 / V): evidence for open peaks and deep cells, prior for the rest. Λ and T are mean posterior squares
    (empirical Bayes), T around g as fitted to other peaks, so sequence counts for as much as it predicts. The embedding
    is then the least-squares one given the loadings: they are kept from noise, and no cell is pulled to the origin.

    Parameters
    ----------
    X
        (n_cells, n_peaks) binary counts.
    n_components
        Latent dimensions; at most ``min(X.shape)`` are returned.
    embeddings
        (n_peaks, d) peak embeddings; rows of NaN are peaks without a sequence. None for counts alone.
    domain
        (n_cells,) domain of each cell. Only peaks open in every domain are evidence then: a peak that one platform
        never called says which platform a cell is from, not what it is. None to use every open peak.
    n_iterations
        Alternations after the SVD; 0 leaves the SVD as it is. Fixed, without a look at any label: on real data the
        likelihood of held-out counts has all but settled by 12, and much longer runs switch off whole dimensions.
    rng
        Starts the SVD and draws the folds of g.
    """
    evident = evident_peaks(X, domain)
    residuals = PearsonResiduals.of(X[:, evident])
    if embeddings is not None and not np.isfinite(embeddings[evident]).all(axis=1).any():
        embeddings = None
    n_components = min(n_components, min(residuals.shape))
    root_mass = residuals.root_peak_mass[:, None]
    cell_mass = residuals.root_cell_mass[:, None] ** 2
    cell_counts = cell_mass * residuals.total
    peak_counts = root_mass**2 * residuals.total
    fitter = None if embeddings is None else SequencePriorFitter(embeddings[evident], peak_counts[:, 0], rng)
    expected: Float = np.zeros((1, n_components))

    scores, singular = residuals.svd(n_components, rng)
    cells: Float = scores * singular
    peaks = _divide(residuals.transposed_times(scores), singular)
    cell_gram = np.diag(singular**2)
    cell_variance: Float = singular**2
    peak_variance: Float = np.ones(n_components)
    for _ in range(n_iterations):
        rotation, evidence = _diagonalise(cell_gram)
        cells, cell_variance, peak_variance = cells @ rotation, *_rotate(rotation, cell_variance, peak_variance)
        effects = _divide(residuals.transposed_times(cells), evidence) / root_mass
        if fitter is not None:
            _, expected = fitter(effects)
        trust = _trust(peak_counts * evidence * peak_variance)
        deviation = trust * (effects - expected)
        spread = _divide(trust, peak_counts * evidence)
        peaks = root_mass * (expected + deviation)
        peak_variance = (deviation**2 + spread).mean(axis=0)
        peak_gram = peaks.T @ peaks + np.diag((root_mass**2 * spread).sum(axis=0))

        rotation, evidence = _diagonalise(peak_gram)
        peaks, cell_variance, peak_variance = peaks @ rotation, *_rotate(rotation, cell_variance, peak_variance)
        trust = _trust(cell_counts * evidence * cell_variance)
        spread = _divide(trust, cell_counts * evidence)
        cells = trust * _divide(residuals.times(peaks), evidence)
        cell_variance = (_divide(cells**2, cell_mass) + spread).mean(axis=0)
        cell_gram = cells.T @ cells + np.diag((cell_mass * spread).sum(axis=0))

    cells = residuals.times(peaks) @ np.linalg.pinv(peaks.T @ peaks, hermitian=True)
    scores, singular, peaks = _canonical(cells, peaks)
    cells = scores * singular
    cells[residuals.root_cell_mass == 0] = 0
    all_peaks = np.zeros((X.shape[1], n_components), dtype=np.float32)
    all_peaks[evident] = peaks
    peak_mass = np.zeros(X.shape[1], dtype=np.float32)
    peak_mass[evident] = root_mass[:, 0] ** 2
    prior: SequencePrior | None = None
    if fitter is not None:
        prior, _ = fitter(_divide(residuals.transposed_times(scores), singular) / root_mass)
    return Factorisation(cells.astype(np.float32), all_peaks, peak_mass, prior)


def evident_peaks(X: sp.csr_matrix, domain: NDArray[np.generic] | None) -> NDArray[np.intp]:
    """Return the positions of the peaks that are open in some cell of every domain."""
    if domain is None:
        domain = np.zeros(X.shape[0], dtype=np.int8)
    open_in = [np.asarray(X[domain == d].sum(axis=0)).ravel() > 0 for d in np.unique(domain)]
    return np.flatnonzero(np.logical_and.reduce(open_in))


def _trust(odds: Float) -> Float:
    """Return the weight of the evidence, given its precision in units of the prior's."""
    return odds / (odds + 1)


def _diagonalise(gram: Float) -> tuple[Float, Float]:
    """Return the rotation that makes a Gram matrix diagonal, and its diagonal, largest first."""
    values, vectors = np.linalg.eigh(gram)
    return vectors[:, ::-1], np.maximum(values[::-1], 0)


def _rotate(rotation: Float, *variances: Float) -> list[Float]:
    """Return the diagonals of rotated diagonal covariances."""
    return [variance @ rotation**2 for variance in variances]


def _canonical(cells: Float, loadings: Float) -> tuple[Float, Float, Float]:
    """Return U, S, V of ``cells @ loadings.T``, signs fixed so that each column of U has its largest entry positive."""
    q_cells, r_cells = np.linalg.qr(cells)
    q_peaks, r_peaks = np.linalg.qr(loadings)
    u, s, vt = np.linalg.svd(r_cells @ r_peaks.T)
    U, V = q_cells @ u, q_peaks @ vt.T
    sign = np.where(U[np.abs(U).argmax(axis=0), np.arange(U.shape[1])] < 0, -1.0, 1.0)
    return U * sign, s, V * sign


def _divide(numerator: Float | float, denominator: Float) -> Float:
    """Divide; zero where the denominator is (next to) zero."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, dtype=np.float64), denominator)
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator > 1e-12)
