from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ._blocks import Blocks
from ._margins import Margins

Float = NDArray[np.floating]


class Rule(Protocol):
    """How cells follow from what the evidence says of them."""

    def mean(self, pull: Float, exposure: Float) -> Float:
        """Return the cells (n, k) of ``pull`` (n, l)."""

    def covariance(self, exposure: Float, weights: Float) -> Float:
        """Return Σ ``weights`` (n,) × their covariances (k, k)."""


@dataclass(frozen=True)
class Sweep:
    """What one pass over the counts gives."""

    cells: NDArray[np.float32]
    """(n_cells, k)."""
    pull: Float
    """(n_peaks, k): (counts − expected)ᵀ @ cells; zero for peaks that are no evidence."""
    grams: Float
    """(n_views, k, k): Σ exposure × E[w wᵀ] over the cells of each view."""
    covariance: Float
    """(k, k): mean of E[w wᵀ] over the cells with any evidence."""


def sweep(counts: Blocks, margins: Margins, loadings: Float, rules: Sequence[Rule], n_components: int) -> Sweep:
    """Embed all cells from ``(counts − expected) @ loadings`` and collect what the peaks' next update needs.

    Parameters
    ----------
    counts
        (n_cells, n_peaks).
    margins
        Their independence model.
    loadings
        (n_peaks, l).
    rules
        One per view.
    n_components
        k.
    """
    loadings = np.where(margins.rate[:, None] > 0, loadings, 0).astype(np.float32)
    means = margins.expected @ loadings
    n_views, k = len(means), n_components
    cells = np.zeros((counts.shape[0], k), dtype=np.float32)
    pull = np.zeros((counts.shape[1], k))
    exposed, grams, covariance = np.zeros((n_views, k)), np.zeros((n_views, k, k)), np.zeros((k, k))
    first = 0
    for X in counts:
        rows = slice(first, first + X.shape[0])
        first += X.shape[0]
        scores = X @ loadings
        for view in np.unique(margins.view[rows]):
            here = np.flatnonzero(margins.view[rows] == view)
            exposure = margins.exposure[rows][here]
            w = rules[view].mean(scores[here] - exposure[:, None] * means[view], exposure)
            present = (exposure > 0).astype(np.float64)
            exposed[view] += exposure @ w
            grams[view] += (exposure[:, None] * w).T @ w + rules[view].covariance(exposure, exposure)
            covariance += (present[:, None] * w).T @ w + rules[view].covariance(exposure, present)
            cells[rows.start + here] = w
        pull += X.T @ cells[rows]
    pull -= margins.expected.T @ exposed
    pull[margins.rate == 0] = 0
    return Sweep(cells, pull, grams, covariance / max((margins.exposure > 0).sum(), 1))
