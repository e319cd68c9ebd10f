from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
Codes = NDArray[np.integer]

FEWEST_CELLS = 10
"""Of a class, in reference and query each, for its distances to say how far the two domains are apart."""
SHIFT_QUANTILE = 0.25
"""Of the classes' shifts: what most classes share is between the domains, what a few have is novel."""


def remoteness(reference: Float, query: Float, *, n_neighbors: int = 15) -> tuple[Float, Float]:
    """Return how remote each cell is from the reference's cells, by two measures.

    Parameters
    ----------
    reference
        (n_reference, d) representation.
    query
        (n_query, d) representation in the same space.
    n_neighbors
        Nearest reference cells that are looked at, fewer if there are no more; a cell is not its own neighbour.

    Returns
    -------
    (n_reference, 2) and (n_query, 2): mean Euclidean distance to the nearest reference cells; and that over the mean of
    what those cells have themselves, as in the local outlier factor (Breunig et al. 2000): rare types lie far apart.
    """
    from sklearn.neighbors import NearestNeighbors

    if len(reference) == 1:
        distance = np.linalg.norm(query - reference, axis=1)
        return np.array([[0.0, 1.0]]), np.column_stack([distance, np.ones(len(query))])
    near = NearestNeighbors(n_neighbors=min(n_neighbors, len(reference) - 1)).fit(reference)
    # Without an argument, kneighbors leaves each cell out of its own neighbours.
    among, away = near.kneighbors(), near.kneighbors(query)
    own = among[0].mean(axis=1)

    def with_ratio(found: tuple[Float, Codes]) -> Float:
        distance, around = found[0].mean(axis=1), own[found[1]].mean(axis=1)
        return np.column_stack([distance, np.divide(distance, around, out=np.ones_like(distance), where=around > 0)])

    return with_ratio(among), with_ratio(away)


def novelty(own: Float, foreign: Float, labels: Codes, predicted: Codes) -> tuple[Float, Float]:
    """Return how unlike the reference each cell is, 0-1: the share of reference cells that are less remote.

    By each measure of :func:`remoteness`, and the smaller of both. A platform makes all cells of a query more remote:
    what three quarters of the classes are more remote than the reference's by, as ratios of medians, is taken out.

    Parameters
    ----------
    own
        (n_reference, 2) remoteness.
    foreign
        (n_query, 2) remoteness.
    labels
        (n_reference,) class codes.
    predicted
        (n_query,) class codes.

    Returns
    -------
    (n_reference,) and (n_query,) float64 in [0, 1].
    """
    of_reference, of_query = np.ones(len(own)), np.ones(len(foreign))
    for mine, theirs in zip(own.T, foreign.T, strict=True):
        theirs = theirs / _shift(mine, theirs, labels, predicted)
        ranked = np.sort(mine)
        of_reference = np.minimum(of_reference, np.searchsorted(ranked, mine) / len(mine))
        of_query = np.minimum(of_query, np.searchsorted(ranked, theirs) / len(mine))
    return of_reference, of_query


def rejection_threshold(novelty_of_reference: Float, rate: float) -> float:
    """Return the novelty above which a share ``rate`` of the reference's own cells lies, at most."""
    return float(np.quantile(novelty_of_reference, 1 - rate, method="higher"))


def _shift(own: Float, foreign: Float, labels: Codes, predicted: Codes) -> float:
    """Return by what factor most classes of the query are more remote, at least 1."""
    ratios = []
    for c in np.unique(labels):
        known, found = own[labels == c], foreign[predicted == c]
        if min(len(known), len(found)) >= FEWEST_CELLS and np.median(known) > 0:
            ratios.append(np.median(found) / np.median(known))
    return max(1.0, float(np.quantile(ratios, SHIFT_QUANTILE))) if ratios else 1.0
