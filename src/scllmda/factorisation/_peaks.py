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
    """Posterior of the peaks' loadings given the cells, and what the next update of the cells needs of it."""

    loadings: NDArray[np.float32]
    """(n_peaks, k): posterior means; zero for peaks that are not used."""
    designs: Float
    """(n_views, k, k): D = Σ rate_i · E[l_i l_iᵀ] over the peaks of each view; a cell of exposure c is determined with
    the precision c D."""
    prior: Float
    """(k, k): T for the next alternation, a step towards the covariance under which the counts are likeliest."""

    def rotate(self, axes: Float) -> Peaks:
        """Return the same in a space whose axes are the columns of (k, l)."""
        return Peaks(self.loadings @ axes.astype(np.float32), axes.T @ self.designs @ axes, axes.T @ self.prior @ axes)


def update_peaks(step: Sweep, margins: Margins, prior: Float, expected: Float | None = None) -> Peaks:
    """Return the posterior of the peaks' loadings given the cells.

    The prior of a loading is l_i ~ N(g_i, T). With G = Σ_j c_j E[w_j w_jᵀ] over the cells in which peak i was measured,
    the posterior is normal, with precision r_i G + T⁻¹ and mean

    g_i + (r_i G + T⁻¹)⁻¹ (Σ_j (x_ij − c_j r_i) w_j − r_i G g_i).

    Parameters
    ----------
    step
        A pass over the counts with the current cells.
    margins
        Independence model of the counts.
    prior
        (k, k): T.
    expected
        (n_peaks, k): g, the loadings that sequence predicts; 0 if None.
    """
    n_views, k = step.grams.shape[:2]
    loadings, designs = np.zeros_like(step.pull), np.zeros((n_views, k, k))
    squares, determined = np.zeros((k, k)), np.zeros((k, k))
    # Peaks that were measured in the same views have one G, so that one decomposition serves all of them: with
    # P such that Pᵀ G P = diag(e) and T = P Pᵀ, (r_i G + T⁻¹)⁻¹ = P diag(1 / (r_i e + 1)) Pᵀ.
    views_of_group, group = np.unique(margins.expected > 0, axis=1, return_inverse=True)
    for g, views in enumerate(views_of_group.T):
        mine = np.flatnonzero((group.ravel() == g) & (margins.rate > 0))
        gram = step.grams[views].sum(axis=0)
        shrinkage = Shrinkage(gram, prior)
        for tile in tiles(len(mine)):
            peaks = mine[tile]
            rate, pull = margins.rate[peaks], step.pull[peaks]
            # Deviations from g: Σ_j (x_ij − c_j r_i) w_j − r_i G g_i.
            if expected is not None:
                pull = pull - (rate[:, None] * (expected[peaks] @ gram)).astype(np.float32)
            scores = shrinkage.scores(pull, rate)
            # For T: Σ_i (l_i − g_i)(l_i − g_i)ᵀ, and by how much counts rather than the prior determine each loading.
            squares += shrinkage.squares(scores)
            determined += shrinkage.determined(rate)
            found = scores @ shrinkage.axes.T.astype(np.float32)
            loadings[peaks] = found = found if expected is None else found + expected[peaks].astype(np.float32)
            # For the cells: D = Σ_i r_i (l_i l_iᵀ + posterior covariance of l_i).
            for view in np.flatnonzero(views):
                weights = margins.expected[view, peaks]
                designs[view] += (weights.astype(np.float32)[:, None] * found).T @ found
                designs[view] += shrinkage.covariance(rate, weights)
    return Peaks(loadings, designs, Shrinkage(np.zeros((k, k)), prior).prior(squares, determined))
