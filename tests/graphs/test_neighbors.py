from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from scllmda.graphs import NearestCells, _grouped, _neighbors, knn_graph


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def approximate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_neighbors, "MOST_PAIRS", 0)


@pytest.fixture
def few_candidates(monkeypatch: pytest.MonkeyPatch, approximate: None) -> None:
    monkeypatch.setattr(_grouped, "CANDIDATES", 10)


def distances_to(known: np.ndarray, cells: np.ndarray) -> np.ndarray:
    return np.array([np.linalg.norm(known.astype(float) - cell, axis=1) for cell in cells.astype(float)])


def without_own(distances: np.ndarray) -> np.ndarray:
    return distances + np.diag(np.full(len(distances), np.inf))


def recall(found: np.ndarray, distances: np.ndarray) -> float:
    nearest = np.argsort(distances, axis=1)[:, : found.shape[1]]
    return float(np.mean([np.isin(row, other).mean() for row, other in zip(nearest, found, strict=True)]))


def mixture(rng: np.random.Generator, n: int) -> np.ndarray:
    return (3 * rng.standard_normal((5, 8))[rng.integers(0, 5, n)] + rng.standard_normal((n, 8))).astype(np.float32)


def test_few_cells_exactly(rng: np.random.Generator) -> None:
    known, new = rng.standard_normal((90, 4)), rng.standard_normal((40, 4))
    cells = NearestCells(known, 6)
    for (found, at), expected in (
        (cells.among(), without_own(distances_to(known, known))),
        (cells.of(new), distances_to(known, new)),
    ):
        np.testing.assert_array_equal(at, np.argsort(expected, axis=1)[:, :6])
        np.testing.assert_allclose(found, np.sort(expected, axis=1)[:, :6])
    assert set(vars(cells)) == {"known", "n_neighbors", "_exact"}  # nothing was approximate


@pytest.mark.parametrize("n_known", [1, 2, 5])
def test_no_more_neighbors_than_a_known_cell_has(n_known: int, rng: np.random.Generator) -> None:
    known, new = rng.standard_normal((n_known, 3)), rng.standard_normal((4, 3))
    distances, indices = NearestCells(known, 15).among()
    assert distances.shape == indices.shape == (n_known, n_known - 1)
    expected = np.sort(without_own(distances_to(known, known)), axis=1)[:, :-1]
    np.testing.assert_allclose(distances, expected)
    distances, indices = NearestCells(known, 15).of(new)
    assert distances.shape == indices.shape == (4, max(1, n_known - 1))
    np.testing.assert_array_equal(indices[:, 0], distances_to(known, new).argmin(axis=1))


@pytest.mark.usefixtures("approximate")
def test_many_cells_nearly_so(rng: np.random.Generator) -> None:
    both = mixture(rng, 3000)
    known, new = both[:2000], both[2000:]
    cells = NearestCells(known, 15)
    for (found, at), expected in (
        (cells.among(), without_own(distances_to(known, known))),
        (cells.of(new), distances_to(known, new)),
    ):
        assert recall(at, expected) > 0.98
        np.testing.assert_allclose(found, np.take_along_axis(expected, at, axis=1), rtol=1e-4, atol=1e-4)
        assert (np.diff(found, axis=1) >= 0).all()
        assert all(len(set(row)) == 15 for row in at)
    assert "_exact" not in vars(cells)


@pytest.mark.usefixtures("few_candidates")
def test_few_candidates_miss_few_neighbors(rng: np.random.Generator) -> None:
    known = mixture(rng, 3000)
    _, at = NearestCells(known, 15).among()
    found = recall(at, without_own(distances_to(known, known)))
    assert 0.9 < found < 1


