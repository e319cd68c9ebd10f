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
"""Of cells, whose distances are all taken. Before it, compiling the approximate search takes longer than it saves."""
MARGIN = 8
"""Neighbors the approximate search keeps, beyond those asked for: the more, the fewer it misses."""
LEAVES = 16
"""Of the search tree, from which the approximate search of new cells starts: from one, some cells are led to the wrong
type and never leave it, since no edges join types that lie far apart."""


@dataclass(frozen=True)
class NearestCells:
    """The nearest of known cells, by Euclidean distance.

    Exact up to :data:`MOST_PAIRS` distances; beyond that by nearest-neighbor descent (Dong et al. 2011), which misses
    some. Both give the same for the same cells, on any number of threads.

    Parameters
    ----------
    known
        (n_known, d) representation.
    n_neighbors
        Neighbors per cell: as many, among few cells, as each of them has others.
    """

    known: Float
    n_neighbors: int

    def among(self) -> Found:
        """Return (n_known, k) distances and indices of the nearest others of each known cell, nearest first."""
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
        """Return (n_known, k) distances and indices of the nearest others of the known cells as they look ``again``.

        Parameters
        ----------
        again
            (n_known, d) representation of the same cells, by other evidence.
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

        # Before 0.7 it is one leaf always.
        has_leaves = "search_tree_leaf_budget" in signature(NNDescent).parameters
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Failed to correctly find n_neighbors")
            # Each thread would draw its own random numbers, so that results depended on how many there are.
            return NNDescent(
                self.known,
                n_neighbors=self.n_neighbors + MARGIN,
                **({"search_tree_leaf_budget": LEAVES} if has_leaves else {}),
                random_state=0,
                n_jobs=1,
            )


def _others(found: Found, cells: NDArray[np.integer], k: int) -> Found:
    """Return the first k neighbors of ``cells``, among more that were found, which are not the cells themselves."""
    distances, indices = found
    own = indices == cells[:, None]
    # Of identical cells any may come first: who is not among its own neighbors leaves out the farthest.
    own[~own.any(axis=1), -1] = True
    return distances[~own].reshape(len(cells), -1)[:, :k], indices[~own].reshape(len(cells), -1)[:, :k]
