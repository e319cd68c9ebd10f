from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._blocks import Blocks, with_rows
from ._margins import Margins
from ._threads import in_order
from ._tiles import tiles

Float = NDArray[np.floating]


class Rule(Protocol):
    """How cells follow from what the evidence says of them."""

    axes: Float
    """(l, k): cells are ``scores @ axes.T``."""

    def scores(self, pull: Float, exposure: Float) -> Float:
        """Return the cells along the axes (n, k), by ``pull`` (n, l)."""

    def covariance(self, exposure: Float, weights: Float) -> Float:
        """Return Σ ``weights`` (n,) × their covariances (k, k)."""


@dataclass(frozen=True)
class Sweep:
    """What one pass over the counts gives."""

    cells: NDArray[np.float32]
    """(n_cells, k)."""
    pull: NDArray[np.float32]
    """(n_peaks, k): (counts − expected)ᵀ @ cells; zero for peaks that are no evidence."""
    grams: Float
    """(n_views, k, k): Σ exposure × E[w wᵀ] over the cells of each view."""


def sweep(counts: Blocks, margins: Margins, loadings: Float, rules: Sequence[Rule]) -> Sweep:
    """Embed all cells from ``(counts − expected) @ loadings`` and collect what the peaks' next update needs.

    Parameters
    ----------
    counts
        (n_cells, n_peaks).
    margins
        Their independence model.
    loadings
        (n_peaks, l); zero for peaks that are no evidence.
    rules
        One per view.
    """
    loadings = loadings.astype(np.float32, copy=False)
    means = (margins.expected @ loadings).astype(np.float32)
    n_views, k = len(means), len(rules[0].axes)

    def embed(block: tuple[slice, sp.csr_matrix]) -> tuple[slice, Sweep, Float]:
        rows, X = block
        cells = np.zeros((X.shape[0], k), dtype=np.float32)
        exposed, grams = np.zeros((n_views, k)), np.zeros((n_views, k, k))
        for view in np.unique(margins.view[rows]):
            rule, axes = rules[view], rules[view].axes.T.astype(np.float32)
            mine = np.flatnonzero(margins.view[rows] == view)
            for tile in tiles(len(mine)):
                here = mine[tile]
                exposure = margins.exposure[rows][here]
                weight = exposure.astype(np.float32)[:, None]
                w = rule.scores(X[here] @ loadings - weight * means[view], exposure) @ axes
                cells[here] = w
                exposed[view] += weight[:, 0] @ w
                grams[view] += (weight * w).T @ w + rule.covariance(exposure, exposure)
        return rows, Sweep(cells, X.T @ cells, grams), exposed

    cells = np.zeros((counts.shape[0], k), dtype=np.float32)
    pull = np.zeros((counts.shape[1], k), dtype=np.float32)
    exposed, grams = np.zeros((n_views, k)), np.zeros((n_views, k, k))
    for rows, part, exposed_part in in_order(embed, with_rows(counts)):
        cells[rows] = part.cells
        pull += part.pull
        grams += part.grams
        exposed += exposed_part
    for tile in tiles(len(pull)):
        pull[tile] -= margins.expected[:, tile].T @ exposed
    pull[margins.rate == 0] = 0
    return Sweep(cells, pull, grams)
