"""The linear map from cells to expression, compared with its normal equations."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from tests.methods._tasks import Given

from scllmda.factorisation import Evidence
from scllmda.graphs import nearest_graph
from scllmda.methods import EXPRESSION_METHODS, Cells, Expression, make_expression_recipe, predict_expression
from scllmda.methods import _ridge as module

RIDGE = EXPRESSION_METHODS["ridge"]
QUERY = np.arange(120) % 3 == 0


def data() -> tuple[np.ndarray, Expression, np.ndarray]:
    """Return cells in a space, expression of the reference's, and the query's."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 4)) + 6 * (np.arange(120) % 2)[:, None]
    Y = X @ rng.standard_normal((4, 5)) + 0.1 * rng.standard_normal((120, 5))
    Y = np.maximum(Y - Y.min(axis=0), 0)
    genes = tuple("abcde")
    return X, Expression(sp.csr_matrix(Y[~QUERY].astype(np.float32)), genes), Y[QUERY]


def predict(X: np.ndarray, expression: Expression, cells: Cells | None = None, **recipe: Any) -> Any:
    return predict_expression(
        Given(Cells(X) if cells is None else cells),
        QUERY,
        expression,
        method=RIDGE,
        recipe=make_expression_recipe(RIDGE, recipe),
        rng=np.random.default_rng(0),
        device="cpu",
    )


def test_is_ridge_regression_with_the_penalty_of_the_smallest_error_left_out() -> None:
    X, expression, _ = data()
    found, seen = predict(X, expression, n_neighbors=1)
    assert seen.all()
    for side in (QUERY, ~QUERY):
        X[side] = (X[side] + nearest_graph(X[side], 1) @ X[side]) / 2
    A, Y = X[~QUERY], expression.values.toarray().astype(float)
    center, mean = A.mean(axis=0), Y.mean(axis=0)
    A = A - center
    expected, errors = [], []
    for alpha in module.ALPHAS:
        H = A @ np.linalg.inv(A.T @ A + alpha * np.eye(4)) @ A.T
        leverage = np.diag(H) + 1 / len(A)
        errors.append(np.square((Y - mean - H @ (Y - mean)) / (1 - leverage)[:, None]).mean(axis=0))
        B = np.linalg.solve(A.T @ A + alpha * np.eye(4), A.T @ (Y - mean))
        expected.append((X[QUERY] - center) @ B + mean)
    best = np.argmin(errors, axis=0)
    np.testing.assert_allclose(found.values, np.stack(expected)[best, :, np.arange(5)].T, atol=1e-4)


def test_foretells_what_it_was_not_shown() -> None:
    X, expression, truth = data()
    found = predict(X, expression, n_neighbors=1)[0]
    constant = np.square(truth - expression.values.toarray().mean(axis=0)).mean()
    assert np.square(found.values - truth).mean() < 0.2 * constant
    assert not found.is_probability
    assert found.genes == expression.genes


def with_depth(X: np.ndarray, exposure: np.ndarray) -> Cells:
    return Cells(X, Evidence(None, None, X, exposure))  # type: ignore[arg-type]


def test_depth_is_that_among_the_cells_of_a_side() -> None:
    X, expression, _ = data()
    rng = np.random.default_rng(1)
    exposure = rng.integers(10, 500, 120).astype(float)
    depth = np.log(exposure)
    scaled = (depth - depth[~QUERY].mean()) / depth[~QUERY].std()
    deep = Expression(sp.csr_matrix((5 + scaled[~QUERY][:, None] * np.ones(5)).astype(np.float32)), expression.genes)
    found, _ = predict(X, deep, with_depth(X, exposure))
    among = (depth[QUERY] - depth[QUERY].mean()) / depth[QUERY].std()
    np.testing.assert_allclose(found.values[:, 0], 5 + among, atol=0.05)
    # Whole sides that are deeper tell nothing.
    other = exposure.copy()
    other[QUERY] *= 7
    np.testing.assert_allclose(predict(X, deep, with_depth(X, other))[0].values, found.values, atol=1e-5)
    without, _ = predict(X, deep, with_depth(X, exposure), depth=False)
    assert np.corrcoef(without.values[:, 0], among)[0, 1] ** 2 < 0.3


def test_many_genes_are_fitted_some_at_once(monkeypatch: Any) -> None:
    X, expression, _ = data()
    whole, _ = predict(X, expression)
    monkeypatch.setattr(module, "GENES_AT_ONCE", 2)
    np.testing.assert_allclose(predict(X, expression)[0].values, whole.values, atol=1e-5)


def test_cells_without_a_place_get_the_mean() -> None:
    X, expression, _ = data()
    X[:2] = 0
    found, seen = predict(X, expression)
    assert (~seen).nonzero()[0].tolist() == [0]
    np.testing.assert_allclose(found.values[0], expression.values.toarray().mean(axis=0), rtol=1e-5)
    assert (found.values[1:] != found.values[0]).any()
