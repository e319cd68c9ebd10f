"""The independence model: what a cell's depth and a peak's base rate alone let expect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._blocks import Blocks, with_rows

Float = NDArray[np.floating]

N_SCALINGS = 50
"""Rounds of iterative proportional fitting; one is exact where all cells are seen through the same peaks."""

ENOUGH_EXPECTED = 50.0
"""Counts that a domain would have on a peak, by the other domains' base rates, for none at all to be its platform's
doing. Types open a peak up to some ten times less often than the mix of types does: five counts are left to expect
then, all of which are missed by chance once in 150 times."""

MOST_MISSING = 0.5
"""Share of the peaks that should be open in a domain and are closed, above which it is its platform's doing that any
is. Query cells of a single sorted type miss a fifth at most."""


@dataclass(frozen=True)
class Margins:
    """Expected counts under independence: ``exposure[j] * rate[i]`` where cell j is seen through peak i, else nothing.

    Cells seen through the same peaks share a view.
    """

    exposure: Float
    """(n_cells,): counts that a cell would have if it were seen through every peak."""
    rate: Float
    """(n_peaks,): base rate of each peak, summing to 1; 0 for peaks that are no evidence."""
    view: NDArray[np.integer]
    """(n_cells,): view of each cell."""
    expected: Float
    """(n_views, n_peaks): rate of each peak in each view, 0 where it is not seen."""

    @property
    def evident(self) -> NDArray[np.intp]:
        """Positions of the peaks that are evidence."""
        return np.flatnonzero(self.rate)


def margins(
    counts: Blocks,
    domain: NDArray[np.integer] | None = None,
    *,
    measured: NDArray[np.bool_] | None = None,
    batch: NDArray[np.integer] | None = None,
) -> Margins:
    """Fit the independence model.

    A peak is evidence on the cells of the domains that measured it, also where it is closed in all of them: in ten
    cells, or in cells of one type, that is what they are. But where a domain should have had ``ENOUGH_EXPECTED`` counts
    and has none, its platform cannot see the peak: it says which platform a cell is from, and is no evidence at all.
    Nor are closed peaks of a domain that has ``MOST_MISSING`` of those closed that should be open: fragments of a few
    regions alone, say.

    Parameters
    ----------
    counts
        (n_cells, n_peaks).
    domain
        (n_cells,) codes 0, 1, … of the domain of each cell; None for one.
    measured
        (n_domains, n_peaks) whether a domain's peak set has a peak; None if each has all.
    batch
        (n_cells,) codes of batches with base rates of their own (batch terms of the model), where all peaks are
        measured.
    """
    n_cells = counts.shape[0]
    domain = np.zeros(n_cells, dtype=np.intp) if domain is None else domain
    per_domain, depth = open_counts(counts, domain)
    measured = np.ones(per_domain.shape, dtype=bool) if measured is None else measured
    used = ~_silenced(per_domain, measured).any(axis=0) & (per_domain * measured > 0).any(axis=0)
    if (per_domain[:, ~used] > 0).any():
        depth = np.concatenate([X @ used.astype(np.float64) for X in counts])
    if batch is not None:
        view, per_view, seen = batch, open_counts(counts, batch)[0], used
    elif measured.all():
        view, per_view, seen = np.zeros(n_cells, dtype=np.intp), per_domain.sum(axis=0, keepdims=True), used
    else:
        view, per_view, seen = domain, per_domain, measured & used
    seen = np.broadcast_to(seen, per_view.shape)
    per_view = np.where(seen, per_view, 0.0)
    rate, exposed = _scale(per_view, seen)
    mass = seen @ rate
    exposure = depth / np.where(mass > 0, mass, 1)[view]
    expected = seen * rate if batch is None else per_view / np.where(exposed > 0, exposed, 1)[:, None]
    return Margins(exposure, rate, view, expected)


def _silenced(per_domain: Float, measured: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (n_domains, n_peaks) whether a domain measured a peak that it has no count of, and should have many."""
    silenced = np.zeros(per_domain.shape, dtype=bool)
    for d, own in enumerate(per_domain):
        others = per_domain.sum(axis=0) - own
        # Depths are compared on what both measured.
        both = measured[d] & np.delete(measured, d, axis=0).any(axis=0)
        expected = others * own[both].sum() / max(others[both].sum(), 1)
        asked, closed = both & (others > 0), both & (own == 0)
        closed_by_chance = np.exp(-expected[asked]).sum()
        missing = (asked & closed).sum() - closed_by_chance
        most_are = missing > MOST_MISSING * (asked.sum() - closed_by_chance)
        silenced[d] = closed & (most_are | (expected >= ENOUGH_EXPECTED))
    return silenced


def open_counts(counts: Blocks, codes: NDArray[np.integer]) -> tuple[Float, Float]:
    """Return counts per group of cells and peak (n_groups, n_peaks), and per cell (n_cells,).

    Parameters
    ----------
    counts
        (n_cells, n_peaks).
    codes
        (n_cells,) codes 0, 1, … of the groups.
    """
    n_groups = int(codes.max(initial=0)) + 1
    per_group, depth = np.zeros((n_groups, counts.shape[1])), [np.zeros(0)]
    for rows, X in with_rows(counts):
        n = X.shape[0]
        group = sp.csr_matrix((np.ones(n), (codes[rows], np.arange(n))), shape=(n_groups, n))
        per_group += (group @ X).toarray()
        depth.append(np.asarray(X.sum(axis=1, dtype=np.float64)).ravel())
    return per_group, np.concatenate(depth)


def _scale(per_view: Float, seen: NDArray[np.bool_]) -> tuple[Float, Float]:
    """Return base rates (n_peaks,) and summed exposures (n_views,) whose products sum to the totals of both margins.

    Scaled on the peaks that several views share: a view's own fit at any scale, and would slow the fit down.
    """
    peak_total, view_total = per_view.sum(axis=0), per_view.sum(axis=1)
    rate = peak_total / max(peak_total.sum(), 1)
    shared = seen.sum(axis=0) > 1 if len(per_view) > 1 else np.ones(len(rate), dtype=bool)
    shared_total = per_view[:, shared].sum(axis=1)
    exposed = view_total
    for _ in range(N_SCALINGS if len(per_view) > 1 else 1):
        mass = seen[:, shared] @ rate[shared]
        exposed = np.where(mass > 0, np.divide(shared_total, mass, out=np.zeros_like(mass), where=mass > 0), view_total)
        behind = exposed @ seen
        rate = np.divide(peak_total, behind, out=np.zeros_like(rate), where=behind > 0)
        rate = rate / (rate.sum() or 1.0)
    mass = seen @ rate
    return rate, np.divide(view_total, mass, out=np.zeros_like(mass), where=mass > 0)
