from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]

N_FOLDS = 5
RIDGE_GRID = np.logspace(-2, 4, 13)


@dataclass(frozen=True)
class SequencePrior:
    """g: what the DNA under a peak says of its loadings, a ridge regression per latent dimension.

    A linear map on the standardised embedding: on the sequences at hand its held-out R² was above that of
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
        standardised = np.nan_to_num((embeddings - self.mean) / self.scale)
        return standardised @ self.weights

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
        self._fold = np.empty(len(Z), dtype=np.int64)
        self._fold[np.argsort(Z @ rng.standard_normal(Z.shape[1]), kind="stable")] = np.arange(len(Z)) % N_FOLDS
        grams = [Z[self._fold == f].T @ (Z[self._fold == f] * self._w[self._fold == f, None]) for f in range(N_FOLDS)]
        total = np.sum(grams, axis=0)
        self._eigen = [np.linalg.eigh(total - gram) for gram in grams]
        self._eigen_all = np.linalg.eigh(total)
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
        crosses = [self._Z[self._fold == f].T @ wT[self._fold == f] for f in range(N_FOLDS)]
        total = np.sum(crosses, axis=0)
        predictions = np.zeros((len(self._strengths), *T.shape), dtype=np.float32)
        for f, (values, vectors) in enumerate(self._eigen):
            held_out = self._fold == f
            projected, target = self._Z[held_out] @ vectors, vectors.T @ (total - crosses[f])
            for i, strength in enumerate(self._strengths):
                predictions[i, held_out] = projected @ (target / (np.maximum(values, 0) + strength)[:, None])
        loss = np.einsum("p,spk->sk", self._w, (predictions - T) ** 2)
        null = self._w @ T**2
        best = loss.argmin(axis=0)
        columns = np.arange(T.shape[1])
        r2 = 1 - np.divide(loss[best, columns], null, out=np.ones_like(null), where=null > 0)
        used = r2 > 0
        values, vectors = self._eigen_all
        weights = vectors @ ((vectors.T @ total) / (np.maximum(values, 0)[:, None] + self._strengths[best]))
        explained = (null * np.where(used, r2, 0)).sum() / (null.sum() or 1.0)
        prior = SequencePrior(self._mean, self._scale, weights * used, float(explained))
        held_out_values = np.zeros(loadings.shape, dtype=np.float32)
        held_out_values[self._known] = predictions[best, :, columns].T * used
        return prior, held_out_values
