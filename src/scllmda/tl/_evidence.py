"""What a cell embedding needs to be there before any work."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..factorisation import Blocks, Margins, open_counts
from ._joint_counts import JointCounts

Float = NDArray[np.floating]


def require_evidence(expected: Margins, domain: NDArray[np.generic] | None) -> None:
    """Raise if no peak is evidence."""
    if len(expected.evident) == 0:
        where = "in any cell" if domain is None else "in every domain"
        msg = (
            f"None of {len(expected.rate)} peaks is open {where} of {len(expected.view)} cells; expected counts of "
            "shared peaks."
        )
        raise ValueError(msg)


def require_open_cells(expected: Margins, is_query: NDArray[np.bool_]) -> None:
    """Raise if the reference or the query has no cell with an open peak."""
    for mine, what in ((~is_query, "reference"), (is_query, "query")):
        exposure = expected.exposure[mine]
        if not exposure.any():
            msg = f"None of the {len(exposure)} {what} cells has an open peak among those used; expected some."
            raise ValueError(msg)


def require_open_peaks(joint: JointCounts, *, on_shared: bool) -> None:
    """Raise ValueError, before any long work, if no cell of the reference, or of the query, has an open peak.

    Parameters
    ----------
    joint
        Counts.
    on_shared
        Whether it has to be a shared one.
    """
    if on_shared or joint.sides is None:
        of_cell = depth(joint.counts)
        depths = of_cell[~joint.is_query], of_cell[joint.is_query]
    else:
        depths = depth(joint.sides[0].counts), depth(joint.sides[1].counts)
    for cells, what in zip(depths, ("reference", "query"), strict=True):
        if not cells.any():
            msg = f"None of the {len(cells)} {what} cells has an open peak among those used; expected some."
            raise ValueError(msg)


def depth(blocks: Blocks) -> Float:
    """Return (n_cells,) open peaks."""
    return open_counts(blocks, np.zeros(blocks.shape[0], dtype=np.intp))[1]
