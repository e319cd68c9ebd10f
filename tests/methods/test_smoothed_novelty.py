"""Novelty is that of a cell and the cells around it: types are novel, single cells are merely noisy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.methods._tasks import annotate_in_space

from scllmda.calibration import NoveltyRecipe
from scllmda.methods import Annotation

N_NEIGHBORS = 10


def make_cells(n_query: int = 150) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cells of three types, their labels, -1 in the query, and their types."""
    rng = np.random.default_rng(0)
    truth = np.arange(150 + n_query) % 3
    X = 3 * np.eye(3, 6)[truth] + 0.3 * rng.standard_normal((150 + n_query, 6))
    return X, np.where(np.arange(150 + n_query) < 150, truth, -1), truth


def run(X: np.ndarray, labels: np.ndarray, **options: Any) -> Annotation:
    return annotate_in_space(X, labels, 3, n_neighbors=N_NEIGHBORS, **{"max_false_rejection": 0.02, **options})


def nearest(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(distances, axis=1)[:, :N_NEIGHBORS]
    return np.take_along_axis(distances, order, axis=1).mean(axis=1), order


def remote_by_hand(known: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distances of reference and query cells, and what they are over those of the cells around."""
    among = np.linalg.norm(known[:, None] - known, axis=2) + np.diag(np.full(len(known), np.inf))
    own = nearest(among)[0]
    found = []
    for distances in (among, np.linalg.norm(asked[:, None] - known, axis=2)):
        distance, around = nearest(distances)
        found.append(np.column_stack([distance, distance / own[around].mean(axis=1)]))
    return found[0], found[1]


def smooth_by_hand(annotation: Annotation, remote: np.ndarray, restart: float) -> np.ndarray:
    graph = annotation.connectivities.toarray()
    step = (1 - restart) * graph / graph.sum(axis=1, keepdims=True)
    smoothed = remote
    for _ in range(10):
        smoothed = restart * remote + step @ smoothed
    return smoothed


def by_hand(annotation: Annotation, labels: np.ndarray, restart: float) -> tuple[np.ndarray, float, float]:
    """Return the novelty of query cells, the threshold at a rate of a tenth, and the shift."""
    is_query = labels < 0
    aligned = annotation.aligned[:, : NoveltyRecipe().n_dims].astype(float)
    remote = np.empty((len(labels), 2))
    remote[~is_query], remote[is_query] = remote_by_hand(aligned[~is_query], aligned[is_query])
    smoothed = smooth_by_hand(annotation, remote, restart)
    known, asked = smoothed[~is_query], smoothed[is_query]
    called = annotation.proba[is_query].argmax(axis=1)
    ratios = [
        np.median(asked[called == c], axis=0) / np.median(known[labels[~is_query] == c], axis=0) for c in range(3)
    ]
    shift = np.maximum(1, np.median(ratios, axis=0))
    of_known = [(known < cell).mean(axis=0).min() for cell in known]
    of_asked = [(known < cell).mean(axis=0).min() for cell in asked / shift]
    return np.array(of_asked), float(np.quantile(of_known, 0.9, method="higher")), float(shift[0])


@pytest.mark.parametrize("restart", [0.2, 0.6, 1.0])
def test_equals_what_it_is_by_hand(restart: float) -> None:
    X, labels, truth = make_cells()
    X[(labels < 0) & (truth == 1)] *= 1.2
    found = run(X, labels, novelty_recipe={"restart": restart}, max_false_rejection=0.1)
    novelty, threshold, shift = by_hand(found, labels, restart)
    # Ranks among 150 cells, of numbers in single precision.
    np.testing.assert_allclose(found.novelty[labels < 0], novelty, atol=1.5 / 150)
    assert found.history["novelty_threshold"] == pytest.approx(threshold, abs=1.5 / 150)
    assert found.shift == pytest.approx(shift, rel=1e-3)
    assert found.shift > 1
    np.testing.assert_array_equal(found.rejected[labels < 0], found.novelty[labels < 0] > threshold)


def test_by_default_four_fifths_are_of_the_cells_around() -> None:
    X, labels, truth = make_cells()
    X[(labels < 0) & (truth == 1)] *= 1.2
    found, told = run(X, labels), run(X, labels, novelty_recipe={"restart": 0.2})
    np.testing.assert_array_equal(found.novelty, told.novelty)
    np.testing.assert_allclose(found.novelty[labels < 0], by_hand(found, labels, 0.2)[0], atol=1.5 / 150)


def test_a_type_that_is_a_little_remote_is_rejected_as_a_whole() -> None:
    X, labels, truth = make_cells()
    new = np.flatnonzero((labels < 0) & (truth == 1))[:25]
    X[new] *= 1.3
    together = run(X, labels)
    assert together.rejected[new].mean() >= 0.9
    # Each of its cells by itself is hardly more remote than some of the reference are.
    alone = run(X, labels, novelty_recipe={"restart": 1.0})
    assert alone.rejected[new].mean() <= 0.6
