from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.integer]


def held_out_parts(labels: Codes, batch: Codes | None, n_folds: int) -> NDArray[np.intp]:
    """Return (n_cells,) the part in which a reference cell is held out, -1 for the query.

    Parts are batches if there are several, else ``n_folds`` stratified by class.
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
