from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ._threads import in_order

Float = NDArray[np.floating]

N_FOLDS = 5
RIDGE_GRID = np.logspace(-2, 4, 13)


@dataclass(frozen=True)
class SequencePrior:
    """g: what the DNA under a peak says of its loadings, a ridge regression per latent dimension.

    A linear map on the standardized embedding: on the sequences at hand its held-out R² was above that of
    one-hidden-layer networks. Dimensions that sequence does not predict on held-out peaks get zero weights.
    """

    mean: Float
    """(d,): mean of the peak embeddings."""
    scale: Float
    """(d,): their standard deviation."""
    weights: Float
    """(d, k)."""
    held_out_r2: float
    """Share of the loadings' weighted variance explained on held-out peaks."""

    def __call__(self, embeddings: Float) -> Float:
        """Return the expected loadings (n_peaks, k); zero for peaks without a sequence (rows of NaN)."""
        standardized = np.nan_to_num((embeddings - self.mean) / self.scale)
        return standardized @ self.weights

    def rotate(self, rotation: Float) -> SequencePrior:
        """Return the prior of ``loadings @ rotation`` (k, k)."""
        return replace(self, weights=self.weights @ rotation)


def tells_peaks_apart(embeddings: Float) -> bool:
    """Return whether known embeddings (n_peaks, d) differ: a prior cannot be fitted to none, or to a constant."""
    known = embeddings[np.isfinite(embeddings).all(axis=1)]
    return len(known) > 0 and bool((known != known[0]).any())


class SequencePriorFitter:
    """Fits priors to changing loadings on fixed peak embeddings; decompositions are made once.

    Parameters
    ----------
    embeddings
        (n_peaks, d); rows of NaN are peaks without a sequence.
    weights
        (n_peaks,): precision of each peak's loadings, its number of counts.
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
        # Dealt out by the embeddings themselves, so that the order of the peaks does not matter.
        order = np.argsort(Z @ rng.standard_normal(Z.shape[1]), kind="stable")
        self._folds = [np.sort(order[f::N_FOLDS]) for f in range(N_FOLDS)]
        grams = np.array([Z[fold].T @ (Z[fold] * self._w[fold, None]) for fold in self._folds], dtype=np.float64)
        total = grams.sum(axis=0)
        self._eigen_all, *self._eigen = in_order(np.linalg.eigh, [total, *(total - gram for gram in grams)])
        self._grams = [vectors.T @ gram @ vectors for gram, (_, vectors) in zip(grams, self._eigen, strict=True)]
        # Embeddings that are all the same have no spread to measure the penalty by.
        self._strengths = RIDGE_GRID * (np.trace(total) / total.shape[0] or 1.0)

    def __call__(self, loadings: Float) -> tuple[SequencePrior, Float]:
        """Fit g to loadings (n_peaks, k).

        Returns
        -------
        The prior, and its value for each peak (n_peaks, k) as fitted to the other folds: a peak's own counts must not
        come back to it as what its DNA says. Zero for peaks without a sequence.
        """
        T = np.asarray(loadings[self._known], dtype=np.float32)
        wT = T * self._w[:, None]
        crosses = np.array([self._Z[fold].T @ wT[fold] for fold in self._folds], dtype=np.float64)
        total, null = crosses.sum(axis=0), (wT * T).sum(axis=0, dtype=np.float64)
        # Squared errors on the folds left out, from Gram matrices alone, in the axes in which the ridge is diagonal.
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
