"""The independence model: the counts to expect if all cells were alike, from each cell's depth and each peak's rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ._blocks import Blocks, with_rows
from ._threads import in_order

Float = NDArray[np.floating]

N_SCALINGS = 50
"""Rounds of iterative proportional fitting. Where all cells have the same peaks, one round is exact. With ten domains
that have a random tenth of the peaks each, base rates are within 3e-9 of the limit after 20 rounds, and equal it after
50."""

ENOUGH_EXPECTED = 50.0
"""A domain that has no count of a peak is taken not to measure it if the other domains' base rates let it expect at
least this many. A cell type can open a peak some ten times less often than the mix of types does: five of fifty counts
are still expected then, and none is found by chance once in 150 times (e^−5 = .007). On cortex accuracy is .584 with 5
and .606 with 20 and more; of 60 simulated cells of one type .900, .950 and .958 are right with 2, 10 and 50; of 600
from a platform without a fifth of the peaks .920, .919 and .921 with 5, 20 and 50, and .911 with 200 or no limit."""

MOST_MISSING = 0.5
"""Share of the peaks with expected counts that are closed in all cells of a domain, above which every closed peak is
taken not to be measured by the domain. Query cells of a single sorted type, whose closed peaks are real, lack a fifth
at most: of 60 simulated ones .858 are right with .05, and .958 with .2 and .5. Of 600 cells with counts on 30 % of the
peaks alone .776 are right with .2 and .5, and .629 with .8."""


@dataclass(frozen=True)
class Margins:
    """Expected counts if all cells were alike: exposure_j · rate_i on the peaks i that were measured in cell j.

    Cells in which the same peaks were measured form a view; with batch terms, each batch is a view.
    """

    exposure: Float
    """(n_cells,): c, the counts that a cell would have if every peak had been measured in it."""
    rate: Float
    """(n_peaks,): r, the base rate of each peak, its share of all counts; they sum to 1. 0 for peaks that are not
    used."""
    view: NDArray[np.integer]
    """(n_cells,): the view that each cell belongs to."""
    expected: Float
    """(n_views, n_peaks): base rate of each peak in each view; 0 where it was not measured. Expected counts of cell j
    are ``exposure[j] * expected[view[j]]``."""

    @property
    def evident(self) -> NDArray[np.intp]:
        """Positions of the peaks that are used, those with a base rate above 0."""
        return np.flatnonzero(self.rate)


def margins(
    counts: Blocks,
    domain: NDArray[np.integer] | None = None,
    *,
    measured: NDArray[np.bool_] | None = None,
    batch: NDArray[np.integer] | None = None,
) -> Margins:
    """Fit the independence model.

    A peak counts for the cells of all domains that measured it, also for domains in which it is closed in all cells: a
    domain of ten cells, or of one type, has such peaks. But where a domain should have had ``ENOUGH_EXPECTED`` counts
    and has none, its platform cannot detect the peak, which then tells platforms apart rather than cells: it is not
    used at all. The same holds for all closed peaks of a domain in which more than ``MOST_MISSING`` of the peaks that
    should be open are closed, as where only fragments of a few regions are at hand.

    Parameters
    ----------
    counts
        (n_cells, n_peaks).
    domain
        (n_cells,) codes 0, 1, … of the domain of each cell; None for one.
    measured
        (n_domains, n_peaks) whether a domain's peak set has a peak; None if each has all.
    batch
        (n_cells,) codes of batches that get base rates of their own (batch terms of the model); only where all peaks
        are measured in all cells.
    """
    n_cells = counts.shape[0]
    domain = np.zeros(n_cells, dtype=np.intp) if domain is None else domain
    per_domain, depth = open_counts(counts, domain)
    measured = np.ones(per_domain.shape, dtype=bool) if measured is None else measured
    used = ~_silenced(per_domain, measured).any(axis=0) & (per_domain * measured > 0).any(axis=0)
    if (per_domain[:, ~used] > 0).any():
        depth = np.concatenate([X @ used.astype(np.float64) for X in counts])
    if batch is not None:
        view, per_view, visible = batch, open_counts(counts, batch)[0], used
    elif measured.all():
        view, per_view, visible = np.zeros(n_cells, dtype=np.intp), per_domain.sum(axis=0, keepdims=True), used
    else:
        view, per_view, visible = domain, per_domain, measured & used
    visible = np.broadcast_to(visible, per_view.shape)
    per_view = np.where(visible, per_view, 0.0)
    rate, exposed = _scale(per_view, visible)
    mass = visible @ rate
    exposure = depth / np.where(mass > 0, mass, 1)[view]
    expected = visible * rate if batch is None else per_view / np.where(exposed > 0, exposed, 1)[:, None]
    return Margins(exposure, rate, view, expected)


def _silenced(per_domain: Float, measured: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (n_domains, n_peaks) whether a domain has no count of a measured peak where it should have had many."""
    silenced = np.zeros(per_domain.shape, dtype=bool)
    for d, found in enumerate(per_domain):
        others = per_domain.sum(axis=0) - found
        # The other domains' counts, scaled to this domain's depth on the peaks that both measured.
        both = measured[d] & np.delete(measured, d, axis=0).any(axis=0)
        expected = others * found[both].sum() / max(others[both].sum(), 1)
        open_elsewhere, closed = both & (others > 0), both & (found == 0)
        # Counts are Poisson: a peak with λ expected counts has none with probability e^−λ.
        closed_by_chance = np.exp(-expected[open_elsewhere]).sum()
        missing = (open_elsewhere & closed).sum() - closed_by_chance
        most_are = missing > MOST_MISSING * (open_elsewhere.sum() - closed_by_chance)
        silenced[d] = closed & (most_are | (expected >= ENOUGH_EXPECTED))
    return silenced


