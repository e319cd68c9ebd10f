"""What the default annotator mixes: classifiers of cells alone, of cells with their neighbors, and of counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import log_softmax

from ..factorisation import Evidence, in_order
from ..graphs import nearest_graphs
from ._logistic import logistic_posteriors, quiet_newton

Float = NDArray[np.floating]
Codes = NDArray[np.integer]

FLOOR = 1e-9
"""Least probability whose logarithm is taken: classes without a cell have none at all."""
MOST_ROWS = 6_000
"""Rows, at most, that regressions on pooled cells learn from, unless there are more cells: each cell is there alone and
pooled with few and many neighbors, which say much the same. From 3,000 rows to all of them accuracy was the same."""


@dataclass(frozen=True)
class DomainCells:
    """Cells of one domain, or of a part of it, as the classifiers are given them."""

    alone: Float
    """(n_cells, d): where each cell is by its own counts on shared peaks."""
    evidence: Evidence | None
    """Those counts, in a form that can be summed over cells; None where cells were embedded before."""
    graph: sp.csr_matrix
    """(n_cells, n_cells): ones at each cell's nearest neighbors."""
    axes: Float
    """(k, d): the principal axes of the embedding that are read."""
    around: Float
    """(n_cells, m): the space in which neighbors are looked for."""
    pool_sizes: tuple[int, ...]
    """Numbers of neighbors that a cell is pooled with, from few to many."""
    is_one_type: bool = False
    """Whether all cells are of one type, so that each is pooled with all the others."""

    @cached_property
    def pooled(self) -> list[NDArray[np.float32]]:
        """(n_cells, d) for each pool size: where a cell is by the summed counts of itself and as many neighbors."""
        assert self.evidence is not None
        if self.is_one_type:
            pull, exposure = (x.sum(axis=0, keepdims=True) for x in (self.evidence.pull, self.evidence.exposure))
            together = (self.evidence.mapper.embed(pull, exposure) @ self.axes).astype(np.float32)
            return [np.repeat(together, len(self.alone), axis=0)]
        graphs = nearest_graphs(self.around, self.pool_sizes)
        return [(self.evidence.pooled(graph).cells @ self.axes).astype(np.float32) for graph in graphs]


def by_cells_alone(
    known: DomainCells, labels: Codes, new: DomainCells, n_classes: int, *, C: float, balance: float
) -> Float:
    """Return log posteriors (n_new, n_classes) of regressions that see each cell for itself."""
    return _regressions(known.alone, labels, [new.alone], n_classes, C=C, balance=balance)


def by_pooled_cells(
    known: DomainCells, labels: Codes, new: DomainCells, n_classes: int, *, C: float, balance: float
) -> Float:
    """Return log posteriors (n_new, n_classes) of regressions that see each new cell pooled with its neighbors.

    They learn from known cells alone and pooled with few and many of their neighbors: what holds for all of these is no
    matter of how noisy a cell is. Of more than ``MOST_ROWS`` such rows a random part is looked at, no fewer than there
    are cells.
    """
    cells = np.concatenate([known.alone, *known.pooled])
    labels = np.tile(labels, len(cells) // len(labels))
    n_looked_at = max(MOST_ROWS, len(known.alone))
    if len(cells) > n_looked_at:
        rows = np.sort(np.random.default_rng(0).permutation(len(cells))[:n_looked_at])
        cells, labels = cells[rows], labels[rows]
    return _regressions(cells, labels, new.pooled, n_classes, C=C, balance=balance)


def by_profiles(known: DomainCells, labels: Codes, new: DomainCells, n_classes: int, *, prior_weight: float) -> Float:
    r"""Return log posteriors (n_new, n_classes) of a naive Bayes classifier on pooled counts.

    log p(c | cell) = Σ_i x_i log(θ_ci / θ_i) + const, where x_i are the counts of the cell and its neighbors on peak i,
    θ_i is the share of all known counts that lie on it, and θ_ci = (x_ci + P θ_i) / (x_c + P) that of class c, to which
    as many counts are added, in the shares of all, as there are peaks, P. It needs no space in which to place cells, so
    that it works with few peaks.

    Parameters
    ----------
    known, new
        With evidence.
    labels
        (n_known,) codes.
    n_classes
        Number of classes; those without cells have next to no probability.
    prior_weight
        Exponent of the classes' shares of the known cells, which the probabilities are multiplied by.
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
    known: Float, labels: Codes, new: Sequence[Float], n_classes: int, *, C: float, balance: float
) -> Float:
    """Return log posteriors (n_new, n_classes) of two regressions, on cells as they are and scaled to unit length.

    Their mean is the product of both posteriors. New cells may be given by several pool sizes, ``new`` (n_new, d) each;
    then it is the mean over these too.
    """
    from sklearn.preprocessing import normalize

    cells = np.concatenate(new)

    def log_posteriors(sides: tuple[Float, Float]) -> Float:
        return np.log(logistic_posteriors(sides[0], labels, sides[1], n_classes, C=C, balance=balance) + FLOOR)

    with quiet_newton():
        logs = list(in_order(log_posteriors, [(known, cells), (normalize(known), normalize(cells))]))
    mean = np.mean(logs, axis=0).reshape(len(new), -1, n_classes).mean(axis=0)
    return log_softmax(mean, axis=1)
