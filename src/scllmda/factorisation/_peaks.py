from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._margins import Margins
from ._shrinkage import Shrinkage
from ._sweep import Sweep
from ._threads import in_order
from ._tiles import tiles

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Peaks:
    """Posterior of the peaks' loadings given the cells, and what the next update of the cells needs of it."""

    scores: NDArray[np.float32]
    """(n_peaks, k): posterior means of loadings − g, in the coordinates of their group; zero for peaks not used."""
    groups: Sequence[tuple[NDArray[np.intp], Float]]
    """Positions of the peaks of each group, and their axes (k, k): loadings − g are ``scores @ axes.T``."""
    expected: Float | None
    """(n_peaks, k): g, the loadings that sequence predicts; 0 if None."""
    designs: Float
    """(n_views, k, k): D = Σ rate_i · E[l_i l_iᵀ] over the peaks of each view; a cell of exposure c is determined with
    the precision c D."""
    prior: Float
    """(k, k): T for the next alternation, a step towards the covariance under which the counts are likeliest."""

    def loadings(self, axes: Float) -> NDArray[np.float32]:
        """Return the posterior means of the loadings in a space whose axes are the columns of (k, l)."""
        loadings = np.zeros((len(self.scores), axes.shape[1]), dtype=np.float32)

        def place(item: tuple[NDArray[np.intp], Float]) -> None:
            peaks, basis = item
            loadings[peaks] = self.scores[peaks] @ basis
            if self.expected is not None:
                loadings[peaks] += self.expected[peaks].astype(np.float32) @ axes.astype(np.float32)

        items = (
            (peaks[tile], (own.T @ axes).astype(np.float32)) for peaks, own in self.groups for tile in tiles(len(peaks))
        )
        for _ in in_order(place, items):
            pass
        return loadings


@dataclass
class _Sums:
    """Sums over peaks, of one tile or of all."""

    squares: Float
    """(k, k): Σ s sᵀ of the scores s."""
    variances: Float
    """(k,): Σ of posterior variances."""
    spread: Float
    """(n_views, k): Σ rate × posterior variances over the peaks of each view."""
    moments: Float
    """(n_views, k, k): Σ rate × s sᵀ over the peaks of each view; of l lᵀ where sequence predicts l."""


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
    scores, designs, groups = np.zeros_like(step.pull), np.zeros((n_views, k, k)), []
    squares, determined = np.zeros((k, k)), np.zeros((k, k))
    # Peaks that were measured in the same views have one G, so that one decomposition serves all of them: with
    # P such that Pᵀ G P = diag(e) and T = P Pᵀ, (r_i G + T⁻¹)⁻¹ = P diag(1 / (r_i e + 1)) Pᵀ.
    views_of_group, group = np.unique(margins.expected > 0, axis=1, return_inverse=True)
    for g, of_group in enumerate(views_of_group.T):
        mine = np.flatnonzero((group.ravel() == g) & (margins.rate > 0))
        gram, views = step.grams[of_group].sum(axis=0), np.flatnonzero(of_group)
        shrinkage = Shrinkage(gram, prior)
        total = _update_group(mine, views, shrinkage, gram, step, margins, expected, scores)
        # For T: Σ_i (l_i − g_i)(l_i − g_i)ᵀ, and by how much counts rather than the prior determine each loading.
        squares += shrinkage.squares(total.squares)
        determined += shrinkage.determined(total.variances, len(mine))
        # For the cells: D = Σ_i r_i (l_i l_iᵀ + posterior covariance of l_i).
        for view, spread, moment in zip(views, total.spread, total.moments, strict=True):
            designs[view] += moment if expected is not None else shrinkage.axes @ moment @ shrinkage.axes.T
            designs[view] += shrinkage.covariance(spread)
        groups.append((mine, shrinkage.axes))
    return Peaks(scores, groups, expected, designs, Shrinkage(np.zeros((k, k)), prior).prior(squares, determined))


def _update_group(
    mine: NDArray[np.intp],
    views: NDArray[np.intp],
    shrinkage: Shrinkage,
    gram: Float,
    step: Sweep,
    margins: Margins,
    expected: Float | None,
    scores: NDArray[np.float32],
) -> _Sums:
    """Write the ``scores`` of the peaks of one group, ``mine``, and return their sums."""
    axes, k = shrinkage.axes.astype(np.float32), len(gram)

    def update(peaks: NDArray[np.intp]) -> _Sums:
        rate, pull = margins.rate[peaks], step.pull[peaks]
        # Deviations from g: Σ_j (x_ij − c_j r_i) w_j − r_i G g_i.
        if expected is not None:
            pull = pull - (rate[:, None] * (expected[peaks] @ gram)).astype(np.float32)
        variance = shrinkage.variance(rate)
        scores[peaks] = found = shrinkage.scores(pull, variance)
        weights = margins.expected[np.ix_(views, peaks)]
        whole = found if expected is None else found @ axes.T + expected[peaks].astype(np.float32)
        moments = [(w.astype(np.float32)[:, None] * whole).T @ whole for w in weights]
        return _Sums(found.T @ found, variance.sum(axis=0), weights @ variance, np.array(moments))

    total = _Sums(np.zeros((k, k)), np.zeros(k), np.zeros((len(views), k)), np.zeros((len(views), k, k)))
    for part in in_order(update, (mine[tile] for tile in tiles(len(mine)))):
        total.squares += part.squares
        total.variances += part.variances
        total.spread += part.spread
        total.moments += part.moments
    return total
