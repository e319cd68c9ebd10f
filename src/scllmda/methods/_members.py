"""What the default annotator mixes: classifiers of cells alone, of cells with their neighbors, and of counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import log_softmax

from ..factorisation import Evidence
from ..graphs import nearest_graphs
from ._logistic import logistic_posteriors

Float = NDArray[np.floating]
Codes = NDArray[np.integer]

FLOOR = 1e-9
"""Of a probability whose logarithm is taken."""
MOST_ROWS = 6_000
"""Cells, as they are and with neighbors, that regressions on pooled cells learn from, unless there are more cells."""


@dataclass(frozen=True)
class Seen:
    """Cells of one domain, or of a part of it, as the members see them."""

    alone: Float
    """(n_cells, d): each cell for itself."""
    evidence: Evidence | None
    graph: sp.csr_matrix
    """(n_cells, n_cells): ones at each cell's nearest neighbors."""
    axes: Float
    """(k, d): of the embedding, that are read."""
    around: Float
    """(n_cells, m): where neighbors are looked for."""
    sizes: tuple[int, ...]
    """Neighbors that a cell is pooled with, from few to many."""

    @cached_property
    def pooled(self) -> list[NDArray[np.float32]]:
        """(n_cells, d) for each size: each cell by its evidence and that of as many neighbors together."""
        assert self.evidence is not None
        graphs = nearest_graphs(self.around, self.sizes)
        return [(self.evidence.pooled(graph).cells @ self.axes).astype(np.float32) for graph in graphs]


def by_cells_alone(known: Seen, labels: Codes, new: Seen, n_classes: int, *, C: float, balance: float) -> Float:
    """Return log posteriors (n_new, n_classes) of regressions that see each cell for itself."""
    return _regressions(known.alone, labels, [new.alone], n_classes, C=C, balance=balance)


def by_pooled_cells(known: Seen, labels: Codes, new: Seen, n_classes: int, *, C: float, balance: float) -> Float:
    """Return log posteriors (n_new, n_classes) of regressions that see each new cell together with its neighbors.

    They learn from known cells alone and together with few and many of theirs: what holds at all resolutions is not a
    matter of noise. Of more than ``MOST_ROWS`` of these a random part is looked at, no fewer than there are cells.
    """
    cells = np.concatenate([known.alone, *known.pooled])
    labels = np.tile(labels, len(cells) // len(labels))
    n_looked_at = max(MOST_ROWS, len(known.alone))
    if len(cells) > n_looked_at:
        rows = np.sort(np.random.default_rng(0).permutation(len(cells))[:n_looked_at])
        cells, labels = cells[rows], labels[rows]
    return _regressions(cells, labels, new.pooled, n_classes, C=C, balance=balance)


def by_profiles(known: Seen, labels: Codes, new: Seen, n_classes: int, *, prior_weight: float) -> Float:
    r"""Return log posteriors (n_new, n_classes) of a naive Bayes classifier on pooled counts.

    Σ_i x_ij log(θ_ci / θ_i), summed over a cell and its neighbors, where θ_i is the share of all known counts that lie
    on peak i, and θ_ci = (x_ci + P θ_i) / (x_c + P) that of class c, which is given as many counts more, in the shares
    of all, as there are peaks, P. It needs no space in which to place cells, so that few peaks are no obstacle.

    Parameters
    ----------
    known, new
        With evidence.
    labels
        (n_known,) codes.
    n_classes
        Number of classes; those without cells have next to no probability.
    prior_weight
        Exponent of the classes' shares of the known cells, as in a prior.
    """
    assert known.evidence is not None
    assert new.evidence is not None
    totals = np.zeros((n_classes, known.evidence.counts.shape[1]))
    found = known.evidence.totals(labels)
    totals[: len(found)] = found
    n_peaks = totals.shape[1]
    share = totals.sum(axis=0) / max(totals.sum(), 1)
    profiles = (totals + n_peaks * share) / (totals.sum(axis=1, keepdims=True) + n_peaks)
    is_open = share > 0
    folds = np.zeros((n_peaks, n_classes))
    folds[is_open] = np.log(profiles[:, is_open] / share[is_open]).T
    scores = new.evidence.scores(folds).astype(np.float64)
    scores += new.graph @ scores
    prior = np.bincount(labels, minlength=n_classes) / len(labels)
    return log_softmax(scores + prior_weight * np.log(prior + FLOOR), axis=1)


def _regressions(
    known: Float, labels: Codes, views: Sequence[Float], n_classes: int, *, C: float, balance: float
) -> Float:
    """Return log posteriors (n_new, n_classes): the mean of those of cells as they are and of cells of unit length.

    New cells may be seen in several ways, ``views`` (n_new, d) each; then it is the mean over these too.
    """
    from sklearn.preprocessing import normalize

    new = np.concatenate(views)
    members = [
        np.log(logistic_posteriors(a, labels, b, n_classes, C=C, balance=balance) + FLOOR)
        for a, b in ((known, new), (normalize(known), normalize(new)))
    ]
    mean = np.mean(members, axis=0).reshape(len(views), -1, n_classes).mean(axis=0)
    return log_softmax(mean, axis=1)
