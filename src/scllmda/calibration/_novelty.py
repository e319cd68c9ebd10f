from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]


def novelty(reference: Float, query: Float, *, n_neighbors: int = 15) -> Float:
    """Return for each query cell how unlike the reference it is, 0-1.

    It is the share of reference cells that lie nearer to the rest of the reference than the query cell does, by mean
    Euclidean distance to the nearest reference cells: around 0.5 for cells like the reference's, 1 beyond all of it.

    Parameters
    ----------
    reference
        (n_reference, d) representation.
    query
        (n_query, d) representation in the same space.
    n_neighbors
        Neighbours whose distances are averaged.

    Returns
    -------
    (n_query,) float64 in [0, 1].
    """
    own = _mean_distance(reference, None, n_neighbors)
    foreign = _mean_distance(reference, query, n_neighbors)
    return np.searchsorted(np.sort(own), foreign) / len(own)


def _mean_distance(reference: Float, query: Float | None, n_neighbors: int) -> Float:
    """Mean distance to the nearest reference cells, of query cells or of reference cells to the others."""
    from sklearn.neighbors import NearestNeighbors

    k = min(n_neighbors, len(reference) - (query is None))
    if k < 1:
        return np.zeros(len(reference))
    return NearestNeighbors(n_neighbors=k).fit(reference).kneighbors(query)[0].mean(axis=1)
