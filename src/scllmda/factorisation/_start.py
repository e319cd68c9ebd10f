from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._blocks import Blocks
from ._chance import normal
from ._held_out import keys_of_peaks
from ._margins import Margins
from ._sweep import Sweep, sweep
from ._tiles import weighted_gram

Float = NDArray[np.floating]

OVERSAMPLING = 16
"""Random directions beyond those asked for, so that the last ones are good too."""
N_PASSES = 2
"""Passes over the counts. As an embedding, an SVD stopped here would cost points of accuracy; as a start of
alternations, which go on in the same subspace, it is as good as a converged one."""
FEW = 256
"""Cells or peaks with which there are as many directions as singular values, so that the SVD is exact."""


class _LeastSquares:
    """Cells as weighted least squares on ``k`` loadings that are orthonormal under the base rates."""

    def __init__(self, k: int) -> None:
        self.axes: Float = np.eye(k)

    def scores(self, pull: Float, exposure: Float) -> Float:
        return np.divide(pull, exposure[:, None], out=np.zeros_like(pull), where=exposure[:, None] > 0)

    def covariance(self, exposure: Float, weights: Float) -> Float:
        return np.zeros_like(self.axes)


def svd(counts: Blocks, margins: Margins, n_components: int, rng: np.random.Generator) -> Sweep:
    """Sweep with cells by a truncated SVD of Pearson residuals, (counts − expected) / √expected.

    Subspace iteration from a random start (Halko et al. 2011, algorithm 4.4). Singular vectors of the residuals are
    those of correspondence analysis.

    Parameters
    ----------
    counts
        (n_cells, n_peaks).
    margins
        Their independence model.
    n_components
        k, or the smaller dimension of ``counts`` if that is less.
    rng
        Its seed and what the counts say draw the start.
    """
    n_most = min(counts.shape)
    n_directions = n_most if n_most <= FEW else min(n_components + OVERSAMPLING, n_most)
    root = np.sqrt(margins.rate).astype(np.float32)[:, None]
    over_root = np.divide(1, root, out=np.zeros_like(root), where=root > 0)
    rules = [_LeastSquares(n_directions)] * len(margins.expected)
    # A peak's numbers go with it, wherever it stands: the order of peaks makes no other start.
    basis: Float = normal(keys_of_peaks(counts, margins.rate > 0, rounds=2), n_directions, int(rng.integers(2**63)))
    basis *= root > 0
    for _ in range(N_PASSES):
        basis = over_root * _orthonormal(basis)
        basis = over_root * sweep(counts, margins, basis, rules).pull
    basis = over_root * _orthonormal(basis)
    step = sweep(counts, margins, basis, rules)
    _, vectors = np.linalg.eigh(step.grams.sum(axis=0))
    return step.rotate(vectors[:, ::-1][:, :n_components])


def _orthonormal(basis: Float) -> Float:
    """Return an orthonormal basis of the same span; directions that are next to nothing become zero."""
    values, vectors = np.linalg.eigh(weighted_gram(basis, np.ones(len(basis))))
    solvable = values > 1e-12 * values.max(initial=0)
    scale = np.divide(1.0, np.sqrt(np.abs(values)), out=np.zeros_like(values), where=solvable)
    return basis @ (vectors * scale).astype(basis.dtype)
