"""Silhouette widths of cells by type, by batch, and of one type against the rest, by one pass over all distances.

scikit-learn has silhouettes of one grouping at a time, each by a pass of its own: one among all types, one more for
each isolated type, of which there are as many as types where all are in all batches, and one among the cells of each
type.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Float = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

_MEGABYTES = 64
"""Size of the blocks of distances that are made at once."""


@dataclass(frozen=True, eq=False)
class DistanceSums:
    """Sums of Euclidean distances from each of n cells."""

    label: Codes
    """(n,): type of each cell."""
    batch: Codes
    """(n,): batch of each cell."""
    sizes: npt.NDArray[np.int64]
    """(n_labels, n_batches): number of cells."""
    to_labels: Float
    """(n, n_labels): to all cells of a type."""
    to_batches: Float
    """(n, n_batches): to the cells of a batch that have the same type."""

    def by_label(self) -> Float:
        """Return the silhouette width of each cell among the types, (n,)."""
        return _silhouettes(self.to_labels, self.sizes.sum(axis=1)[None, :], self.label)

    def against_the_rest(self, label: int) -> Float:
        """Return the silhouette widths of the cells of a type, among this type and all other cells, (n_of_type,)."""
        of_type = self.label == label
        to_type, to_all = self.to_labels[of_type, label], self.to_labels[of_type].sum(axis=1)
        n = of_type.sum()
        sums = np.column_stack([to_type, to_all - to_type])
        return _silhouettes(sums, np.array([[n, len(of_type) - n]]), np.zeros(n, dtype=np.intp))

    def by_batch(self, label: int) -> Float | None:
        """Return the silhouette widths of the cells of a type among batches; None of one batch, or one cell of each."""
        of_type = self.label == label
        there = np.flatnonzero(self.sizes[label])
        if len(there) in (1, of_type.sum()):
            return None
        own = np.searchsorted(there, self.batch[of_type])
        return _silhouettes(self.to_batches[of_type][:, there], self.sizes[label, there][None, :], own)


def distance_sums(X: Float, label: Codes, batch: Codes) -> DistanceSums:
    """Return the sums of distances from each cell, taken in blocks.

    Parameters
    ----------
    X
        Embedding, (n, d).
    label
        Type of each cell, counted from 0 without gaps, (n,).
    batch
        Batch of each cell, counted from 0 without gaps, (n,).
    """
    from sklearn.metrics import pairwise_distances_chunked

    n_labels, n_batches = label.max() + 1, batch.max() + 1
    group, of_cell = np.unique(label * n_batches + batch, return_inverse=True)
    column = np.full(n_labels * n_batches, len(group), dtype=np.intp)
    column[group] = np.arange(len(group))
    column = column.reshape(n_labels, n_batches)
    n = len(X)
    in_group = sp.csr_matrix((np.ones(n), of_cell, np.arange(n + 1)), shape=(n, len(group)))
    in_label = sp.csr_matrix((np.ones(len(group)), group // n_batches, np.arange(len(group) + 1)))

    def reduce(distances: Float, first: int) -> Float:
        rows = np.arange(len(distances))
        # The last column is of types that a batch lacks.
        to_groups = np.column_stack([distances @ in_group, np.zeros(len(rows))])
        to_batches = to_groups[rows[:, None], column[label[first + rows]]]
        return np.column_stack([to_groups[:, :-1] @ in_label, to_batches])

    sums = np.concatenate(list(pairwise_distances_chunked(X, reduce_func=reduce, working_memory=_MEGABYTES)))
    sizes = np.bincount(label * n_batches + batch, minlength=n_labels * n_batches).reshape(n_labels, n_batches)
    return DistanceSums(label, batch, sizes, sums[:, :n_labels], sums[:, n_labels:])


def _silhouettes(sums: Float, sizes: npt.NDArray[np.int64], own: Codes) -> Float:
    """Return the silhouette widths (n,) (Rousseeuw 1987), 0 for the only cell of a group.

    Parameters
    ----------
    sums
        Summed distances from each cell to those of each group, (n, n_groups).
    sizes
        Number of cells of each group, (1, n_groups).
    own
        Group of each cell, (n,).
    """
    rows = np.arange(len(sums))
    inside = sums[rows, own] / np.maximum(sizes[0, own] - 1, 1)
    means = sums / sizes
    means[rows, own] = np.inf
    outside = means.min(axis=1)
    larger = np.maximum(inside, outside)
    # All cells in one place have none.
    width = np.divide(outside - inside, larger, out=np.zeros(len(sums)), where=larger > 0)
    return np.where(sizes[0, own] > 1, width, 0.0)
