"""Types of which a query has next to no probability: those found together are there, those of lone cells are not."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from tests.methods._tasks import make_task

from scllmda.methods import RobustRecipe, robust
from scllmda.methods._robust import _factor_of_absent, _times

N_CELLS, N_NEIGHBORS = 60, 10
SHARE = np.array([0.4, 0.3, 0.3])


def query_with(n_rare: int, n_alike: int) -> tuple[np.ndarray, sp.csr_matrix]:
    """Return posteriors, and a graph in which each cell of a rare type has so many of its own type around it."""
    proba = np.tile([0.98, 0.02, 0.0], (N_CELLS, 1))
    proba[N_CELLS // 2 :] = [0.02, 0.98, 0.0]
    proba[:n_rare] = [0.4, 0.0, 0.6]
    graph = np.zeros((N_CELLS, N_CELLS))
    for cell in range(N_CELLS):
        alike = [(cell + step) % n_rare for step in range(1, n_alike + 1)] if cell < n_rare else []
        others = [n_rare + (cell + step) % (N_CELLS - n_rare) for step in range(N_NEIGHBORS - len(alike))]
        graph[cell, alike + others] = 1
    return proba, sp.csr_matrix(graph)


def called(proba: np.ndarray, graph: sp.csr_matrix, recipe: RobustRecipe) -> np.ndarray:
    found = _times(proba, _factor_of_absent(proba, graph, SHARE, recipe))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    return found.argmax(axis=1)


@pytest.mark.parametrize(
    ("n_alike", "alone", "stays"),
    [
        (0, 0.1, False),
        # One neighbor of ten is still next to none.
        (1, 0.1, False),
        (2, 0.1, True),
        (4, 0.1, True),
        (1, 0.05, True),
        (3, 0.3, False),
        (4, 0.3, True),
    ],
)
def test_so_much_company_and_no_more_is_that_of_a_lone_cell(n_alike: int, alone: float, *, stays: bool) -> None:
    proba, graph = query_with(5, n_alike)
    found = called(proba, graph, RobustRecipe(alone=alone))
    assert (found[:5] == (2 if stays else 0)).all()
    np.testing.assert_array_equal(found[5:], proba[5:].argmax(axis=1))


def test_by_default_one_neighbor_of_ten_is_next_to_none_and_two_are_company() -> None:
    for n_alike, expected in ((1, 0), (2, 2)):
        proba, graph = query_with(5, n_alike)
        assert (called(proba, graph, RobustRecipe())[:5] == expected).all()


def test_one_cell_in_company_speaks_for_its_type() -> None:
    proba, graph = query_with(5, 0)
    links = graph.tolil()
    links[0, 1:5] = 1
    assert (called(proba, sp.csr_matrix(links), RobustRecipe())[:5] == 2).all()


def test_lone_cells_of_a_type_with_much_of_the_probability_are_kept() -> None:
    proba, graph = query_with(5, 0)
    rare = proba[:, 2].mean() / SHARE[2]
    assert (called(proba, graph, RobustRecipe(rare=0.9 * rare))[:5] == 2).all()
    assert (called(proba, graph, RobustRecipe(rare=1.1 * rare))[:5] == 0).all()


def test_what_is_absent_is_a_hundred_times_less_likely() -> None:
    proba, graph = query_with(5, 0)
    expected = proba * [1, 1, 0.01]
    found = _times(proba, _factor_of_absent(proba, graph, SHARE, RobustRecipe()))
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("together", [True, False])
def test_a_rare_type_in_doubt_is_kept_where_its_cells_are_together(*, together: bool) -> None:
    rng = np.random.default_rng(0)
    truth = np.concatenate([np.arange(90) % 3, np.zeros(60, dtype=int)])
    X = 3 * np.eye(3, 10)[truth] + 0.5 * rng.standard_normal((150, 10))
    # Four query cells are between their type and the rare one, all in one place or each in its own.
    odd = np.arange(90, 94)
    X[odd] = [1.8, 0, 2.18, *[0] * 7] + (0.1 if together else 2.75) * np.eye(4, 10, 4)
    task = make_task(X, np.where(np.arange(150) < 90, truth, -1), 3, n_neighbors=5)
    invented, found = (robust(task, RobustRecipe(restart=1.0, rare=rare)).proba.argmax(axis=1) for rare in (0.0, 0.5))
    assert (invented[:4] == 2).all()
    assert (found[:4] == (2 if together else 0)).all()
    assert (found[4:] == 0).all()
