from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from scllmda.graphs import NearestCells, _neighbors, knn_graph


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def approximate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_neighbors, "MOST_PAIRS", 0)


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
    assert set(vars(cells)) == {"known", "n_neighbors", "_exact"}


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
    assert "_approximate" in vars(cells)


@pytest.mark.usefixtures("approximate")
def test_no_new_cell_is_led_to_the_wrong_type(rng: np.random.Generator) -> None:
    # Far apart and moved, as a query is: from one leaf of the search tree some cells would be led astray.
    pytest.importorskip("pynndescent", minversion="0.7")
    scale = 1 / np.sqrt(np.arange(1, 17))
    centers = scale * rng.standard_normal((20, 16))
    known, new = (
        centers[rng.integers(0, 20, n)] + 0.5 * scale * rng.standard_normal((n, 16)) + move * scale
        for n, move in ((10_000, 0), (1500, 0.3))
    )
    distances, _ = NearestCells(known, 15).of(new)
    nearest = np.sort(distances_to(known, new), axis=1)[:, :15].mean(axis=1)
    assert (distances.mean(axis=1) / nearest).max() < 1.2


@pytest.mark.usefixtures("approximate")
def test_the_same_whenever_and_on_however_many_threads(rng: np.random.Generator) -> None:
    import numba

    known, new = mixture(rng, 1500), mixture(rng, 700)
    before = numba.get_num_threads()
    found = []
    try:
        for n_threads in (1, before, before):
            numba.set_num_threads(n_threads)
            cells = NearestCells(known, 15)
            found.append([*cells.among(), *cells.of(new)])
            assert numba.get_num_threads() == n_threads
    finally:
        numba.set_num_threads(before)
    for other in found[1:]:
        for part, again in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(part, again)


@pytest.mark.usefixtures("approximate")
def test_identical_cells_are_neighbors_of_each_other_never_of_themselves(rng: np.random.Generator) -> None:
    known = mixture(rng, 600)
    known[:200] = known[0]
    distances, indices = NearestCells(known, 15).among()
    assert (indices != np.arange(600)[:, None]).all()
    assert indices.min() >= 0
    assert all(len(set(row)) == 15 for row in indices)
    np.testing.assert_allclose(distances[:200], 0, atol=1e-3)
    assert (indices[:200] < 200).all()


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


def test_neighbors_that_the_search_missed_are_found_exactly(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, new = rng.standard_normal((50, 3)), rng.standard_normal((30, 3))
    cells = NearestCells(known, 4)
    among, of = cells.among(), cells.of(new)
    monkeypatch.setattr(_neighbors, "MOST_PAIRS", 0)
    # With each cell as its own first neighbor; of two cells it is not, and some found too few.
    indices = np.column_stack([np.arange(50), among[1], np.full(50, -1)])
    distances = np.column_stack([np.zeros(50), among[0], np.full(50, np.inf)])
    indices[3:5, :5], distances[3:5, :5] = among[1][3:5][:, [0, 1, 2, 3, 3]], among[0][3:5][:, [0, 1, 2, 3, 3]]
    indices[7:9, 3:], distances[7:9, 3:] = -1, np.inf
    queried = of[1].copy(), of[0].copy()
    queried[0][11:13, 1:], queried[1][11:13, 1:] = -1, np.inf
    vars(cells)["_approximate"] = SimpleNamespace(neighbor_graph=(indices, distances), query=lambda cells, k: queried)
    for found, expected in ((cells.among(), among), (cells.of(new), of)):
        np.testing.assert_array_equal(found[1], expected[1])
        np.testing.assert_allclose(found[0], expected[0])