def open_counts(counts: Blocks, codes: NDArray[np.integer]) -> tuple[Float, Float]:
    """Return the summed counts of each group of cells (n_groups, n_peaks), and of each cell (n_cells,).

    Parameters
    ----------
    counts
        (n_cells, n_peaks).
    codes
        (n_cells,) group of each cell, as codes 0, 1, ….
    """
    n_groups = int(codes.max(initial=0)) + 1

    def of_block(block: tuple[slice, sp.csr_matrix]) -> tuple[sp.csr_matrix, Float]:
        rows, X = block
        n = X.shape[0]
        group = sp.csr_matrix((np.ones(n), (codes[rows], np.arange(n))), shape=(n_groups, n))
        return group @ X, np.asarray(X.sum(axis=1, dtype=np.float64)).ravel()

    per_group = np.zeros((n_groups, counts.shape[1]))
    depth: list[Float] = [np.zeros(0)]
    for summed, of_cells in in_order(of_block, with_rows(counts)):
        per_group += summed.toarray()
        depth.append(of_cells)
    return per_group, np.concatenate(depth)


def _scale(per_view: Float, visible: NDArray[np.bool_]) -> tuple[Float, Float]:
    """Return base rates r (n_peaks,) and summed exposures C (n_views,) that reproduce the totals of peaks and views.

    Σ_v C_v r_i over the views v in which peak i is visible is the total of the peak, Σ_i C_v r_i over the visible peaks
    that of the view. The two are solved in turn (iterative proportional fitting), C on peaks that several views share:
    a peak of one view alone fits any C.
    """
    peak_total, view_total = per_view.sum(axis=0), per_view.sum(axis=1)
    rate = peak_total / max(peak_total.sum(), 1)
    shared = visible.sum(axis=0) > 1 if len(per_view) > 1 else np.ones(len(rate), dtype=bool)
    shared_total = per_view[:, shared].sum(axis=1)
    exposed = view_total
    for _ in range(N_SCALINGS if len(per_view) > 1 else 1):
        mass = visible[:, shared] @ rate[shared]
        exposed = np.where(mass > 0, np.divide(shared_total, mass, out=np.zeros_like(mass), where=mass > 0), view_total)
        exposure_of_peak = exposed @ visible
        rate = np.divide(peak_total, exposure_of_peak, out=np.zeros_like(rate), where=exposure_of_peak > 0)
        rate = rate / (rate.sum() or 1.0)
    mass = visible @ rate
    return rate, np.divide(view_total, mass, out=np.zeros_like(mass), where=mass > 0)
