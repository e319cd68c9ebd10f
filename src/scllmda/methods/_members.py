"""What the default annotator mixes: classifiers of cells alone, of cells with their neighbors, and of counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import log_softmax

from ..factorisation import Evidence, in_order
from ..graphs import nearest_graph, nearest_graphs
from ._logistic import Logistic, fit_logistic, quiet_newton

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
    n_neighbors: int
    """Neighbors of each cell in :attr:`graph`."""
    axes: Float
    """(k, d): the principal axes of the embedding that are read."""
    around: Float
    """(n_cells, m): the space in which neighbors are looked for."""
    pool_sizes: tuple[int, ...]
    """Numbers of neighbors that a cell is pooled with, from few to many."""
    known_graph: sp.csr_matrix | None = None
    """:attr:`graph`, where it has been made before."""
    is_one_type: bool = False
    """Whether all cells are of one type, so that each is pooled with all the others."""

    @cached_property
    def graph(self) -> sp.csr_matrix:
        """(n_cells, n_cells): ones at each cell's nearest neighbors."""
        if self.known_graph is not None:
            return self.known_graph
        # Who is pooled with more neighbors has been asked for all of them.
        return self._graphs[-1] if "_graphs" in self.__dict__ else nearest_graph(self.around, self.n_neighbors)

    @property
    def pools(self) -> list[sp.csr_matrix]:
        """(n_cells, n_cells) for each pool size: ones at the neighbors that a cell is pooled with."""
        return self._graphs[: len(self.pool_sizes)]

    @cached_property
    def _graphs(self) -> list[sp.csr_matrix]:
        """Those of :attr:`pools`, and :attr:`graph`, by one search."""
        return nearest_graphs(self.around, [*self.pool_sizes, self.n_neighbors])

    @cached_property
    def pooled(self) -> list[NDArray[np.float32]]:
        """(n_cells, d) for each pool size: where a cell is by the summed counts of itself and as many neighbors."""
        assert self.evidence is not None
        if self.is_one_type:
            pull, exposure = (x.sum(axis=0, keepdims=True) for x in (self.evidence.pull, self.evidence.exposure))
            together = (self.evidence.mapper.embed(pull, exposure) @ self.axes).astype(np.float32)
            return [np.repeat(together, len(self.alone), axis=0)]
        return [(self.evidence.pooled(graph).cells @ self.axes).astype(np.float32) for graph in self.pools]

    def take(self, cells: NDArray[np.intp]) -> DomainCells:
        """Return some of the cells, whose neighbors are among themselves."""
        evidence = None if self.evidence is None else self.evidence.take(cells)
        return DomainCells(
            self.alone[cells], evidence, self.n_neighbors, self.axes, self.around[cells], self.pool_sizes
        )

    def links(self, members: Iterable[Regressions | Profiles]) -> sp.csr_matrix | None:
        """Return whose counts members add to those of each cell, (n_cells, n_cells) uint8; None if nobody's.

        Bit 0 is set at the neighbors of :attr:`graph`, bit 1 + s at those of :attr:`pools` s.
        """
        members, graphs = list(members), {}
        if any(isinstance(member, Profiles) for member in members):
            graphs[0] = self.graph
        if not self.is_one_type and any(isinstance(member, Regressions) and member.pooled for member in members):
            graphs |= dict(enumerate(self.pools, start=1))
        return (
            None if not graphs else sp.csr_matrix(sum(2**bit * graph for bit, graph in graphs.items()), dtype=np.uint8)
        )


@dataclass(frozen=True)
class Regressions:
    """Two fitted logistic regressions, on cells as they are and scaled to unit length."""

    plain: Logistic
    unit: Logistic
    pooled: bool
    """Whether new cells are seen pooled with their neighbors."""

    def __call__(self, new: DomainCells) -> Float:
        """Return log posteriors (n_new, n_classes): the mean over both, and over the pool sizes if cells are pooled."""
        views = new.pooled if self.pooled else [new.alone]
        return log_softmax(np.mean([self.logs(cells) for cells in views], axis=0), axis=1)

    def logs(self, cells: Float) -> Float:
        """Return the mean of both log posteriors, the product of both but for a constant, of cells (n_cells, d)."""
        from sklearn.preprocessing import normalize

        both = self.plain.posteriors(cells), self.unit.posteriors(normalize(cells))
        return np.mean([np.log(posteriors + FLOOR) for posteriors in both], axis=0)


