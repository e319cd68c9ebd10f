from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]

TILE = 64
"""Rows per matrix product where the result must not depend on how many rows there are."""


class Shrinkage:
    r"""Posterior of effects given evidence and a normal prior, for many effects that differ in exposure alone.

    With exposure c, Gram matrix G of the design and prior N(0, S), the posterior has precision c G + S⁻¹. In the
    generalised eigenbasis P of (G, S⁻¹), where Pᵀ G P = diag(e) and S = P Pᵀ, its covariance is P diag(1 / (c e + 1))
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
        root = vectors * np.sqrt(np.maximum(values, 0))
        evidence, rotation = np.linalg.eigh(root.T @ gram @ root)
        self._basis = root @ rotation
        self._evidence = np.maximum(evidence, 0)

    def mean(self, pull: Float, exposure: Float) -> Float:
        """Return posterior means (n, k): covariance times ``pull`` (n, k), what the evidence says times its precision.

        Each row's bits are the same whatever rows it is among.
        """
        return _by_tiles(_by_tiles(pull, self._basis) * self._variance(exposure), self._basis.T)

    def covariance(self, exposure: Float, weights: Float) -> Float:
        """Return Σ ``weights`` (n,) × posterior covariances, (k, k)."""
        return (self._basis * (weights @ self._variance(exposure))) @ self._basis.T

    def _variance(self, exposure: Float) -> Float:
        return 1 / (exposure[:, None] * self._evidence + 1)


def _by_tiles(rows: Float, matrix: Float) -> Float:
    """Multiply in products of one shape: linear algebra libraries round differently by the number of rows.

    In double precision; in single precision even the place of a row in the product changes its bits.
    """
    n_tiles = -(-len(rows) // TILE)
    padded = np.zeros((n_tiles * TILE, rows.shape[1]))
    padded[: len(rows)] = rows
    tiles = padded.reshape(n_tiles, TILE, rows.shape[1]) @ np.ascontiguousarray(matrix)
    return tiles.reshape(n_tiles * TILE, matrix.shape[1])[: len(rows)]
