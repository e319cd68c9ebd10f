from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._registry import get
from ._task import Counts


def has_own_representation(method: str) -> bool:
    """Return whether a method represents cells in its own way, instead of by the package's embedding."""
    return get(method).representation is not None


def represent_cells(method: str, recipe: Any, counts: Counts) -> NDArray[np.float32]:
    """Represent cells the way a method does that has a representation of its own.

    Parameters
    ----------
    method
        Of ``METHODS``, with a ``representation``.
    recipe
        Its constants, of :func:`make_recipe`.
    counts
        Of reference and query.

    Returns
    -------
    (n_cells, k); zero for cells without any open peak.
    """
    representation = get(method).representation
    assert representation is not None
    seen = np.flatnonzero(np.diff(counts.X.indptr))
    batch = None if counts.batch is None else counts.batch[seen]
    found = representation(replace(counts, X=counts.X[seen], labels=counts.labels[seen], batch=batch), recipe)
    X = np.zeros((counts.X.shape[0], found.shape[1]), dtype=np.float32)
    X[seen] = found
    return X
