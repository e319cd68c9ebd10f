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

    pull: NDArray[np.float32]
    """(n_peaks, k): (counts − expected)ᵀ @ cells; zero for peaks that are no evidence."""
    grams: Float
    """(n_views, k, k): Σ exposure × E[w wᵀ] over the cells of each view."""
    squares: Float
    """(k, k): Σ w wᵀ over all cells."""
    weighted_squares: Float
    """(k, k): Σ exposure × w wᵀ."""
    cells: NDArray[np.float32]
    """(n_kept, k): w of the cells that were asked for; memory does not grow with the others."""

    def rotate(self, axes: Float) -> Sweep:
        """Return the same in a space whose axes are the columns of (k, l)."""
        single = axes.astype(np.float32)
        grams, squares, weighted = (axes.T @ gram @ axes for gram in (self.grams, self.squares, self.weighted_squares))
        return Sweep(self.pull @ single, grams, squares, weighted, self.cells @ single)


def sweep(
    counts: Blocks,
    margins: Margins,
    loadings: Float,
    rules: Sequence[Rule],
    keep: NDArray[np.bool_] | None = None,
) -> Sweep:
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
    keep
        (n_cells,): the cells to return; none if None.
    """
    loadings = loadings.astype(np.float32, copy=False)
    means = (margins.expected @ loadings).astype(np.float32)
    n_views, k = len(means), len(rules[0].axes)
    keep = np.zeros(counts.shape[0], dtype=bool) if keep is None else keep

    def zeros() -> list[Float]:
        return [np.zeros(shape) for shape in ((n_views, k), (n_views, k, k), (k, k), (k, k))]

    def embed(block: tuple[slice, sp.csr_matrix]) -> tuple[Sweep, Float]:
        rows, X = block
        cells = np.zeros((X.shape[0], k), dtype=np.float32)
        exposed, grams, squares, weighted = zeros()
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
                moment = (weight * w).T @ w
                grams[view] += moment + rule.covariance(exposure, exposure)
                weighted += moment
                squares += w.T @ w
        return Sweep(X.T @ cells, grams, squares, weighted, cells[keep[rows]]), exposed

    pull, kept = np.zeros((counts.shape[1], k), dtype=np.float32), [np.zeros((0, k), dtype=np.float32)]
    exposed, grams, squares, weighted = zeros()
    for part, exposed_part in in_order(embed, with_rows(counts)):
        pull += part.pull
        exposed += exposed_part
        grams += part.grams
        squares += part.squares
        weighted += part.weighted_squares
        kept.append(part.cells)
        del part  # as large as all peaks, and the next is on its way
    for tile in tiles(len(pull)):
        pull[tile] -= margins.expected[:, tile].T @ exposed
    pull[margins.rate == 0] = 0
    return Sweep(pull, grams, squares, weighted, np.concatenate(kept))
