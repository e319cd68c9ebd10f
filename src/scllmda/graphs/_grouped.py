"""Approximate search of the nearest cells: each cell is compared with the cells of the groups around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
Codes = NDArray[np.integer]
Found = tuple[Float, Codes]

GROUPS = 2.0
"""Groups that n known cells are divided into, times √n. With 1, 2, 3 and 4 and the same number of candidates .990,
.995, .996 and .996 of the 15 nearest of 150,000 simulated cells are found, in 5.5, 6.1, 7.0 and 8.5 s of CPU time."""
CANDIDATES = 30.0
"""Known cells that each cell is compared with, times √n, and no fewer than four times as many as are asked for. Of
100,000, 300,000 and 500,000 simulated cells, whose types have no inner structure to follow, .990, .975 and .983 of the
15 nearest are found; with 20 and 30 times √n, .981 and .995 of 150,000."""
LARGEST = 4
"""Size, in multiples of the mean, above which a group is cut: cells that are next to identical form such groups, and
would all be compared with each other."""
AT_ONCE = 512
"""Cells that a thread compares with their candidates at once, at most; memory grows with it."""
SPARE = 4
"""Cells beyond those asked for that are kept until distances are known exactly: they are chosen in single precision."""
WIDTH = 16
"""Parts that candidates are divided into where the nearest are chosen (:func:`_smallest`)."""


@dataclass(frozen=True)
class Groups:
    """Known cells in groups of those that lie together.

    The groups are those of an inverted file (Sivic & Zisserman 2003): about 2 √n cells, spread evenly, attract those
    nearest to them, and are moved to their means once. Nothing is drawn at random, and cells are read in an order that
    depends on where they are alone: groups are the same in whatever order cells come.

    Of 100,000, 300,000 and 500,000 simulated cells it takes 2.3, 8.7 and 18 s on two cores. Nearest-neighbor descent
    (pynndescent), of which this took the place, took 3.7, 15 and 30 s on one, as its result depends on how many there
    are, after 25 s of compilation, and found .983, .961 and .955 of the 15 nearest. A second grouping with half the
    candidates each, or neighbors of neighbors as candidates, found no more in the same time.
    """

    cells: Codes
    """(n_known,) positions of the known cells, group by group."""
    vectors: Float
    """(n_known, d) those cells."""
    starts: Codes
    """(n_groups + 1,) where groups start among them."""
    centers: Float
    """(n_groups, d) their means, in double precision: types may lie far apart, and their cells close together."""

    @classmethod
    def of(cls, known: Float) -> Groups:
        """Return groups of known cells (n_known, d)."""
        n = len(known)
        order = _by_place(known)
        n_groups = max(1, int(GROUPS * np.sqrt(n)))
        centers = known[order[np.linspace(0, n - 1, n_groups).astype(np.intp)]].astype(np.float64)
        for _ in range(2):
            nearest = _nearest_of(centers, known, order)
            by_group = np.argsort(nearest, kind="stable")
            size = np.bincount(nearest, minlength=len(centers))
            # Pieces of groups that are too large become groups of their own.
            rank = np.arange(n) - np.repeat(np.cumsum(size) - size, size)
            begins = np.flatnonzero(rank % max(1, LARGEST * n // n_groups) == 0)
            cells = order[by_group]
            pieces = np.split(cells, begins[1:])
            centers = np.array([known[piece].mean(axis=0, dtype=np.float64) for piece in pieces])
        return cls(cells, known[cells], np.append(begins, n), centers)

    def among(self, k: int) -> Found:
        """Return (n_known, k) distances and positions of the cells nearest to each known cell, itself counted."""
        return self._nearest(self.vectors, self.cells, self.starts, k)

    def near(self, new: Float, k: int) -> Found:
        """Return (n_new, k) distances and positions of the known cells nearest to each of ``new``, (n_new, d)."""
        group = _nearest_of(self.centers, new, np.arange(len(new)))
        cells = np.argsort(group, kind="stable")
        starts = np.append(0, np.bincount(group, minlength=len(self.centers)).cumsum())
        return self._nearest(new[cells], cells, starts, k)

    def _nearest(self, new: Float, cells: Codes, starts: Codes, k: int) -> Found:
        """Return :meth:`near` for cells that are in groups, where ``cells`` says where each of them is to stand."""
        n_known, of_center = len(self.vectors), np.square(self.centers).sum(axis=1)
        n_candidates, size = max(int(CANDIDATES * np.sqrt(n_known)), 4 * k), np.diff(self.starts)
        distances = np.empty((len(new), k), dtype=self.vectors.dtype)
        indices = np.empty((len(new), k), dtype=np.int32)

        def search(part: slice) -> None:
            mine = new[part]
            # Groups by how much farther their center is than the nearest one, for that cell to which it matters least:
            # where few cells lie far from all others, theirs may be many.
            away = of_center - 2 * (mine @ self.centers.T)
            margin = (away - away.min(axis=1, keepdims=True)).min(axis=0)
            near = np.argsort(margin, kind="stable")
            near = np.sort(near[: np.searchsorted(size[near].cumsum(), n_candidates) + 1])
            candidates = np.concatenate([np.arange(self.starts[g], self.starts[g + 1]) for g in near])
            chosen = candidates[self._shortlist(near, mine, min(k + SPARE, len(candidates)))]
            apart = self.vectors[chosen] - mine[:, None]
            found = np.sqrt(np.einsum("ijk,ijk->ij", apart, apart))
            best = np.argsort(found, axis=1, kind="stable")[:, :k]
            distances[cells[part]] = np.take_along_axis(found, best, axis=1)
            indices[cells[part]] = self.cells[np.take_along_axis(chosen, best, axis=1)]

        _each(search, _parts(starts))
        return distances, indices

    def _shortlist(self, near: Codes, mine: Float, k: int) -> Codes:
        """Return, for each of ``mine``, which (n_mine, k) of the cells of groups ``near`` are nearest, in no order.

        Seen from among them, cells have small coordinates, whose squares single precision is enough for.
        """
        center = mine.mean(axis=0)
        starts, stops = self.starts[near], self.starts[near + 1]
        # |x|² − 2 x·y as a single product: that of (x, |x|²) and (−2 y, 1).
        known = np.empty(((stops - starts).sum(), len(center) + 1), dtype=np.float32)
        at = 0
        for start, stop in zip(starts, stops, strict=True):
            np.subtract(
                self.vectors[start:stop], center, out=known[at : (at := at + stop - start), :-1], casting="same_kind"
            )
        np.einsum("ij,ij->i", known[:, :-1], known[:, :-1], out=known[:, -1])
        new = np.column_stack([-2 * (mine - center), np.ones(len(mine))]).astype(np.float32)
        return _smallest(new @ known.T, k)


def _by_place(X: Float) -> Codes:
    """Return an order of cells (n_cells, d) that depends on where they are: along an axis that is none of their own."""
    weights = np.sqrt(np.arange(1, X.shape[1] + 1))
    place = np.concatenate([(X[part] * weights).sum(axis=1) for part in _parts([0, len(X)])])
    return np.argsort(place, kind="stable")


def _nearest_of(centers: Float, X: Float, order: Codes) -> Codes:
    """Return which center is nearest to each cell of ``X``, in this order."""
    nearest, half = np.empty(len(order), dtype=np.int32), np.square(centers).sum(axis=1) / 2

    def search(part: slice) -> None:
        nearest[part] = (X[order[part]] @ centers.T - half).argmax(axis=1)

    _each(search, _parts([0, len(order)]))
    return nearest


def _smallest(X: Float, k: int) -> Codes:
    """Return (n, k) columns of the smallest values of each row of ``X``, in no order.

    The k smallest of all lie in the k of many sets of columns whose smallest values are the smallest.
    """
    n, n_columns = X.shape
    n_sets = n_columns // WIDTH
    if n_sets <= 2 * k:
        return np.argpartition(X, k - 1, axis=1)[:, :k]
    of_set = X[:, : WIDTH * n_sets].reshape(n, WIDTH, n_sets).min(axis=1)
    sets = np.argpartition(of_set, k - 1, axis=1)[:, :k]
    columns = (sets[:, :, None] + n_sets * np.arange(WIDTH)).reshape(n, -1)
    rest = np.arange(WIDTH * n_sets, n_columns)
    columns = np.concatenate([columns, np.broadcast_to(rest, (n, len(rest)))], axis=1)
    smallest = np.argpartition(np.take_along_axis(X, columns, axis=1), k - 1, axis=1)[:, :k]
    return np.take_along_axis(columns, smallest, axis=1)


def _parts(starts: Iterable[int]) -> Iterator[slice]:
    """Yield the ranges between starts, those that are long in several pieces."""
    for start, stop in pairwise(starts):
        for begin in range(start, stop, AT_ONCE):
            yield slice(begin, min(begin + AT_ONCE, stop))


def _each(function: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Call a function on each item, on as many threads as linear algebra may use, each of them on one."""
    from threadpoolctl import ThreadpoolController

    blas = ThreadpoolController().select(user_api="blas")
    n_threads = max((info["num_threads"] for info in blas.info()), default=1)
    with blas.limit(limits=1), ThreadPoolExecutor(n_threads) as pool:
        for _ in pool.map(function, items):
            pass
