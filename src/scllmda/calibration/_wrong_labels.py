from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._temperature import scale

Float = NDArray[np.floating]

CONTRADICTED = 0.5
"""Chance to be wrong above which a label is contradicted by the cells that predict it: it is more likely wrong than
right."""
TEMPERATURES = np.geomspace(0.1, 2, 31)
"""Temperatures that are tried, each a tenth above the one before. The likelihood has several maxima: labels that look
wrong can be explained by errors, or by posteriors that are never certain."""
CHANGE = 1e-6
"""Change of the share of wrong labels at which it is known."""
MOST_STEPS = 200
"""Steps of expectation and maximization, at most."""


def wrong_labels(proba: Float, labels: NDArray[np.integer]) -> tuple[Float, float]:
    r"""Return the chance of each label to be wrong, and the share of wrong labels.

    Labels are a mixture. Most follow their cell: P(label) = softmax(log p / T), where p are the posteriors that the
    other cells give. A share ε was given whatever the cell is: P(label) = q. The chance that cell i's label y is wrong
    is then

    .. math:: ε q_y / (ε q_y + (1 - ε) p_{iy}).

    T and ε are those of the highest likelihood. Where types cannot be told apart posteriors say so, and a label is not
    wrong because another one is as likely; where all labels follow their cells, ε is 0. Wrong labels are taken to be
    drawn in proportion to the roots of the types' sizes, halfway between as often as the types and any type as often:
    where 10 % of labels were replaced in the one way or in the other, each of these two assumptions missed half of them
    in the other way on some data, and this one a quarter at most (where types can be told apart).

    Where posteriors foretell labels no better than the types' shares do, as where labels have nothing to do with cells,
    nothing is known of any label, and none is wrong.

    Parameters
    ----------
    proba
        (n_cells, n_classes) posteriors of cells that were held out, so that none has seen its own label.
    labels
        (n_cells,) codes of the labels.
    """
    n_cells = np.bincount(labels, minlength=proba.shape[1])
    of_wrong = (np.sqrt(n_cells) / np.sqrt(n_cells).sum())[labels]
    cells, best = np.arange(len(labels)), (-np.inf, np.zeros(len(labels)), 0.0)
    is_informed = False
    for temperature in TEMPERATURES:
        of_right = np.maximum(scale(proba, temperature)[cells, labels], np.finfo(float).tiny)
        is_informed |= bool(np.log(of_right).sum() > np.log(n_cells[labels] / len(labels)).sum())
        share = _share(of_right, of_wrong)
        likelihood = (1 - share) * of_right + share * of_wrong
        fit = float(np.log(likelihood).sum())
        if fit > best[0]:
            best = fit, share * of_wrong / likelihood, share
    return (best[1], best[2]) if is_informed else (np.zeros(len(labels)), 0.0)


def _share(of_right: Float, of_wrong: Float) -> float:
    """Return the share of wrong labels of the highest likelihood, by expectation and maximization.

    Parameters
    ----------
    of_right, of_wrong
        (n_cells,) probability of each label if it follows its cell, and if it is wrong.
    """
    share = 0.1
    for _ in range(MOST_STEPS):
        chance = share * of_wrong / (share * of_wrong + (1 - share) * of_right)
        before, share = share, float(chance.mean())
        if abs(share - before) < CHANGE:
            break
    return share
