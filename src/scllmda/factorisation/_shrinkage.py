from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._tiles import tiles

Float = NDArray[np.floating]


class Shrinkage:
    r"""Posterior of many effects (of cells, or of peaks) under one normal prior and designs that differ in scale alone.

    An effect u has the prior N(0, S) and is observed with the precision c G: c is its exposure (of a cell its depth, of
    a peak its base rate) and G the Gram matrix of the design, which all effects share. Its posterior has the precision
    c G + S⁻¹. With P such that Pᵀ G P = diag(e) and S = P Pᵀ, the posterior covariance is P diag(1 / (c e + 1)) Pᵀ, so
    that one decomposition serves all effects. S may be singular: effects have no component outside of its range.

    Parameters
    ----------
    gram
        (k, k): G.
    covariance
        (k, k): S.
    """

    def __init__(self, gram: Float, covariance: Float) -> None:
        values, vectors = np.linalg.eigh(covariance)
        self._root = vectors * np.sqrt(np.maximum(values, 0))
        evidence, self._rotation = np.linalg.eigh(self._root.T @ gram @ self._root)
        self.axes: Float = self._root @ self._rotation
        """P (k, k): axes in which the prior is I and the evidence diagonal."""
        self.evidence: Float = np.maximum(evidence, 0)
        """e (k,): precision that a unit of exposure adds along each axis, where that of the prior is 1; increasing."""

    def variance(self, exposure: Float) -> Float:
        """Return the posterior variances 1 / (c e + 1) along the axes (n, k), with exposures c; the prior's are 1."""
        return 1 / (exposure[:, None] * self.evidence + 1)

    def summed_variance(self, exposure: Float, weights: Float) -> Float:
        """Return Σ over effects of ``weights`` (n,) × :meth:`variance`, (k,), a few effects at a time."""
        summed = np.zeros(len(self.evidence))
        for tile in tiles(len(exposure)):
            summed += weights[tile] @ self.variance(exposure[tile])
        return summed

    def scores(self, pull: Float, variance: Float) -> Float:
        """Return posterior means in coordinates of the axes (n, k); ``scores @ axes.T`` are the effects.

        The posterior mean is (c G + S⁻¹)⁻¹ ``pull``, which in these coordinates is Pᵀ ``pull`` / (c e + 1).

        Parameters
        ----------
        pull
            (n, k): gradient of the log likelihood of each effect at 0, such as (counts − expected counts) @ loadings.
        variance
            (n, k): of each effect, as :meth:`variance` returns them.
        """
        return (pull @ self.axes.astype(pull.dtype)) * variance.astype(pull.dtype)

    def covariance(self, summed: Float) -> Float:
        """Return a sum of posterior covariances (k, k), given that of the variances (k,), with whatever weights."""
        return (self.axes * summed) @ self.axes.T

    def determined(self, summed: Float, n: int) -> Float:
        """Return Σ over effects of c e / (c e + 1), (k, k): how many of them the counts, not the prior, determine.

        The axes are those in which the prior is I, before :attr:`axes` rotates them so that G is diagonal.

        Parameters
        ----------
        summed
            (k,): sum of the effects' variances.
        n
            Number of effects.
        """
        return (self._rotation * (n - summed)) @ self._rotation.T

    def squares(self, scores: Float) -> Float:
        """Return Σ over effects of the outer products of their means (k, k), in the axes of :meth:`determined`.

        Parameters
        ----------
        scores
            (k, k): Σ over effects of the outer products of their :meth:`scores`.
        """
        return self._rotation @ scores @ self._rotation.T

    def prior(self, squares: Float, determined: Float) -> Float:
        """Return the next S (k, k), a step of MacKay's fixed point towards the S under which the counts are likeliest.

        MacKay 1992, eq. 4.9, for a full covariance: a variance is the sum of squared posterior means (:meth:`squares`)
        divided by the number of effects that the counts determine (:meth:`determined`). Expectation maximization has
        the same fixed points and takes twice as many steps.
        """
        values, vectors = np.linalg.eigh(determined)
        # Directions below this share of the largest are rounding. In fits of four data sets the smallest was 1e-6 of
        # it.
        solvable = values > 1e-12 * values.max(initial=0)
        scale = np.divide(1.0, np.sqrt(np.abs(values)), out=np.zeros_like(values), where=solvable)
        whitening = (vectors * scale) @ vectors.T
        root = self._root @ whitening
        return root @ squares @ root.T
