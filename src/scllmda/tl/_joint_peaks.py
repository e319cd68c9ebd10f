"""The peaks that a query and a reference are compared by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..pp._pair_peaks import PeakPairs


@dataclass(frozen=True)
class JointPeaks:
    """The reference's peaks, followed by peaks that the query alone has."""

    pairs: PeakPairs
    own: NDArray[np.intp]
    """(n_own,): positions, in the query, of its own peaks."""

    @property
    def assignment(self) -> sp.csr_matrix:
        """(query peaks, joint peaks): 1 where they are the same."""
        n_query, n_own = len(self.pairs.target), len(self.own)
        own = sp.csr_matrix((np.ones(n_own, dtype=np.float32), (self.own, np.arange(n_own))), shape=(n_query, n_own))
        return sp.csr_matrix(sp.hstack([self.pairs.assignment, own]))

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(joint peaks,): whether the query is seen through a peak."""
        return np.concatenate([self.pairs.matched, np.ones(len(self.own), dtype=bool)])


def own_peaks(pairs: PeakPairs, embeddings: NDArray[np.floating] | None) -> NDArray[np.intp]:
    """Return the query's own peaks that sequence tells of: none without its ``embeddings`` (query peaks, d)."""
    if embeddings is None:
        return np.zeros(0, dtype=np.intp)
    return np.flatnonzero((pairs.target < 0) & np.isfinite(embeddings).all(axis=1))