@pytest.mark.usefixtures("few_candidates")
@pytest.mark.parametrize(("spread", "move"), [(0.02, 0.3), (1e-4, 0), (0.02, 5)])
def test_no_cell_is_led_to_the_wrong_type(
    spread: float, move: float, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Types lie far apart, most of them are rare, and new cells are moved, as a query is, or far from all known cells.
    monkeypatch.setattr(_grouped, "CANDIDATES", 6)
    scale = 1 / np.sqrt(np.arange(1, 17))
    centers = scale * rng.standard_normal((100, 16))
    of_known = np.concatenate([rng.integers(0, 20, 3000), np.repeat(np.arange(20, 100), 6)])
    known, new = (
        (centers[types] + spread * scale * rng.standard_normal((len(types), 16)) + by * scale).astype(np.float32)
        for types, by in ((of_known, 0), (np.repeat(np.arange(100), 5), move))
    )
    cells = NearestCells(known, 5)
    for (found, _), expected in (
        (cells.of(new), distances_to(known, new)),
        (cells.among(), without_own(distances_to(known, known))),
    ):
        nearest = np.sort(expected, axis=1)[:, :5].mean(axis=1)
        assert (found.mean(axis=1) / nearest).max() < 1.5


@pytest.mark.usefixtures("few_candidates")
def test_the_same_whenever_in_any_order_and_on_however_many_threads(rng: np.random.Generator) -> None:
    known, new = mixture(rng, 1500), mixture(rng, 700)
    order, order_new = rng.permutation(1500), rng.permutation(700)
    found = []
    for n_threads in (1, 2, 2):
        with threadpool_limits(n_threads):
            cells = NearestCells(known, 15)
            found.append([*cells.among(), *cells.of(new)])
    cells = NearestCells(known[order], 15)
    (among, at), (near, whose) = cells.among(), cells.of(new[order_new])
    back, back_new = np.argsort(order), np.argsort(order_new)
    found.append([among[back], order[at][back], near[back_new], order[whose][back_new]])
    for other in found[1:]:
        for part, again in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(part, again)


@pytest.mark.usefixtures("few_candidates")
def test_more_neighbors_than_a_group_has_cells(rng: np.random.Generator) -> None:
    known, new = mixture(rng, 900), mixture(rng, 30)
    for k in (200, 899):
        cells = NearestCells(known, k)
        for (_, at), expected in (
            (cells.among(), without_own(distances_to(known, known))),
            (cells.of(new), distances_to(known, new)),
            (cells.of_themselves(known + np.float32(0.01)), without_own(distances_to(known, known + 0.01))),
        ):
            assert all(len(set(row)) == k for row in at)
            assert recall(at, expected) > 0.9


@pytest.mark.usefixtures("approximate")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_distances_between_cells_that_lie_far_from_zero(dtype: type, rng: np.random.Generator) -> None:
    known = (100 + 1e-3 * rng.standard_normal((1200, 8))).astype(dtype)
    distances, indices = NearestCells(known, 5).among()
    expected = without_own(distances_to(known, known))
    np.testing.assert_allclose(distances, np.take_along_axis(expected, indices, axis=1), rtol=1e-5)
    assert recall(indices, expected) > 0.98


def test_no_new_cells(rng: np.random.Generator) -> None:
    distances, indices = NearestCells(mixture(rng, 20), 5).of(np.zeros((0, 8), dtype=np.float32))
    assert distances.shape == indices.shape == (0, 5)


@pytest.mark.usefixtures("approximate")
def test_identical_cells_are_neighbors_of_each_other_never_of_themselves(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = mixture(rng, 600)
    known[:200] = known[0]
    # They fill groups that are not all searched.
    monkeypatch.setattr(_grouped, "CANDIDATES", 1)
    distances, indices = NearestCells(known, 15).among()
    assert (indices != np.arange(600)[:, None]).all()
    assert indices.min() >= 0
    assert all(len(set(row)) == 15 for row in indices)
    np.testing.assert_allclose(distances[:200], 0, atol=1e-3)
    assert (indices[:200] < 200).all()


def test_no_group_is_large(rng: np.random.Generator) -> None:
    # All cells of a group are compared with each other.
    for known in (np.ones((2000, 4)), np.repeat(mixture(rng, 4), 500, axis=0), mixture(rng, 2000)):
        groups = _grouped.Groups.of(known)
        assert np.diff(groups.starts).max() <= _grouped.LARGEST * 2000 / (int(_grouped.GROUPS * np.sqrt(2000)))
        np.testing.assert_array_equal(np.sort(groups.cells), np.arange(2000))
        np.testing.assert_array_equal(groups.vectors, known[groups.cells])


@pytest.mark.usefixtures("approximate")
def test_domains_of_very_different_size(rng: np.random.Generator) -> None:
    sizes = [1200, 40, 7, 1]
    domain = rng.permutation(np.repeat(np.arange(4), sizes))
    X = mixture(rng, sum(sizes))
    graph = knn_graph(X, domain, 15)
    i, j = graph.nonzero()
    np.testing.assert_array_equal(domain[i], domain[j])
    assert (i != j).all()
    assert (graph != graph.T).nnz == 0
    degree = np.diff(graph.indptr)
    for d, size in enumerate(sizes):
        assert degree[domain == d].min() >= min(15, size - 1)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    largest = np.flatnonzero(domain == 0)
    nearest = np.argsort(without_own(distances_to(unit[largest], unit[largest])), axis=1)[:, :15]
    assert graph[largest][:, largest][np.repeat(np.arange(1200), 15), nearest.ravel()].mean() > 0.98
