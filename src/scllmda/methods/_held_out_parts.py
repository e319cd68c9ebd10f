from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.integer]


def held_out_parts(labels: Codes, batch: Codes | None, n_folds: int) -> NDArray[np.intp]:
    """Return (n_cells,) the part of the reference with which a cell is held out, -1 for the query.

    Parts are the reference's batches if it has several: what differs between donors is what differs between studies.
    Else they are ``n_folds`` parts with the same share of each class.
    """
    part = np.full(len(labels), -1, dtype=np.intp)
    reference = np.flatnonzero(labels >= 0)
    if batch is not None and len(np.unique(batch[reference])) > 1:
        part[reference] = np.unique(batch[reference], return_inverse=True)[1]
        return part
    # One cell after the other through the classes, so that classes of one cell are spread.
    by_class = reference[np.argsort(labels[reference], kind="stable")]
    part[by_class] = np.arange(len(reference)) % n_folds
    return part
