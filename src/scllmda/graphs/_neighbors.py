from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._grouped import Groups

Float = NDArray[np.floating]
Found = tuple[Float, NDArray[np.integer]]

MOST_PAIRS = 20_000**2
"""Number of pairs of cells up to which all distances are computed; above it the search is approximate. All distances of
20,000, 30,000 and 75,000 simulated cells take .8, 1.7 and 10.3 s, the approximate search .5, .7 and 1.6 s; it finds
1.0000, 1.0000 and .9998 of the 15 nearest."""


@dataclass(frozen=True)
class NearestCells:
    """Finds the nearest of known cells, by Euclidean distance.

    The search is exact up to :data:`MOST_PAIRS` distances; above it cells are compared with those of the groups around
    them (:class:`Groups`), which misses some neighbors. Either gives the same result for the same cells on any number
    of threads and in any order, but for which of equally near cells are taken.

    Parameters
    ----------
    known
        (n_known, d) representation of the known cells.
    n_neighbors
        Neighbors per cell; all other cells if there are fewer.
    """

    known: Float
    n_neighbors: int

    def among(self) -> Found:
        """Return (n_known, k) distances and indices of the other known cells nearest to each, the nearest first."""
        n = len(self.known)
        k = min(self.n_neighbors, n - 1)
        if k == 0:
            return np.zeros((n, 0)), np.zeros((n, 0), dtype=np.intp)
        if n**2 <= MOST_PAIRS:
            # Without an argument, kneighbors leaves each cell out of its own neighbors.
            distances, indices = self._exact.kneighbors(n_neighbors=k)
            return distances, indices
        return _others(self._groups.among(k + 1), k)

    def of_themselves(self, again: Float) -> Found:
        """Return (n_known, k) distances and indices as :meth:`among`, from other vectors of the same cells.

        Parameters
        ----------
        again
            (n_known, d) representation of the known cells by other evidence, such as thinned counts. Distances are
            from these to the vectors of the other known cells.
        """
        n = len(self.known)
        if n == 1:
            return np.zeros((1, 0)), np.zeros((1, 0), dtype=np.intp)
        k = min(self.n_neighbors, n - 1)
        return _others(self._of(again, k + 1), k)

    def of(self, new: Float) -> Found:
        """Return (n_new, k) distances and indices of the known cells nearest to each of ``new``, (n_new, d)."""
        return self._of(new, min(self.n_neighbors, max(1, len(self.known) - 1)))

    def _of(self, new: Float, k: int) -> Found:
        if len(new) == 0:
            return np.zeros((0, k)), np.zeros((0, k), dtype=np.intp)
        if len(self.known) * len(new) <= MOST_PAIRS:
            distances, indices = self._exact.kneighbors(new, n_neighbors=k)
            return distances, indices
        return self._groups.near(new, k)

    @cached_property
    def _exact(self) -> Any:
        from sklearn.neighbors import NearestNeighbors

        return NearestNeighbors().fit(self.known)

    @cached_property
    def _groups(self) -> Groups:
        return Groups.of(self.known)


def _others(found: Found, k: int) -> Found:
    """Return the first k neighbors of all known cells that are not the cells themselves, of k + 1 that were found."""
    distances, indices = found
    dropped = indices == np.arange(len(indices))[:, None]
    # Among many identical cells, a cell may not have been found for itself: then the farthest is dropped.
    dropped[~dropped.any(axis=1), -1] = True
    return distances[~dropped].reshape(-1, k), indices[~dropped].reshape(-1, k)
