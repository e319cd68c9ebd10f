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
    """(n_peaks, k): peak loadings; columns orthonormal."""
    peak_mass: Float
    """(n_peaks,): each peak's share of all counts, the base rate."""
    prior: SequencePrior | None
    """From sequence to loadings divided by the root of ``peak_mass``; None without sequence."""


def fit(
    X: sp.csr_matrix,
    n_components: int,
    *,
    embeddings: Float | None = None,
    n_iterations: int = 6,
    rng: np.random.Generator,
) -> Factorisation:
    r"""Factorise binary cells × peaks with sequence as the prior of the peaks' loadings.

    The model is logit P(peak i open in cell j) = w_j · (g(seq_i) + v_i) + a_i + b_j, with v_i ~ N(0, τ²). To second order
    around the base rates it is ridge regression on Pearson residuals in either factor, solved in turn from their SVD.
    Loadings shrink to g(seq_i) by c_i σ² / (c_i σ² + 1/τ²) per dimension, with c_i the peak's counts and σ the
    dimension's singular value: evidence for open peaks, prior for rare ones. τ² is the loadings' excess variance around the
    held-out g, per dimension (empirical Bayes by moments), so sequence counts for as much as it predicts.

    Parameters
    ----------
    X
        (n_cells, n_peaks) binary counts.
    n_components
        Latent dimensions; at most ``min(X.shape)`` are returned.
    embeddings
        (n_peaks, d) peak embeddings; rows of NaN are peaks without a sequence. None for counts alone.
    n_iterations
        Alternations after the SVD. The subspace changes by less than one per cent after six on real data.
    rng
        Starts the Lanczos iteration and draws the folds of g.
    """
    residuals = PearsonResiduals.of(X)
    n_components = min(n_components, min(residuals.shape))
    scores, singular = residuals.svd(n_components, rng)
    peak_counts = residuals.root_peak_mass**2 * residuals.total
    root_mass = residuals.root_peak_mass[:, None]
    fitter = None if embeddings is None else SequencePriorFitter(embeddings, peak_counts, rng)
    prior: SequencePrior | None = None
    expected: Float = np.zeros((1, n_components))

    for _ in range(n_iterations):
        evidence = _divide(residuals.transposed_times(scores), singular)
        effects = _divide(evidence, root_mass)
        held_out = expected
        if fitter is not None:
            prior, expected, held_out = fitter(effects)
        precision = peak_counts[:, None] * singular**2
        excess = peak_counts @ (effects - held_out) ** 2 - _divide(float((peak_counts > 0).sum()), singular**2)
        variance = np.maximum(excess / residuals.total, 0)
        trust = precision * variance / (precision * variance + 1)
        loadings = root_mass * (trust * effects + (1 - trust) * expected)
        cells = residuals.times(loadings) @ np.linalg.pinv(loadings.T @ loadings, hermitian=True)
        scores, singular, peaks = _canonical(cells, loadings)

    if fitter is not None:
        prior, _, _ = fitter(_divide(peaks, root_mass))
    return Factorisation(
        (scores * singular).astype(np.float32),
        peaks.astype(np.float32),
        (residuals.root_peak_mass**2).astype(np.float32),
        prior,
    )


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
