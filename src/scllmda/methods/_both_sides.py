"""Reference and query, both of which must have something to be read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def require_both(seen: npt.NDArray[np.bool_], query: npt.NDArray[np.bool_], lack: str) -> None:
    """Raise ValueError if no reference cell is seen, or no query cell.

    Parameters
    ----------
    seen
        Whether a cell has what is read, (n_cells,).
    query
        Whether it is a query cell, (n_cells,).
    lack
        What then none of them does: "has an open peak".
    """
    for what, mine in (("query", seen[query]), ("reference", seen[~query])):
        if not mine.any():
            msg = f"None of the {len(mine)} {what} cells {lack}; expected some."
            raise ValueError(msg)
