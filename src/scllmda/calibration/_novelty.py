from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
Codes = NDArray[np.integer]
Found = tuple[Float, Codes]


@dataclass(frozen=True)
class NoveltyRecipe:
    """Constants of novelty and rejection."""

    n_dims: int = 16
    """Number of leading dimensions of the representation in which distances are taken. With 16, 32 and 64 the AUROC of
    B, NK, pre-B cells and monocytes that the bone marrow reference lacks is the same to .001 (.998, .945, .990, .922).
    With 8 it is .998, .944, .982 and .907, and .075 instead of .042 of the known cells are rejected beside NK cells."""
    restart: float = 0.2
    """Weight, 0-1, of a cell's own distance against the distances of its neighbors in the kNN graph, over which
    distances are smoothed. The more distances are smoothed, the better novel types are found, but the more known cells
    are rejected if platforms differ: with .1, .2, .4 and 1 (none) the mean AUROC of the four types (see ``n_dims``) is
    .975, .964, .937 and .871, and .43, .31, .12 and .03 of the known cells are rejected where platforms differ most in
    simulations (``shift=3``)."""
    fewest_cells: int = 10
    """Number of cells that a class must have in the reference, and be predicted for in the query, to take part in the
    estimate of how far the two domains are apart. From 3 to 20, bone marrow and cortex give the same. With 20, .51
    instead of .25 of the known cells were rejected where types are ten times rarer in the reference; with 5, novel
    cells of another study were found with an AUROC of .967 instead of .993; with 50, no class of a query of 69 cells
    was large enough."""
    shift_quantile: float = 0.5
    """Which quantile of the classes' shifts is taken for the shift between the domains. By the median, 0.5, a shift
    that at least half of the classes have belongs to the platform, and what fewer classes have is novelty. With the
    lower quartile, the median and the upper quartile 1 to 6, .5 to 4 and .3 to 3 % of the known cells are rejected on
    bone marrow, and 70, 25 and 0 % where types are ten times rarer in the reference; of the four novel types (see
    ``n_dims``) .77, .72 and .67 are rejected in the mean, with an AUROC of .965, .964 and .964."""
    large_shift: float = 2.0
    """Shift between the domains above which the user is warned, and up to which calibrated probabilities are scaled by
    it as by a temperature. It is 1.0 to 1.1 between donors of one platform, 1.4, 1.6 and 2.3 between simulated
    platforms (``shift`` 1, 2 and 3; at 3, a third of the known cells are rejected), and 3.4 to 5.3 between studies of
    cell lines by other platforms."""


def remoteness(among: Found, again: Found, away: Found) -> tuple[Float, Float]:
    """Return how far each cell is from the reference's cells, by two measures.

    Parameters
    ----------
    among
        (n_reference, k) distances and indices of the reference cells nearest to each reference cell, itself not
        counted.
    again
        (n_reference, k) the same for reference cells that are treated like query cells, as by thinning their counts to
        the query's depths.
    away
        (n_query, k) distances and indices of the reference cells nearest to each query cell.

    Returns
    -------
    (n_reference, 2) and (n_query, 2). First column: mean distance to the k nearest reference cells. Second column: this
    divided by the mean of the same distance of those k cells, as in the local outlier factor (Breunig et al. 2000),
    because cells of rare types lie far from one another.
    """
    within = _mean(among[0])

    def with_ratio(found: Found) -> Float:
        distance, around = _mean(found[0]), _mean(within[found[1]])
        return np.column_stack([distance, np.divide(distance, around, out=np.ones_like(distance), where=around > 0)])

    return with_ratio(again), with_ratio(away)


def domain_shift(
    reference: Float, query: Float, labels: Codes, predicted: Codes, recipe: NoveltyRecipe
) -> Float | None:
    """Return by what factor query cells are more remote than reference cells of the same class, by each measure.

    A different platform makes all cells of a query more remote. The shift of a class is the median remoteness of its
    query cells divided by the median of its reference cells; the shift between the domains is the median of those of
    the classes (``shift_quantile``), and at least 1. A query that has none of the reference's classes looks the same.
    None where no class has enough cells to tell.

    Parameters
    ----------
    reference
        (n_reference, 2) :func:`remoteness` of reference cells.
    query
        (n_query, 2) that of query cells.
    labels
        (n_reference,) class codes of the reference cells.
    predicted
        (n_query,) predicted class codes of the query cells.
    recipe
        Constants.
    """
    ratios = []
    for c in np.unique(labels):
        known, found = reference[labels == c], query[predicted == c]
        if min(len(known), len(found)) >= recipe.fewest_cells and np.median(known, axis=0).all():
            ratios.append(np.median(found, axis=0) / np.median(known, axis=0))
    if not ratios:
        return None
    return np.maximum(1.0, np.quantile(ratios, recipe.shift_quantile, axis=0))


def novelty(reference: Float, query: Float) -> tuple[Float, Float]:
    """Return how unlike the reference each cell is: the share (0-1) of reference cells that are less remote.

    This is counted by each measure of :func:`remoteness`, and the smaller of the two shares is the novelty.

    Parameters
    ----------
    reference
        (n_reference, 2) remoteness of reference cells.
    query
        (n_query, 2) remoteness of query cells, divided by the shift between the domains (:func:`domain_shift`).

    Returns
    -------
    (n_reference,) and (n_query,) float64 in [0, 1].
    """
    of_reference, of_query = np.ones(len(reference)), np.ones(len(query))
    for known, new in zip(reference.T, query.T, strict=True):
        ranked = np.sort(known)
        of_reference = np.minimum(of_reference, np.searchsorted(ranked, known) / len(known))
        of_query = np.minimum(of_query, np.searchsorted(ranked, new) / len(known))
    return of_reference, of_query


def rejection_threshold(novelty_of_reference: Float, rate: float) -> float:
    """Return the novelty that at most a share ``rate`` of the reference's own cells exceed."""
    return float(np.quantile(novelty_of_reference, 1 - rate, method="higher"))


def _mean(rows: Float) -> Float:
    """Return the mean of each row; 0 for rows of no columns, as of a reference of one cell, which has no neighbors."""
    return rows.sum(axis=1) / max(1, rows.shape[1])
