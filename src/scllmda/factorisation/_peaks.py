from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._margins import Margins
from ._shrinkage import Shrinkage
from ._sweep import Sweep
from ._tiles import tiles

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Peaks:
    """What the cells say of the peaks."""

    loadings: NDArray[np.float32]
    """(n_peaks, k): posterior means; zero for peaks that are no evidence."""
    designs: Float
    """(n_views, k, k): Σ base rate × E[loadings loadingsᵀ] over the peaks of each view, of cells per unit exposure."""
    prior: Float
    """(k, k): covariance of the prior that has most evidence."""

    def rotate(self, axes: Float) -> Peaks:
        """Return the same in a space whose axes are the columns of (k, l)."""
        return Peaks(self.loadings @ axes.astype(np.float32), axes.T @ self.designs @ axes, axes.T @ self.prior @ axes)


def update_peaks(step: Sweep, margins: Margins, prior: Float, expected: Float | None = None) -> Peaks:
    """Return the posterior of the peaks' loadings given the cells.

    Parameters
    ----------
    step
        The cells.
    margins
        Independence model of the counts.
    prior
        (k, k): covariance of the loadings' prior.
    expected
        (n_peaks, k): mean of the loadings' prior, 0 if None.
    """
    n_views, k = step.grams.shape[:2]
    loadings, designs = np.zeros_like(step.pull), np.zeros((n_views, k, k))
    squares, determined = np.zeros((k, k)), np.zeros((k, k))
    # Peaks that are seen from the same views share a posterior covariance, up to their rates.
    views_of_group, group = np.unique(margins.expected > 0, axis=1, return_inverse=True)
    for g, views in enumerate(views_of_group.T):
        mine = np.flatnonzero((group.ravel() == g) & (margins.rate > 0))
        gram = step.grams[views].sum(axis=0)
        shrinkage = Shrinkage(gram, prior)
        for tile in tiles(len(mine)):
            peaks = mine[tile]
            rate, pull = margins.rate[peaks], step.pull[peaks]
            if expected is not None:
                pull = pull - (rate[:, None] * (expected[peaks] @ gram)).astype(np.float32)
            scores = shrinkage.scores(pull, rate)
            squares += shrinkage.squares(scores)
            determined += shrinkage.determined(rate)
            found = scores @ shrinkage.axes.T.astype(np.float32)
            loadings[peaks] = found = found if expected is None else found + expected[peaks].astype(np.float32)
            for view in np.flatnonzero(views):
                weights = margins.expected[view, peaks]
                designs[view] += (weights.astype(np.float32)[:, None] * found).T @ found
                designs[view] += shrinkage.covariance(rate, weights)
    return Peaks(loadings, designs, Shrinkage(np.zeros((k, k)), prior).prior(squares, determined))
