from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..factorisation import Evidence

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Cells:
    """Reference and query cells as an annotator sees them."""

    X: Float
    """(n_cells, d): where cells are, by evidence that reference and query both have."""
    evidence: Evidence | None = None
    """What that evidence is, of all cells; None where cells are given as ``X`` alone."""
    around: Float | None = None
    """(n_cells, m): where neighbors are looked for, in a space of each domain's own; None for ``X``."""
    as_query: Evidence | None = None
    """Evidence of the reference cells as if they had the query's depths."""
    around_as_query: Float | None = None
    """(n_reference, m): the same of ``around``."""
    own_axes: Float | None = None
    """(n_cells, k): where cells lie along the leading axes of peaks that the other domain lacks; NaN for cells that
    were not looked at."""

    @property
    def have_counts(self) -> NDArray[np.bool_]:
        """(n_cells,): whether a cell has any open peak."""
        found = np.asarray(self.X.any(axis=1))
        return found if self.around is None else found | self.around.any(axis=1)

    def take(self, cells: NDArray[np.intp], reference: NDArray[np.intp]) -> Cells:
        """Return some cells, at increasing positions, of whose reference cells these are the positions among them."""
        if len(cells) == len(self.X):
            return self
        return Cells(
            self.X[cells],
            None if self.evidence is None else self.evidence.take(cells),
            None if self.around is None else self.around[cells],
            None if self.as_query is None else self.as_query.take(reference),
            None if self.around_as_query is None else self.around_as_query[reference],
            None if self.own_axes is None else self.own_axes[cells],
        )
