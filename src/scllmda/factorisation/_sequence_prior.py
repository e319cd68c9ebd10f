from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ._threads import in_order

Float = NDArray[np.floating]

N_FOLDS = 5
"""Number of folds by which ridge penalties are chosen. With 3, 5 and 10 the held-out R² is .030, .030 and .031 on cell
lines, and .172, .178 and .182 on simulated peaks."""
RIDGE_GRID = np.logspace(-2, 4, 13)
"""Ridge penalties to choose from, in units of the mean eigenvalue of the embeddings' Gram matrix. With 7, 13 and 49 of
them in this range the held-out R² is .029, .030 and .030 on cell lines, and .172, .178 and .181 on simulated peaks; a
wider range gives the same."""


@dataclass(frozen=True)
class SequencePrior:
    """g: predicts a peak's loadings from the embedding of its sequence, by a ridge regression per latent dimension.

    g(seq) = weightsᵀ (embedding − mean) / scale. Networks with one hidden layer had a lower held-out R² on the
    sequences at hand. Dimensions that sequence does not predict on held-out peaks have zero weights.
    """

    mean: Float
    """(d,): mean of the peak embeddings."""
    scale: Float
    """(d,): standard deviation of the peak embeddings."""
    weights: Float
    """(d, k): ridge coefficients on standardized embeddings."""
    held_out_r2: float
    """Share of the loadings' variance, weighted by the peaks' counts, that is predicted on held-out peaks (0-1)."""

    def __call__(self, embeddings: Float) -> Float:
        """Return the predicted loadings (n_peaks, k); zero for peaks without a sequence (rows of NaN)."""
        standardized = np.nan_to_num((embeddings - self.mean) / self.scale)
        return standardized @ self.weights

    def rotate(self, rotation: Float) -> SequencePrior:
        """Return the prior of ``loadings @ rotation`` (k, k)."""
        return replace(self, weights=self.weights @ rotation)


def tells_peaks_apart(embeddings: Float) -> bool:
    """Return whether any known embeddings (n_peaks, d) differ: equal ones, or none, predict nothing."""
    known = embeddings[np.isfinite(embeddings).all(axis=1)]
    return len(known) > 0 and bool((known != known[0]).any())


class SequencePriorFitter:
    """Fits g to loadings that change from alternation to alternation, on fixed embeddings decomposed once.

    Parameters
    ----------
    embeddings
        (n_peaks, d); rows of NaN are peaks without a sequence.
    weights
        (n_peaks,): weight of each peak in the regression, the number of its counts.
    rng
        Draws the folds.
    """

    def __init__(self, embeddings: Float, weights: Float, rng: np.random.Generator) -> None:
        self._known = np.isfinite(embeddings).all(axis=1) & (weights > 0)
        Z = np.asarray(embeddings[self._known], dtype=np.float32)
        self._mean = Z.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._scale = Z.std(axis=0, dtype=np.float64).astype(np.float32)
        self._scale[self._scale < 1e-6] = 1
        self._all = np.nan_to_num((np.asarray(embeddings, dtype=np.float32) - self._mean) / self._scale)
        Z = self._all[self._known]
        self._w = (weights[self._known] / weights[self._known].mean()).astype(np.float32)
        self._Z = Z
        # Folds are dealt by a random projection of the embeddings, so that the order of the peaks does not matter.
        order = np.argsort(Z @ rng.standard_normal(Z.shape[1]), kind="stable")
        self._folds = [np.sort(order[f::N_FOLDS]) for f in range(N_FOLDS)]
        grams = np.array([Z[fold].T @ (Z[fold] * self._w[fold, None]) for fold in self._folds], dtype=np.float64)
        total = grams.sum(axis=0)
        self._eigen_all, *self._eigen = in_order(np.linalg.eigh, [total, *(total - gram for gram in grams)])
        self._grams = [vectors.T @ gram @ vectors for gram, (_, vectors) in zip(grams, self._eigen, strict=True)]
        # Penalties are relative to the mean eigenvalue of ZᵀWZ, which is 0 if all embeddings are the same.
        self._strengths = RIDGE_GRID * (np.trace(total) / total.shape[0] or 1.0)

    def __call__(self, loadings: Float) -> tuple[SequencePrior, Float]:
        """Fit g to loadings (n_peaks, k).

        Returns
        -------
        g, and its prediction (n_peaks, k) for each peak when fitted to the other folds, so that a peak's own counts do
        not come back to it as a prediction. Zero for peaks without a sequence.
        """
        T = np.asarray(loadings[self._known], dtype=np.float32)
        wT = T * self._w[:, None]
        crosses = np.array([self._Z[fold].T @ wT[fold] for fold in self._folds], dtype=np.float64)
        total, null = crosses.sum(axis=0), (wT * T).sum(axis=0, dtype=np.float64)
        # Squared errors on the folds left out, tr(βᵀ ZᵀWZ β − 2 βᵀ ZᵀWl) + lᵀWl, from Gram matrices alone, in the
        # eigenvectors of the other folds' ZᵀWZ, in which β = (ZᵀWZ + λI)⁻¹ ZᵀWl is a division.
        loss = np.tile(null, (len(self._strengths), 1))
        targets = []
        for gram, cross, (values, vectors) in zip(self._grams, crosses, self._eigen, strict=True):
            target, held_out = vectors.T @ (total - cross), vectors.T @ cross
            targets.append(target)
            for i, strength in enumerate(self._strengths):
                fitted = target / (values + strength)[:, None]
                loss[i] += ((gram @ fitted - 2 * held_out) * fitted).sum(axis=0)
        best = loss.argmin(axis=0)
        columns = np.arange(T.shape[1])
        r2 = 1 - np.divide(loss[best, columns], null, out=np.ones_like(null), where=null > 0)
        used = r2 > 0
        values, vectors = self._eigen_all
        weights = vectors @ ((vectors.T @ total) / (values[:, None] + self._strengths[best])) * used
        explained = (null * np.where(used, r2, 0)).sum() / (null.sum() or 1.0)
        prior = SequencePrior(self._mean, self._scale, weights.astype(np.float32), float(explained))
        expected = np.zeros_like(T)
        for fold, target, (values, vectors) in zip(self._folds, targets, self._eigen, strict=True):
            others = vectors @ (target / (values[:, None] + self._strengths[best])) * used
            expected[fold] = self._Z[fold] @ others.astype(np.float32)
        out_of_fold = np.zeros(loadings.shape, dtype=np.float32)
        out_of_fold[self._known] = expected
        return prior, out_of_fold
