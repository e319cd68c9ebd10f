from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._tiles import tiles

Float = NDArray[np.floating]


class Shrinkage:
    r"""Posterior of effects given evidence and a normal prior, for many effects that differ in exposure alone.

    With exposure c, Gram matrix G of the design and prior N(0, S), the posterior has precision c G + S⁻¹. In the
    generalized eigenbasis P of (G, S⁻¹), where Pᵀ G P = diag(e) and S = P Pᵀ, its covariance is P diag(1 / (c e + 1))
    Pᵀ: one decomposition serves all. S may be singular; its null space stays at the prior mean.

    Parameters
    ----------
    gram
        (k, k).
    covariance
        (k, k) of the prior.
    """

    def __init__(self, gram: Float, covariance: Float) -> None:
        values, vectors = np.linalg.eigh(covariance)
        self._root = vectors * np.sqrt(np.maximum(values, 0))
        evidence, self._rotation = np.linalg.eigh(self._root.T @ gram @ self._root)
        self.axes: Float = self._root @ self._rotation
        """P (k, k)."""
        self.evidence: Float = np.maximum(evidence, 0)
        """e (k,): precision gained per unit exposure, in units of that of the prior; increasing."""

    def scores(self, pull: Float, exposure: Float) -> Float:
        """Return posterior means along the axes (n, k); ``scores @ axes.T`` are the effects.

        Parameters
        ----------
        pull
            (n, k): what the evidence says times its precision.
        exposure
            (n,).
        """
        return (pull @ self.axes.astype(pull.dtype)) * self.variance(exposure).astype(pull.dtype)

    def covariance(self, exposure: Float, weights: Float) -> Float:
        """Return Σ ``weights`` (n,) × posterior covariances, (k, k)."""
        return (self.axes * self._summed_variance(exposure, weights)) @ self.axes.T

    def determined(self, exposure: Float) -> Float:
        """Return Σ over effects of the share of the prior that evidence replaced (k, k), where the prior is I."""
        share = len(exposure) - self._summed_variance(exposure, np.ones(len(exposure)))
        return (self._rotation * share) @ self._rotation.T

    def squares(self, scores: Float) -> Float:
        """Return Σ over effects of their outer products (k, k), where the prior is I."""
        return self._rotation @ (scores.T @ scores) @ self._rotation.T

    def prior(self, squares: Float, determined: Float) -> Float:
        """Return the covariance (k, k) of the prior that has most evidence, by a step of MacKay's fixed point.

        MacKay 1992, eq. 4.9, for a full covariance: variances are sums of squared posterior means over the number of
        effects that the evidence determines. It has the fixed points of expectation maximization, which takes twice as
        many steps.
        """
        values, vectors = np.linalg.eigh(determined)
        solvable = values > 1e-12 * values.max(initial=0)
        scale = np.divide(1.0, np.sqrt(np.abs(values)), out=np.zeros_like(values), where=solvable)
        whitening = (vectors * scale) @ vectors.T
        root = self._root @ whitening
        return root @ squares @ root.T

    def variance(self, exposure: Float) -> Float:
        """Return posterior variances along the axes (n, k), where the prior's are 1."""
        return 1 / (exposure[:, None] * self.evidence + 1)

    def _summed_variance(self, exposure: Float, weights: Float) -> Float:
        """Return Σ ``weights`` (n,) × variances (k,)."""
        summed = np.zeros(len(self.evidence))
        for tile in tiles(len(exposure)):
            summed += weights[tile] @ self.variance(exposure[tile])
        return summed
