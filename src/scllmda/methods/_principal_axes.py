from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rotate_to_principal_axes(X: NDArray[np.floating]) -> NDArray[np.floating]:
    """Rotate to principal axes of the uncentred cells, largest first, so that leading columns are the best subspace."""
    X = np.asarray(X, dtype=np.float64)
    _, axes = np.linalg.eigh(X.T @ X)
    return X @ axes[:, ::-1]
