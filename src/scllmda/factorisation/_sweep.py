from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._blocks import Blocks, Converted, with_rows
from ._gpu import on_host
from ._margins import Margins
from ._tiles import tiles
from ._workers import each_block

Float = NDArray[np.floating]


class CellUpdate(Protocol):
    """How cells are computed from their pull and exposure: by shrinkage, or by least squares to start with."""

    axes: Float
    """(k, l): cells are ``scores @ axes.T``."""

    def variance(self, exposure: Float) -> Float:
        """Return what the pull along each axis is multiplied with (n, l), by ``exposure`` (n,)."""

    def scores(self, pull: Float, variance: Float) -> Float:
        """Return the cells in coordinates of the axes (n, l), from ``pull`` (n, k) and their :meth:`variance`."""

    def covariance(self, summed: Float) -> Float:
        """Return a sum of the cells' posterior covariances (k, k), from that of their variances (l,)."""


@dataclass(frozen=True)
class Sweep:
    """What one pass over the counts collects: sums over cells that the update of the peaks needs."""

    pull: NDArray[np.float32]
    """(n_peaks, k): Σ_j (x_ij − c_j r_i) w_j for each peak i, (counts − expected)ᵀ @ cells; zero for peaks not used."""
    grams: Float
    """(n_views, k, k): Σ_j c_j E[w_j w_jᵀ] over the cells j of each view, with exposures c."""
    squares: Float
    """(k, k): Σ_j w_j w_jᵀ over all cells."""
    weighted_squares: Float
    """(k, k): Σ_j c_j w_j w_jᵀ over all cells."""
    cells: NDArray[np.float32]
    """(n_kept, k): w of the cells that the caller wants; those of the others are not kept, to save memory."""

    def rotate(self, axes: Float) -> Sweep:
        """Return the same sums for cells ``w @ axes``, with ``axes`` (k, l)."""
        single = axes.astype(np.float32)
        grams, squares, weighted = (axes.T @ gram @ axes for gram in (self.grams, self.squares, self.weighted_squares))
        return Sweep(self.pull @ single, grams, squares, weighted, self.cells @ single)


def sweep(
    counts: Blocks | Converted,
    margins: Margins,
    loadings: Float,
    updates: Sequence[CellUpdate],
    keep: NDArray[np.bool_] | None = None,
) -> Sweep:
    """Embed all cells from ``(counts − expected) @ loadings`` and collect what the peaks' next update needs.

    Parameters
    ----------
    counts
        (n_cells, n_peaks).
    margins
        The independence model of these counts.
    loadings
        (n_peaks, k); zero for peaks that are not used.
    updates
        How the cells of each view are computed.
    keep
        (n_cells,): whether to return a cell's w; None returns none.
    """
    loadings = loadings.astype(np.float32, copy=False)
    n_views, k = len(margins.expected), len(updates[0].axes)
    means = np.zeros((n_views, loadings.shape[1]))
    for tile in tiles(len(loadings)):
        means += margins.expected[:, tile] @ loadings[tile]
    means = means.astype(np.float32)
    keep = np.zeros(counts.shape[0], dtype=bool) if keep is None else keep

    def zeros() -> list[Float]:
        return [np.zeros(shape) for shape in ((n_views, k), (n_views, k, k), (k, k), (k, k))]

    def embed(block: tuple[slice, sp.spmatrix]) -> tuple[Sweep, Float]:
        rows, X = block
        cells = np.zeros((X.shape[0], k), dtype=np.float32)
        exposed, grams, squares, weighted = zeros()
        by_peak = X.tocsc()
        pulled = by_peak @ loadings
        for view in np.unique(margins.view[rows]):
            update, axes = updates[view], updates[view].axes.T.astype(np.float32)
            mine = np.flatnonzero(margins.view[rows] == view)
            for tile in tiles(len(mine)):
                here = mine[tile]
                exposure = margins.exposure[rows][here]
                weight = exposure.astype(np.float32)[:, None]
                # Σ_i (x_ij − c_j r_i) l_i, from the counts and, once per view, Σ_i r_i l_i; then
                # w_j = (c_j D + V⁻¹)⁻¹ of it (or, to start with, of least squares: divided by c_j).
                variance = update.variance(exposure)
                w = update.scores(pulled[here] - weight * means[view], variance) @ axes
                cells[here] = w
                exposed[view] += weight[:, 0] @ w
                # E[w_j w_jᵀ] = w_j w_jᵀ + posterior covariance, summed with weights c_j.
                moment = (weight * w).T @ w
                grams[view] += moment + update.covariance(exposure @ variance)
                weighted += moment
                squares += w.T @ w
        # Σ_j x_ij w_j of the block; Σ_j c_j r_i w_j = r_i Σ_j c_j w_j, the expected part, is taken off at the end.
        return Sweep(by_peak.T @ cells, grams, squares, weighted, cells[keep[rows]]), exposed

    pull, kept = None, [np.zeros((0, k), dtype=np.float32)]
    exposed, grams, squares, weighted = zeros()
    for part, exposed_part in each_block(embed, with_rows(counts)):
        if pull is None:
            pull = part.pull
        else:
            pull += part.pull
        exposed += exposed_part
        grams += part.grams
        squares += part.squares
        weighted += part.weighted_squares
        kept.append(part.cells)
        del part  # as large as all peaks, and the next is on its way
    pull = np.zeros((counts.shape[1], k), dtype=np.float32) if pull is None else on_host(pull)
    single = exposed.astype(np.float32)
    for tile in tiles(len(pull)):
        pull[tile] -= margins.expected[:, tile].T.astype(np.float32) @ single
    pull[margins.rate == 0] = 0
    return Sweep(pull, grams, squares, weighted, np.concatenate(kept))
