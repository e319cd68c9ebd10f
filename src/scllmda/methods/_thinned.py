from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._task import Task

FEWEST = 100
"""Cells of a class that are looked at, if it has so many, however small its share: they know its mean to a tenth of its
spread. With more of them the shares of rare classes would grow, which the regressions learn from. Where 5,500 of the
10,335 reference cells of bone marrow are looked at, accuracies are .784, .791 and .783 (16 types) and .891, .891 and
.857 (10 types) with 0, 100 and 500, and .792 and .892 with all cells."""


def thinned(task: Task, most_reference: int, key: NDArray[np.uint64]) -> Task:
    """Return the task with at most about ``most_reference`` cells of the reference, and all of the query.

    Of a larger reference the same share of each class is looked at, but of no class fewer than ``FEWEST`` cells. What a
    label rests on, where classes lie, how sure to be and how remote a cell of the reference may be, is known from
    these; neighbors, of which there are as many as cells, would be looked for among all.

    Parameters
    ----------
    task
        In a space.
    most_reference
        Cells to look at.
    key
        (n_cells,) number of each cell of the source. Those of a class with the smallest are looked at, in whatever
        order the cells are.
    """
    reference = np.flatnonzero(~task.query)
    if len(reference) <= most_reference:
        return task
    labels = task.labels[reference]
    n_cells = np.bincount(labels, minlength=task.n_classes)
    n_chosen = np.minimum(n_cells, np.maximum(n_cells * most_reference // len(reference), FEWEST))
    order = np.lexsort((key[task.at[reference]], labels))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(n_cells) - n_cells, n_cells)
    looked_at = task.query.copy()
    looked_at[reference[order[rank < n_chosen[labels[order]]]]] = True
    return task.of(looked_at)
