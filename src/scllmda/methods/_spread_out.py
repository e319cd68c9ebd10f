from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.integer]


def spread_out(codes: Codes, n_chosen: Codes) -> NDArray[np.intp]:
    """Return the positions, increasing, of some cells of each class, at even distances among its cells.

    Parameters
    ----------
    codes
        (n_cells,) class codes.
    n_chosen
        (n_classes,) cells to choose of each class, no more than it has.
    """
    n_cells = np.bincount(codes, minlength=len(n_chosen))
    order = np.argsort(codes, kind="stable")
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(n_cells) - n_cells, n_cells)
    share = (n_chosen / np.maximum(n_cells, 1))[codes[order]]
    return np.sort(order[np.floor((rank + 1) * share + 1e-9) > np.floor(rank * share + 1e-9)])
