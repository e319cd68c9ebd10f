"""What the default annotator mixes: classifiers of cells alone, of cells with their neighbours, and of counts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import log_softmax

from ..factorisation import Evidence
from ._logistic import logistic_posteriors

Float = NDArray[np.floating]
Codes = NDArray[np.integer]

FLOOR = 1e-9
"""Of a probability whose logarithm is taken."""


@dataclass(frozen=True)
class Seen:
    """Cells of one domain, or of a part of it, as the members see them."""

    alone: Float
    """(n_cells, d): each cell for itself."""
    evidence: Evidence | None
    graph: sp.csr_matrix
    """(n_cells, n_cells): ones at each cell's nearest neighbours."""
    axes: Float
    """(k, d): of the embedding, that are read."""

    @cached_property
    def pooled(self) -> NDArray[np.float32]:
        """(n_cells, d): each cell by its evidence and that of its neighbours together."""
        assert self.evidence is not None
        return (self.evidence.pooled(self.graph).cells @ self.axes).astype(np.float32)


def by_cells_alone(known: Seen, labels: Codes, new: Seen, n_classes: int, *, C: float, balance: float) -> Float:
    """Return log posteriors (n_new, n_classes) of regressions that see each cell for itself."""
    return _regressions(known.alone, labels, new.alone, n_classes, C=C, balance=balance)


def by_pooled_cells(known: Seen, labels: Codes, new: Seen, n_classes: int, *, C: float, balance: float) -> Float:
    """Return log posteriors (n_new, n_classes) of regressions that see each new cell together with its neighbours.

    They learn from known cells alone and together with theirs: what holds at both resolutions is not a matter of noise.
    """
    cells = np.concatenate([known.alone, known.pooled])
    return _regressions(cells, np.tile(labels, 2), new.pooled, n_classes, C=C, balance=balance)


def by_profiles(known: Seen, labels: Codes, new: Seen, n_classes: int, *, prior_weight: float) -> Float:
    r"""Return log posteriors (n_new, n_classes) of a naive Bayes classifier on pooled counts.

    Σ_i x_ij log(θ_ci / θ_i), summed over a cell and its neighbours, where θ_i is the share of all known counts that lie
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


def _regressions(known: Float, labels: Codes, new: Float, n_classes: int, *, C: float, balance: float) -> Float:
    """Return log posteriors (n_new, n_classes): the mean of those of cells as they are and of cells of unit length."""
    from sklearn.preprocessing import normalize

    members = [
        np.log(logistic_posteriors(a, labels, b, n_classes, C=C, balance=balance) + FLOOR)
        for a, b in ((known, new), (normalize(known), normalize(new)))
    ]
    return log_softmax(np.mean(members, axis=0), axis=1)
