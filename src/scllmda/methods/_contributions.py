"""What each peak contributed to the log odds of two classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..factorisation import Placed
from ._linear_model import LinearModel
from ._logistic import Logistic
from ._members import Profiles, Regressions

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Contributions:
    """Terms of the log odds of two classes, log p(one) − log p(other), which they add up to."""

    peaks: Float
    """(n_peaks,): of each peak's counts, in the cells and in those that they are pooled with."""
    intercept: float
    """What the mixture's members say whatever the counts."""
    bounds: float
    """What is lost because posteriors are no smaller than 1e-9, and cells are rounded to half precision."""
    neighbors: float
    """What the probabilities of the cells' neighbors changed."""
    calibration: float
    """What the temperature changed, types that were found absent, and how far the query is from the reference."""
    aligned: Float | None
    """(n_cells, d): where the cells are in the representation that was aligned, if it can be told."""


def contributions(
    model: LinearModel, placed: Placed, cells: NDArray[np.intp], pair: tuple[int, int], log_odds: float
) -> Contributions:
    r"""Return the terms of the mean log odds of two classes over some cells.

    Each member of the mixture is linear in pulls and counts, which are sums over peaks, given how deep a cell is and,
    for the regression on cells of unit length, how long its vector. With the member's coefficients β, log odds are
    (β_one − β_other) · w + const, and w = (c D + V⁻¹)⁻¹ pull: of each pull they are u · pull with
    u = (c D + V⁻¹)⁻¹ (β_one − β_other). Where a member pools cells, its u belongs to the pulls of all of them.

    Parameters
    ----------
    model
        Whose links are among the cells placed.
    placed
        These cells, and those whose counts the model adds to theirs; all query cells if they are of one type.
    cells
        Their positions among the cells placed.
    pair
        Codes of the two classes.
    log_odds
        What the terms are to add up to: the mean log odds that cells were given in the end.
    """
    one, other = pair
    directions, direct = np.zeros(placed.pull.shape), np.zeros(placed.counts.shape[0])
    by_folds, intercept, mixed = np.zeros(placed.counts.shape[1]), 0.0, 0.0
    aligned: dict[bool, Float] = {}
    for name, member in model.members.items():
        views = list(_views(model, member, cells, placed.counts.shape[0]))
        weight = model.weights[name] / len(views)
        for summed in views:
            if isinstance(member, Profiles):
                by_folds = member.folds[:, one] - member.folds[:, other]
                direct += weight * np.asarray(summed.mean(axis=0)).ravel()
                prior = weight * float(member.prior[one] - member.prior[other])
                intercept, mixed = intercept + prior, mixed + prior + float(direct @ (placed.counts @ by_folds))
                continue
            pull, exposure = summed @ placed.pull, summed @ placed.exposure
            at = (placed.mapper.embed(pull, exposure) @ model.axes).astype(np.float32)
            aligned.setdefault(member.pooled, at)
            logs = member.logs(at)
            mixed += weight * float((logs[:, one] - logs[:, other]).mean())
            length = np.linalg.norm(at, axis=1)
            for regression, scale in ((member.plain, 1.0), (member.unit, 1 / np.where(length > 0, length, 1))):
                slope, constant = _linear(regression, one, other)
                along = np.multiply.outer(scale * np.ones(len(at)), slope @ model.axes.T)
                u = placed.mapper.pull_along(along, exposure)
                directions += weight / 2 / len(at) * (summed.T @ u)
                intercept += weight / 2 * constant
    peaks = placed.pull_by_peak(directions) + by_folds * (placed.counts.T @ direct)
    # Backwards from the end: p was raised to 1 / shift, multiplied by factor, and raised to 1 / temperature.
    absent = float(np.log(model.factor[one] / model.factor[other]))
    smoothed = model.temperature * (model.shift * log_odds - absent)
    bounds = mixed - float(peaks.sum()) - intercept
    # In a mixture cells are aligned as they are seen in the smallest pool, even if all of them are of one type.
    where = None if model.is_one_type else aligned.get(len(model.members) > 1)
    return Contributions(peaks, intercept, bounds, smoothed - mixed, log_odds - smoothed, where)


def _views(
    model: LinearModel, member: Regressions | Profiles, cells: NDArray[np.intp], n_placed: int
) -> Iterator[sp.csr_matrix]:
    """Yield which cells' counts a member adds up to see each of ``cells``, (n_cells, n_placed) of ones.

    Pooled cells are seen in pools of several sizes. If all cells are of one type, all are seen as one.
    """
    alone = sp.csr_matrix((np.ones(len(cells)), (np.arange(len(cells)), cells)), shape=(len(cells), n_placed))
    if isinstance(member, Regressions) and not member.pooled:
        yield alone
    elif isinstance(member, Regressions) and model.is_one_type:
        yield sp.csr_matrix(np.ones((1, n_placed)))
    elif model.links is not None:
        links = sp.csr_matrix(model.links[cells])
        bits = [0] if isinstance(member, Profiles) else range(1, int(links.data.max(initial=0)).bit_length())
        for bit in bits:
            yield alone + sp.csr_matrix(((links.data >> bit) & 1, links.indices, links.indptr), shape=links.shape)


def _linear(regression: Logistic, one: int, other: int) -> tuple[Float, float]:
    """Return slope (d,) and constant of the log odds of two classes."""
    slope = (regression.coef[one] - regression.coef[other]) / regression.spread
    # Of a class that no reference cell stands for, the bound of posteriors is all that is said.
    intercept = np.where(np.isfinite(regression.intercept), regression.intercept, 0)
    return slope, float(intercept[one] - intercept[other] - slope @ regression.center)
