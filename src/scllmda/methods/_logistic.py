from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
Codes = NDArray[np.integer]

MOST_CELLS = 5_000
"""Of a class that the fit looks at; they stand for all of them."""
TOLERANCE = 1e-5
"""Of the loss, relative, by which a round of steps has to lower it for another to follow."""
STEPS, MOST_ROUNDS = 30, 10
"""Steps of a round."""


def logistic_posteriors(
    known: Float,
    labels: Codes,
    new: Float,
    n_classes: int,
    *,
    C: float,
    balance: float = 0.0,
) -> Float:
    """Return posteriors (n_new, n_classes) of a logistic regression on centered features of unit scale as a whole.

    It runs on one thread: on data of usual size, several cost more than they gain.

    Parameters
    ----------
    known
        (n_known, d) cells of known class.
    labels
        (n_known,) their class codes; classes without a cell get 0.
    new
        (n_new, d) cells.
    n_classes
        Number of classes.
    C
        Inverse ridge penalty, as in scikit-learn.
    balance
        Cells of a class of n cells weigh n^-balance: with 0 alike, as in scikit-learn, with 1 so that all classes weigh
        the same, as of ``class_weight="balanced"``. The mean weight is one.
    """
    from threadpoolctl import threadpool_limits

    classes, codes = np.unique(labels, return_inverse=True)
    proba = np.zeros((len(new), n_classes))
    if len(classes) == 1:
        proba[:, classes] = 1
        return proba
    n_cells = np.bincount(codes)
    seen = _spread_out(codes, n_cells)
    weight = (n_cells ** (1.0 - balance) / np.bincount(codes[seen]))[codes[seen]]
    weight *= C * len(codes) / weight.sum()
    center, spread = known.mean(axis=0), known.std() or 1.0
    with threadpool_limits(1):
        B = _fit(_with_ones((known[seen] - center) / spread), codes[seen], weight.astype(np.float32))
        proba[:, classes] = _softmax((_with_ones((new - center) / spread) @ B).astype(np.float64))
    return proba


def _spread_out(codes: Codes, n_cells: Codes) -> NDArray[np.intp]:
    """Return positions of at most ``MOST_CELLS`` cells of each class, at even distances."""
    order = np.argsort(codes, kind="stable")
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(n_cells) - n_cells, n_cells)
    share = np.minimum(MOST_CELLS / n_cells, 1.0)[codes[order]]
    return np.sort(order[np.floor((rank + 1) * share + 1e-9) > np.floor(rank * share + 1e-9)])


def _with_ones(X: Float) -> NDArray[np.float32]:
    return np.column_stack([X, np.ones(len(X))]).astype(np.float32)


def _fit(X: NDArray[np.float32], y: Codes, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return B (d, n_classes) of least Σ weight × log loss + ½ ‖B‖², where the last row, the intercepts, is free.

    By L-BFGS in coordinates in which the curvature of each class is one in all directions. Leading and trailing
    dimensions, common and rare classes differ by orders of magnitude: without that it takes thousands of steps. The
    curvature changes on the way, hence the rounds.
    """
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import minimize

    n, d = X.shape
    k = int(y.max()) + 1
    cells = np.arange(n)
    ridge = np.append(np.ones(d - 1), 0.0)
    share = np.bincount(y, weights=weight, minlength=k) / weight.sum()
    B = np.zeros((k, d))
    B[:, -1] = np.log(share)
    proba, before = np.tile(share.astype(np.float32), (n, 1)), np.inf
    for _ in range(MOST_ROUNDS):
        curvature = np.stack([(X * (weight * p * (1 - p))[:, None]).T @ X for p in proba.T]).astype(np.float64)
        roots = [cholesky(c + np.diag(ridge) + 1e-6 * np.eye(d), lower=True) for c in curvature]
        to_B = np.stack([solve_triangular(root, np.eye(d), lower=True).T for root in roots])

        def loss(u: Float, to_B: Float = to_B) -> tuple[float, Float]:
            B = np.einsum("kde,ke->kd", to_B, u.reshape(k, d))
            proba = _softmax(X @ B.T.astype(np.float32))
            value = float(-(weight @ np.log(np.maximum(proba[cells, y], 1e-30)).astype(np.float64)))
            proba[cells, y] -= 1
            slope = (proba * weight[:, None]).T @ X + ridge * B
            return value + 0.5 * float((ridge * B**2).sum()), np.einsum("kde,kd->ke", to_B, slope).ravel()

        u = np.stack([root.T @ b for root, b in zip(roots, B, strict=True)])
        found = minimize(loss, u.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": STEPS, "maxcor": STEPS})
        B = np.einsum("kde,ke->kd", to_B, found.x.reshape(k, d))
        if before - found.fun <= TOLERANCE * found.fun:
            break
        before = found.fun
        proba = _softmax(X @ B.T.astype(np.float32))
    return B.T.astype(np.float32)


def _softmax(logits: Float) -> Float:
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits
