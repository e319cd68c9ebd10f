"""Cells of an object as those read them who ask for no labels and no second object."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._anndata import require_peaks
from .._counts import counts
from .._genome_notes import build_name
from ..genomics import require_positions
from ..methods import Expression, Unlabeled


def unlabeled_cells(
    adata: AnnData,
    layer: str | None,
    *,
    expression: Expression | None = None,
    batch: NDArray[np.integer] | None = None,
) -> Unlabeled:
    """Return the counts of an object on those of its features that are intervals.

    Parameters
    ----------
    adata
        Cells × peaks or islands.
    layer
        With the counts, ``.X`` if None.
    expression, batch
        Of its cells, if they are known.

    Raises
    ------
    ValueError
        None of the features is an interval; names of peaks repeat; negative, NaN or infinite counts.
    """
    require_peaks(adata)
    where = require_positions(adata.var)
    X = counts(adata, layer)[:, where.rows]
    return Unlabeled(X, where.intervals, build_name(adata, "data"), expression, batch)
