from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from scllmda.methods import _logistic
from scllmda.methods._logistic import logistic_posteriors


def make_cells(n: int = 400, d: int = 8, n_classes: int = 5, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes of very different sizes, along directions of falling variance."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(n_classes, size=n, p=0.5 ** np.arange(n_classes) / np.sum(0.5 ** np.arange(n_classes)))
    X = (rng.standard_normal((n_classes, d)) + 0.7)[labels] + rng.standard_normal((n, d))
    return X * 0.6 ** np.arange(d), labels


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("C", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("newton", [False, True])
def test_equals_scikit_learn(C: float, *, balanced: bool, newton: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    X, labels = make_cells()
    new, _ = make_cells(seed=1)
    settings = {"C": C, "max_iter": 10_000, "class_weight": "balanced" if balanced else None}
    known, asked = ((Y - X.mean(axis=0)) / X.std() for Y in (X, new))
    if not newton:
        monkeypatch.setattr(_logistic, "NEWTON_SIZE", 0)
    found = logistic_posteriors(X, labels, new, 5, C=C, balance=balanced)
    # Newton's method ends next to the optimum, L-BFGS where scikit-learn's ends at the same tolerance.
    ends = [(1e-9, 1e-3)] if newton else [(_logistic.TOLERANCE, 3e-3 * max(C, 1)), (1e-9, 0.1)]
    for tol, nearness in ends:
        expected = LogisticRegression(tol=tol, **settings).fit(known, labels).predict_proba(asked)
        np.testing.assert_allclose(found, expected, atol=nearness)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_some_cells_stand_for_a_large_class(monkeypatch: pytest.MonkeyPatch) -> None:
    X, labels = make_cells(4000, 3, 3)
    everyone = logistic_posteriors(X, labels, X[:50], 3, C=1.0, balance=0.5)
    monkeypatch.setattr(_logistic, "MOST_CELLS", 700)
    some = logistic_posteriors(X, labels, X[:50], 3, C=1.0, balance=0.5)
    assert 1e-4 < np.abs(some - everyone).mean() < 0.02
    # The shares of the classes are those of all cells.
    assert np.abs(some.mean(axis=0) - everyone.mean(axis=0)).max() < 0.02
    # Those of the smallest class are all there.
    seen = _logistic._spread_out(labels, np.bincount(labels))
    np.testing.assert_array_equal(np.bincount(labels[seen]), np.minimum(np.bincount(labels), 700))


def test_two_classes_that_are_far_apart() -> None:
    X = np.array([[-1.0], [-0.9], [0.9], [1.0]])
    proba = logistic_posteriors(X, np.array([0, 0, 1, 1]), np.array([[-5.0], [0.0], [5.0]]), 2, C=1.0)
    np.testing.assert_allclose(proba[1], 0.5, atol=1e-3)
    assert proba[0, 0] > 0.99
    assert proba[2, 1] > 0.99


def test_identical_cells_have_the_base_rates() -> None:
    labels = np.array([0, 0, 0, 1])
    np.testing.assert_allclose(
        logistic_posteriors(np.ones((4, 2)), labels, np.ones((1, 2)), 2, C=1.0), [[0.75, 0.25]], atol=1e-4
    )
    balanced = logistic_posteriors(np.ones((4, 2)), labels, np.ones((1, 2)), 2, C=1.0, balance=1)
    np.testing.assert_allclose(balanced, [[0.5, 0.5]], atol=1e-4)


def test_classes_without_cells_get_zero() -> None:
    X, labels = make_cells(n_classes=2)
    proba = logistic_posteriors(X, 3 * labels + 1, X, 6, C=1.0)
    np.testing.assert_array_equal(proba[:, [0, 2, 3, 5]], 0)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)


def test_one_class() -> None:
    proba = logistic_posteriors(np.eye(3), np.full(3, 1), np.eye(3), 2, C=1.0)
    np.testing.assert_array_equal(proba, [[0, 1]] * 3)


def test_many_classes_of_one_cell() -> None:
    X = np.random.default_rng(0).standard_normal((60, 20))
    proba = logistic_posteriors(X, np.arange(60), X, 60, C=10.0)
    np.testing.assert_array_equal(proba.argmax(axis=1), np.arange(60))


def test_dimensions_without_a_say_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    X, labels = make_cells(d=3)
    X = np.hstack([X, 1e-3 * np.random.default_rng(2).standard_normal((len(X), 4))])
    n_seen = []
    fit = _logistic._fit
    monkeypatch.setattr(_logistic, "_fit", lambda cells, *given: n_seen.append(cells.shape[1]) or fit(cells, *given))
    found = logistic_posteriors(X, labels, X, 5, C=1.0)
    monkeypatch.setattr(_logistic, "NEGLIGIBLE", 0)
    np.testing.assert_allclose(found, logistic_posteriors(X, labels, X, 5, C=1.0), atol=1e-3)
    assert n_seen == [3, 7]


def test_where_newton_stops_nothing_is_said(recwarn: pytest.WarningsRecorder) -> None:
    """A class whose cells are all alike, next to no penalty: scikit-learn goes on with L-BFGS."""
    labels = np.repeat([0, 1, 2], 20)
    X = np.repeat(np.eye(3), 20, axis=0)
    with _logistic.quiet_newton():
        proba = logistic_posteriors(X, labels, np.eye(3), 3, C=1e9)
    assert (proba.argmax(axis=1) == [0, 1, 2]).all()
    assert not [w for w in recwarn if "Newton" in str(w.message)]
