from __future__ import annotations

import numpy as np
import pytest
from tests.methods._tasks import annotate_in_space

from scllmda.methods import Annotation

QUICK = {"robust": None, "scllmda": {"n_epochs": 20}, "seqalignatac": {"n_epochs": 40}}


def make_cells() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three classes, reference and query mixed; two cells of each without any open peak."""
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.arange(120) % 3)
    X = 3 * np.eye(3, 6)[truth] + 0.3 * rng.standard_normal((120, 6))
    query = rng.random(120) < 0.4
    X[np.flatnonzero(query)[:2]] = 0
    X[np.flatnonzero(~query)[:2]] = 0
    return X, np.where(query, -1, truth), truth


def run(X: np.ndarray, labels: np.ndarray, *, method: str = "robust", **kwargs: object) -> Annotation:
    return annotate_in_space(X, labels, 3, method=method, **{"recipe": QUICK.get(method), "n_neighbors": 5, **kwargs})


@pytest.mark.parametrize("method", sorted(QUICK))
def test_every_cell_in_its_place(method: str) -> None:
    X, labels, truth = make_cells()
    annotation = run(X, labels, method=method)
    query, empty = labels < 0, ~X.any(axis=1)
    assert annotation.proba.shape == (120, 3)
    np.testing.assert_array_equal(annotation.proba[~query], np.eye(3)[truth[~query]])
    seen = query & ~empty
    np.testing.assert_array_equal(annotation.proba[seen].argmax(axis=1), truth[seen])
    np.testing.assert_allclose(annotation.proba[seen].sum(axis=1), 1, atol=1e-5)
    assert not annotation.novelty[~query].any()
    assert annotation.novelty.min() >= 0
    assert annotation.novelty.max() <= 1
    assert annotation.history


@pytest.mark.parametrize("method", sorted(QUICK))
def test_cells_without_open_peaks_are_left_out(method: str) -> None:
    X, labels, _ = make_cells()
    annotation = run(X, labels, method=method)
    empty = ~X.any(axis=1)
    assert not annotation.proba[empty & (labels < 0)].any()
    assert (annotation.novelty[empty & (labels < 0)] == 1).all()
    assert not annotation.aligned[empty].any()
    for graph in (annotation.connectivities, annotation.ppmi):
        assert graph.shape == (120, 120)
        assert graph[empty].nnz == 0
        assert graph[:, empty].nnz == 0
    alone = run(X[~empty], labels[~empty], method=method)
    np.testing.assert_array_equal(annotation.proba[~empty], alone.proba)
    np.testing.assert_array_equal(annotation.aligned[~empty], alone.aligned)
    np.testing.assert_array_equal(annotation.novelty[~empty], alone.novelty)
    np.testing.assert_array_equal(
        annotation.connectivities[~empty][:, ~empty].toarray(), alone.connectivities.toarray()
    )
    np.testing.assert_array_equal(annotation.ppmi[~empty][:, ~empty].toarray(), alone.ppmi.toarray())


def test_graphs_have_no_edges_between_reference_and_query() -> None:
    X, labels, _ = make_cells()
    annotation = run(X, labels)
    for graph in (annotation.connectivities, annotation.ppmi):
        i, j = graph.nonzero()
        assert len(i) > 0
        np.testing.assert_array_equal(labels[i] < 0, labels[j] < 0)


def test_nothing_but_the_mark_of_the_query_is_read_of_it() -> None:
    X, labels, _ = make_cells()
    query = labels < 0
    rng = np.random.default_rng(1)
    batch = rng.integers(0, 2, 120)
    other_batch = np.where(query, rng.integers(3, 9, 120), batch)
    other_labels = np.where(query, -rng.integers(1, 9, 120), labels)
    first, second = run(X, labels, batch=batch), run(X, other_labels, batch=other_batch)
    np.testing.assert_array_equal(first.proba, second.proba)
    np.testing.assert_array_equal(first.novelty, second.novelty)


def test_cells_of_no_reference_type_are_novel() -> None:
    X, labels, truth = make_cells()
    strange = (labels < 0) & (truth == 1) & X.any(axis=1)
    X[strange] = 3 * np.eye(1, 6, 5) + 0.3 * X[strange]
    annotation, empty = run(X, labels), ~X.any(axis=1)
    novelty, known = annotation.novelty, (labels < 0) & ~strange & ~empty
    assert novelty[strange].min() > 0.9
    assert np.mean(novelty[strange][:, None] > novelty[known]) > 0.95
    assert annotation.rejected[strange].all()
    assert annotation.rejected[known].mean() < 0.2
    assert annotation.rejected[empty & (labels < 0)].all()
    assert not annotation.rejected[labels >= 0].any()
    threshold = annotation.history["novelty_threshold"]
    np.testing.assert_array_equal(annotation.rejected, (labels < 0) & (empty | (novelty > threshold)))
    kept = run(X, labels, max_false_rejection=None)
    np.testing.assert_array_equal(kept.rejected, (labels < 0) & empty)
    assert "novelty_threshold" not in kept.history


def test_shift_is_told() -> None:
    X, labels, _ = make_cells()
    assert run(X, labels).shift < 2
    query = (labels < 0) & X.any(axis=1)
    X[query] += 30 * np.eye(1, 6, 5)
    annotation = run(X, labels)
    assert annotation.history["novelty_shift"] == annotation.shift > 2


@pytest.mark.parametrize("method", ["robust", "lsi_lr"])
def test_calibrated_probabilities_are_less_sure_of_a_query_far_away(method: str) -> None:
    X, labels, _ = make_cells()
    query = (labels < 0) & X.any(axis=1)
    X[query] += 6 * np.eye(1, 6, 5)
    as_calibrated = run(X, labels, method=method, novelty_recipe={"large_shift": 1.0})
    for largest in (1.5, 100.0):
        annotation = run(X, labels, method=method, novelty_recipe={"large_shift": largest})
        # p ∝ q^(1/s), s the shift but no larger than is allowed; a method that is not calibrated is left as it is.
        s = min(annotation.shift, largest) if method == "robust" else 1.0
        expected = as_calibrated.proba[query] ** (1 / s)
        np.testing.assert_allclose(annotation.proba[query], expected / expected.sum(axis=1, keepdims=True), atol=1e-6)
        np.testing.assert_array_equal(annotation.novelty, as_calibrated.novelty)


def test_nothing_is_rejected_where_the_shift_cannot_be_told() -> None:
    X, labels, _ = make_cells()
    few = np.flatnonzero((labels < 0) & X.any(axis=1))[:9]
    cells = np.union1d(np.flatnonzero((labels >= 0) & X.any(axis=1)), few)
    X[few] += 30 * np.eye(1, 6, 5)
    annotation = run(X[cells], labels[cells])
    assert annotation.shift is None
    assert not annotation.rejected.any()
    assert not {"novelty_shift", "novelty_threshold"} & annotation.history.keys()
    told = run(X[cells], labels[cells], novelty_recipe={"fewest_cells": 2})
    assert told.shift > 2


def test_unknown_constants_of_novelty_are_refused() -> None:
    X, labels, _ = make_cells()
    with pytest.raises(ValueError, match=r"novelty_recipe=.* has no .*'dims'.* in its recipe; it has .*'n_dims'"):
        run(X, labels, novelty_recipe={"dims": 3})


@pytest.mark.parametrize("what", ["query", "reference"])
def test_no_open_peak_at_all_is_an_error(what: str) -> None:
    X, labels, _ = make_cells()
    X[(labels < 0) == (what == "query")] = 0
    with pytest.raises(ValueError, match=rf"None of the \d+ {what} cells has an open peak"):
        run(X, labels)


def test_unknown_constants_are_refused_before_any_work() -> None:
    X, labels, _ = make_cells()
    with pytest.raises(ValueError, match="in its recipe"):
        run(X, labels, recipe={"dropout": 0.5})


def test_inputs_are_left_as_they_were() -> None:
    X, labels, _ = make_cells()
    before = X.copy(), labels.copy()
    run(X, labels)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(labels, before[1])
