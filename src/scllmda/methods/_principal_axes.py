from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def principal_axes(X: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the principal axes (k, k) of the uncentered cells (n_cells, k), as columns, largest first.

    The largest entry of each is positive, so that the sign is no matter of chance.
    """
    X = np.asarray(X, dtype=np.float64)
    _, axes = np.linalg.eigh(X.T @ X)
    axes = axes[:, ::-1]
    return axes * np.where(np.take_along_axis(axes, abs(axes).argmax(axis=0)[None], axis=0) < 0, -1.0, 1.0)


def rotate_to_principal_axes(X: NDArray[np.floating]) -> NDArray[np.floating]:
    """Rotate to principal axes of the uncentered cells, so that leading columns are the best subspace."""
    return np.asarray(X, dtype=np.float64) @ principal_axes(X)
