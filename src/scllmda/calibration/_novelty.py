from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]


def novelty(own: Float, foreign: Float) -> Float:
    """Return for each query cell how unlike the reference it is, 0-1.

    It is the share of reference cells that lie nearer to the rest of the reference than the query cell does: around 0.5
    for cells like the reference's, 1 beyond all of it.

    Parameters
    ----------
    own
        (n_reference,) distance of each reference cell to the others.
    foreign
        (n_query,) distance of each query cell to the reference.

    Returns
    -------
    (n_query,) float64 in [0, 1].
    """
    return np.searchsorted(np.sort(own), foreign) / len(own)


def distance_to_reference(reference: Float, query: Float | None = None, *, n_neighbors: int = 15) -> Float:
    """Return the mean Euclidean distance of each cell to its nearest reference cells.

    Parameters
    ----------
    reference
        (n_reference, d) representation.
    query
        (n_query, d) representation in the same space; None for the reference cells themselves, each to the others.
    n_neighbors
        Neighbours whose distances are averaged, fewer if the reference has no more.

    Returns
    -------
    (n_query,), or (n_reference,) for the reference itself; zero for a reference of one cell.
    """
    from sklearn.neighbors import NearestNeighbors

    k = min(n_neighbors, len(reference) - (query is None))
    if k < 1:
        return np.zeros(len(reference))
    return NearestNeighbors(n_neighbors=k).fit(reference).kneighbors(query)[0].mean(axis=1)
