from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from tests.methods._tasks import make_task as task_of

from scllmda.calibration import scale
from scllmda.graphs import knn_graph, personalized_propagation
from scllmda.methods import Result, RobustRecipe, Task, robust


def make_task(
    X: np.ndarray, labels: np.ndarray, *, n_classes: int = 3, batch: np.ndarray | None = None, seed: int = 0
) -> Task:
    return task_of(X, labels, n_classes, batch=batch, seed=seed)


def make_cells(noise: float, *, n_dims: int = 10, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three classes; return X, labels with -1 for the last 60 of 150 cells, and what those are."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(150) % 3)
    X = 3 * np.eye(3, n_dims)[truth] + noise * rng.standard_normal((150, n_dims))
    return X, np.where(np.arange(150) < 90, truth, -1), truth[90:]


def run(X: np.ndarray, labels: np.ndarray, recipe: RobustRecipe | None = None, **kwargs: object) -> Result:
    return robust(make_task(X, labels, **kwargs), recipe or RobustRecipe())


def test_separable_cells_are_all_told_apart() -> None:
    X, labels, truth = make_cells(0.3)
    result = run(X, labels)
    assert result.proba.shape == (60, 3)
    np.testing.assert_array_equal(result.proba.argmax(axis=1), truth)
    np.testing.assert_allclose(result.proba.sum(axis=1), 1)
    assert result.proba.max(axis=1).min() > 0.9
    assert result.aligned.shape == (150, 10)
    assert 0.1 <= result.history["temperature"] <= 10


def test_two_regressions_by_hand() -> None:
    X, labels, _ = make_cells(2.0)
    labels[np.flatnonzero(labels == 1)[5:]] = 2
    result = run(X, labels, RobustRecipe(restart=0.4, balance=0.3))
    known, new, members = X[:90], X[90:], []
    weight = np.bincount(labels[:90])[labels[:90]] ** -0.3
    for unit_length in (False, True):
        a, b = ((Y / np.linalg.norm(Y, axis=1, keepdims=True) if unit_length else Y) for Y in (known, new))
        # In all ten dimensions the principal axes are a rotation, to which a ridge penalty is blind. The spread
        # is not, when it is taken around one mean for all dimensions: hence that of the rotated cells.
        axes = np.linalg.eigh(X.T @ X)[1]
        spread = (a @ axes).std()
        model = LogisticRegression(max_iter=2000, tol=1e-8)
        model.fit((a - a.mean(axis=0)) / spread, labels[:90], sample_weight=weight / weight.mean())
        members.append(np.log(model.predict_proba((b - a.mean(axis=0)) / spread)))
    proba = softmax(np.mean(members, axis=0), axis=1)
    smoothed = personalized_propagation(knn_graph(X, (labels < 0).astype(int), 5)[90:][:, 90:], proba, restart=0.4)
    np.testing.assert_allclose(result.proba, scale(smoothed, result.history["temperature"]), atol=2e-3)


@pytest.mark.parametrize("factor", [2.0**-20, 1e-3, 1e4])
def test_scale_of_the_representation_does_not_matter(factor: float) -> None:
    X, labels, _ = make_cells(2.0)
    np.testing.assert_allclose(run(factor * X, labels).proba, run(X, labels).proba, atol=1e-3)


def test_neither_does_a_rotation() -> None:
    X, labels, _ = make_cells(2.0)
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((10, 10)))[0]
    np.testing.assert_allclose(run(X @ rotation, labels).proba, run(X, labels).proba, atol=1e-3)


def test_order_of_the_query_does_not_matter() -> None:
    X, labels, _ = make_cells(2.0)
    order = np.concatenate([np.arange(90), 90 + np.random.default_rng(1).permutation(60)])
    np.testing.assert_allclose(run(X[order], labels).proba, run(X, labels).proba[order[90:] - 90], atol=1e-3)


def test_same_rng_same_bytes() -> None:
    X, labels, _ = make_cells(2.0)
    first, again = run(X, labels), run(X, labels)
    np.testing.assert_array_equal(first.proba, again.proba)
    np.testing.assert_array_equal(first.aligned, again.aligned)
    assert first.history == again.history


def test_confidence_is_calibrated_on_noisy_cells() -> None:
    score, right = [], []
    for seed in range(3, 8):
        X, labels, truth = make_cells(2.5, seed=seed)
        proba = run(X, labels).proba
        score.append(proba.max(axis=1))
        right.append(proba.argmax(axis=1) == truth)
    assert abs(np.mean(score) - np.mean(right)) < 0.08


def test_aligned_axes_hold_the_largest_spread_first() -> None:
    X, labels, _ = make_cells(1.0, n_dims=80)
    aligned = run(X, labels).aligned
    assert aligned.shape == (150, 64)
    size = np.square(aligned, dtype=float).sum(axis=0)
    assert (np.diff(size) <= 1e-3).all()
    np.testing.assert_allclose(size, np.linalg.svd(X, compute_uv=False)[:64] ** 2, rtol=1e-4)