@dataclass(frozen=True)
class Profiles:
    """A fitted naive Bayes classifier on summed counts."""

    folds: Float
    """(n_peaks, n_classes): log of how many times as large a part of a class's counts lies on a peak as of all."""
    prior: Float
    """(n_classes,): what is added to the log odds whatever the counts."""

    def __call__(self, new: DomainCells) -> Float:
        """Return log posteriors (n_new, n_classes) given the counts of each new cell and its neighbors."""
        assert new.evidence is not None
        scores = new.evidence.scores(self.folds).astype(np.float64)
        scores += new.graph @ scores
        return log_softmax(scores + self.prior, axis=1)


def by_cells_alone(
    known: DomainCells,
    labels: Codes,
    n_classes: int,
    start: Regressions | None = None,
    *,
    C: float,
    balance: float,
) -> Regressions:
    """Fit regressions that see each cell for itself, beginning at those of cells that are mostly the same."""
    return _regressions(known.alone, labels, n_classes, start, C=C, balance=balance, pooled=False)


def by_pooled_cells(
    known: DomainCells,
    labels: Codes,
    n_classes: int,
    start: Regressions | None = None,
    *,
    C: float,
    balance: float,
) -> Regressions:
    """Fit regressions that see each new cell pooled with its neighbors, beginning as :func:`by_cells_alone` does.

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
    return _regressions(cells, labels, n_classes, start, C=C, balance=balance, pooled=True)


def by_profiles(
    known: DomainCells, labels: Codes, n_classes: int, start: Profiles | None = None, *, prior_weight: float
) -> Profiles:
    r"""Fit a naive Bayes classifier on the counts of each new cell and its neighbors.

    It needs no space in which to place cells, so that it works with few peaks.

    Parameters
    ----------
    known
        With evidence.
    labels
        (n_known,) codes.
    n_classes
        Number of classes; those without cells have next to no probability.
    start
        Not read: nothing is learned step by step.
    prior_weight
        Exponent of the classes' shares of the known cells, which the probabilities are multiplied by.
    """
    assert known.evidence is not None
    totals = np.zeros((n_classes, known.evidence.counts.shape[1]))
    found = known.evidence.totals(labels)
    totals[: len(found)] = found
    prior = np.bincount(labels, minlength=n_classes) / len(labels)
    return Profiles(log_folds(totals), prior_weight * np.log(prior + FLOOR))


def log_folds(totals: Float) -> Float:
    r"""Return log(θ_ci / θ_i), (n_peaks, n_classes), by the counts of each class on each peak (n_classes, n_peaks).

    θ_i is the share of all counts that lie on peak i, and θ_ci = (x_ci + P θ_i) / (x_c + P) that of class c, to which
    as many counts are added, in the shares of all, as there are peaks, P. Then log p(c | counts x) is
    Σ_i x_i log(θ_ci / θ_i) + const.
    """
    n_classes, n_peaks = totals.shape
    share = totals.sum(axis=0) / max(totals.sum(), 1)
    profiles = (totals + n_peaks * share) / (totals.sum(axis=1, keepdims=True) + n_peaks)
    is_open = share > 0
    folds = np.zeros((n_peaks, n_classes))
    folds[is_open] = np.log(profiles[:, is_open] / share[is_open]).T
    return folds


def _regressions(
    known: Float,
    labels: Codes,
    n_classes: int,
    start: Regressions | None,
    *,
    C: float,
    balance: float,
    pooled: bool,
) -> Regressions:
    from sklearn.preprocessing import normalize

    def fitted(of: tuple[Float, Logistic | None]) -> Logistic:
        cells, begin = of
        return fit_logistic(cells, labels, n_classes, C=C, balance=balance, start=begin)

    starts = (None, None) if start is None else (start.plain, start.unit)
    with quiet_newton():
        plain, unit = in_order(fitted, zip((known, normalize(known)), starts, strict=True))
    return Regressions(plain, unit, pooled)
