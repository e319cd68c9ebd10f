from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._blocks import Blocks
from ._margins import Margins
from ._threads import in_order

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

    def embed(block: tuple[slice, sp.csr_matrix]) -> tuple[slice, Sweep, Float]:
        rows, X = block
        scores = X @ loadings
        cells = np.zeros((X.shape[0], k), dtype=np.float32)
        exposed, grams, squares = np.zeros((n_views, k)), np.zeros((n_views, k, k)), np.zeros((k, k))
        for view in np.unique(margins.view[rows]):
            here = np.flatnonzero(margins.view[rows] == view)
            exposure = margins.exposure[rows][here]
            present = (exposure > 0).astype(np.float64)
            w = rules[view].mean(scores[here] - exposure[:, None] * means[view], exposure)
            cells[here] = w
            exposed[view] = exposure @ w
            grams[view] = (exposure[:, None] * w).T @ w + rules[view].covariance(exposure, exposure)
            squares += (present[:, None] * w).T @ w + rules[view].covariance(exposure, present)
        return rows, Sweep(cells, X.T @ cells, grams, squares), exposed

    cells = np.zeros((counts.shape[0], k), dtype=np.float32)
    pull, exposed = np.zeros((counts.shape[1], k)), np.zeros((n_views, k))
    grams, squares = np.zeros((n_views, k, k)), np.zeros((k, k))
    for rows, part, exposed_part in in_order(embed, _with_rows(counts)):
        cells[rows] = part.cells
        pull += part.pull
        grams += part.grams
        squares += part.covariance
        exposed += exposed_part
    pull -= margins.expected.T @ exposed
    pull[margins.rate == 0] = 0
    return Sweep(cells, pull, grams, squares / max((margins.exposure > 0).sum(), 1))


def _with_rows(counts: Blocks) -> Iterator[tuple[slice, sp.csr_matrix]]:
    first = 0
    for X in counts:
        yield slice(first, first + X.shape[0]), X
        first += X.shape[0]