def test_class_absent_from_the_reference_gets_next_to_nothing() -> None:
    X, labels, _ = make_cells(0.3)
    proba = run(X, labels, n_classes=5).proba
    assert proba.shape == (60, 5)
    assert proba[:, 3:].max() < 1e-2
    np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_types_that_are_absent_are_not_invented() -> None:
    X, labels, truth = make_cells(0.8)
    # Class 2 is not in the query, but for one cell that lies alone between it and class 0.
    kept = np.concatenate([np.arange(90), 90 + np.flatnonzero(truth < 2)])
    X, labels, odd = X[kept], labels[kept], 90 + int((truth[truth < 2] == 0).argmax())
    X[odd] = np.eye(3, 10)[[0, 2]].sum(axis=0) * [1.4, 1, 1.7, *[1] * 7]
    # Neighbors of its own class it has none; three are a tenth of the query's cells.
    task = task_of(X, labels, 3, n_neighbors=3)
    invented = robust(task, RobustRecipe(rare=0.0, restart=1.0)).proba
    assert invented[odd - 90].argmax() == 2
    proba = robust(task, RobustRecipe(restart=1.0)).proba
    assert (proba.argmax(axis=1) < 2).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    expected = invented * [1, 1, 0.01]
    np.testing.assert_allclose(proba, expected / expected.sum(axis=1, keepdims=True))


def test_rare_types_that_are_together_are_there() -> None:
    X, labels, truth = make_cells(0.3)
    rare = 90 + np.flatnonzero(truth == 2)
    kept = np.setdiff1d(np.arange(150), rare[3:])
    proba = run(X[kept], labels[kept], RobustRecipe(rare=1.0)).proba
    assert (proba.argmax(axis=1) == 2).sum() == 3


def test_reference_of_one_class() -> None:
    X, labels, _ = make_cells(0.3)
    proba = run(X, np.where(labels >= 0, 1, -1)).proba
    assert (proba.argmax(axis=1) == 1).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1)


@pytest.mark.parametrize("n_reference", [1, 2, 3])
def test_reference_of_a_few_cells(n_reference: int) -> None:
    X, labels, _ = make_cells(0.3)
    known = np.array([np.flatnonzero(labels == c)[0] for c in range(n_reference)])
    cells = np.concatenate([known, np.arange(90, 150)])
    result = run(X[cells], labels[cells])
    assert np.isfinite(result.proba).all()
    np.testing.assert_allclose(result.proba.sum(axis=1), 1)


def test_class_of_one_cell() -> None:
    X, labels, truth = make_cells(0.3)
    labels = np.where((labels == 2) & (np.arange(150) != np.flatnonzero(labels == 2)[0]), 0, labels)
    assert (labels == 2).sum() == 1
    proba = run(X, labels).proba
    assert np.isfinite(proba).all()
    np.testing.assert_array_equal(proba.argmax(axis=1)[truth == 1], 1)


def test_shifted_batches_lower_the_confidence() -> None:
    X, labels, _ = make_cells(0.5)
    batch = np.random.default_rng(2).integers(0, 2, 150)
    # Within the reference one batch tells classes 0 and 1 the other way round.
    swapped = (batch == 1) & (labels >= 0)
    X[swapped] = X[np.ix_(np.flatnonzero(swapped), [1, 0, *range(2, 10)])]
    assert run(X, labels, batch=batch).history["temperature"] > run(X, labels).history["temperature"]


def test_batches_of_the_query_are_not_read() -> None:
    X, labels, _ = make_cells(2.0)
    rng = np.random.default_rng(2)
    batch = rng.integers(0, 2, 150)
    other = np.where(labels < 0, rng.integers(5, 9, 150), batch)
    np.testing.assert_array_equal(run(X, labels, batch=batch).proba, run(X, labels, batch=other).proba)


def test_held_out_cells_of_prediction_sets() -> None:
    X, labels, _ = make_cells(2.0)
    result = run(X, labels)
    alike = result.alike
    assert alike is not None
    # With nothing to pool, all reference cells were held out as they are where labels are looked at.
    np.testing.assert_array_equal(alike.held_out, result.held_out[alike.cells])
    assert sorted(alike.cells) == list(range(90))
    np.testing.assert_allclose(alike.query, result.proba)
    of_reference, of_query = np.arange(90) % 3 > 0, np.arange(60) % 2 > 0
    some = alike.of(of_reference, of_query)
    np.testing.assert_array_equal(result.held_out[of_reference][some.cells], some.held_out)
    assert len(some.cells) == of_reference.sum()
    np.testing.assert_array_equal(some.query, alike.query[of_query])
