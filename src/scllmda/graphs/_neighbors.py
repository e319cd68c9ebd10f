from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
Found = tuple[Float, NDArray[np.integer]]

MOST_PAIRS = 75_000**2
"""Number of pairs of cells up to which all distances are computed; above it the search is approximate. All distances of
20,000, 40,000 and 75,000 cells take 2, 6 and 20 s; the approximate search takes 3 s for 75,000, after 25 s in which it
is compiled."""
MARGIN = 8
"""Neighbors that the approximate search keeps per cell beyond those that are returned, so that it misses fewer. With 0,
4, 8, 16 and 32 it finds .899, .969, .987, .998 and 1.000 of the 15 nearest of 20,000 cells; 8 take .8 s, 32 take 2.0
s."""
LEAVES = 16
"""Leaves of the search tree from which the approximate search of new cells starts. From a single leaf some cells start
among cells of a wrong type, and never leave them where no edge joins types that lie far apart. With 1, 4, 16 and 64
.930, .938, .962 and .998 of the 15 nearest are found among 20,000 cells of 20 types that lie far apart; with 1, one new
cell in 1,000 gets mostly neighbors of another type, with 4 and more none."""


@dataclass(frozen=True)
class NearestCells:
    """Finds the nearest of known cells, by Euclidean distance.

    The search is exact up to :data:`MOST_PAIRS` distances; above it is nearest-neighbor descent (Dong et al. 2011),
    which misses some neighbors. Either gives the same result for the same cells, on any number of threads.

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
        indices, distances = self._approximate.neighbor_graph
        distances, indices = _others((distances, indices), np.arange(n), k)
        missed = np.flatnonzero((indices < 0).any(axis=1))
        if len(missed):
            near = self._exact.kneighbors(self.known[missed], n_neighbors=k + 1)
            distances[missed], indices[missed] = _others(near, missed, k)
        return distances, indices

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
        return _others(NearestCells(self.known, k + 1)._of(again, k + 1), np.arange(n), k)

    def of(self, new: Float) -> Found:
        """Return (n_new, k) distances and indices of the known cells nearest to each of ``new``, (n_new, d)."""
        return self._of(new, min(self.n_neighbors, max(1, len(self.known) - 1)))

    def _of(self, new: Float, k: int) -> Found:
        if len(self.known) * len(new) <= MOST_PAIRS:
            distances, indices = self._exact.kneighbors(new, n_neighbors=k)
            return distances, indices
        indices, distances = self._approximate.query(new, k=k)
        missed = np.flatnonzero((indices < 0).any(axis=1))
        if len(missed):
            distances[missed], indices[missed] = self._exact.kneighbors(new[missed], n_neighbors=k)
        return distances, indices

    @cached_property
    def _exact(self) -> Any:
        from sklearn.neighbors import NearestNeighbors

        return NearestNeighbors().fit(self.known)

    @cached_property
    def _approximate(self) -> Any:
        from pynndescent import NNDescent

        # Versions of pynndescent before 0.7 always start from one leaf.
        has_leaves = "search_tree_leaf_budget" in signature(NNDescent).parameters
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Failed to correctly find n_neighbors")
            # One job: each thread draws its own random numbers, so that results would depend on the number of threads.
            return NNDescent(
                self.known,
                n_neighbors=self.n_neighbors + MARGIN,
                **({"search_tree_leaf_budget": LEAVES} if has_leaves else {}),
                random_state=0,
                n_jobs=1,
            )


def _others(found: Found, cells: NDArray[np.integer], k: int) -> Found:
    """Return the first k neighbors of ``cells`` that are not the cells themselves, of more than k that were found."""
    distances, indices = found
    dropped = indices == cells[:, None]
    # Among many identical cells, a cell may not have been found for itself: then the farthest is dropped.
    dropped[~dropped.any(axis=1), -1] = True
    return distances[~dropped].reshape(len(cells), -1)[:, :k], indices[~dropped].reshape(len(cells), -1)[:, :k]
