"""What labels rest on, to slots of the annotated object: all that :func:`scllmda.get.evidence` reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._keys import AnnotationKeys, class_column
from ..factorisation import CellMapper
from ..methods import LinearModel
from ._cell_space import QueryPlacement

Float = NDArray[np.floating]


def evidence_slots(
    key: str,
    adata: AnnData,
    placement: QueryPlacement,
    model: LinearModel,
    classes: NDArray[np.object_],
    n_open: Float | None,
    n_cells: NDArray[np.integer],
    written: NDArray[np.integer],
) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """Return the slots that belong to peaks and cells, and what goes to ``.uns[key]["evidence"]``.

    Loadings, the one large part, are as they were fitted (half precision), a row for each of the object's peaks.

    Parameters
    ----------
    key
        ``key_added``.
    adata
        Object that will be written to.
    placement
        How its cells were placed.
    model
        Links are among all cells of the annotation.
    classes
        (n_classes,) names.
    n_open
        (n_vars, n_classes): reference cells in which each peak is open, where the reference has counts.
    n_cells
        (n_classes,) the reference's cells.
    written
        Positions, in the annotation, of the object's cells, in its order.
    """
    keys, decoder, peaks = AnnotationKeys(key), placement.decoder, placement.peaks
    found = np.flatnonzero(peaks >= 0)
    loadings = np.zeros((adata.n_vars, decoder.loadings.shape[1]), dtype=np.float32)
    loadings[found] = decoder.loadings[peaks[found]]
    half, rate = loadings.astype(np.float16), np.zeros(adata.n_vars, dtype=np.float32)
    rate[found] = placement.expected[peaks[found]]
    slots: dict[tuple[str, str], Any] = {
        # What sequence alone predicts, of peaks that the reference lacks, is not rounded.
        ("varm", keys.loadings): half if (half == loadings).all() else loadings,
        ("var", keys.rate): rate,
        ("var", keys.peak): peaks.astype(np.int32),
    }
    if model.links is not None:
        slots["obsp", keys.pooled] = model.links[written][:, written]
    if n_open is not None:
        columns = [class_column(c) for c in classes]
        slots["varm", keys.n_open] = pd.DataFrame(n_open.astype(np.float32), index=adata.var_names, columns=columns)
    squares = ("cell_covariance", *(("cell_gram", "peak_covariance") if placement.as_new else ()))
    uns = {
        "gram": CellMapper(decoder, placement.expected).gram,
        **{name: getattr(decoder, name) for name in squares},
        "is_binary": placement.is_binary,
        "n_obs": adata.n_obs,
        "is_linked": model.links is not None,
        "n_peaks": len(np.unique(peaks[found])),
        "n_cells": n_cells,
        **model.arrays(),
    }
    return slots, uns
