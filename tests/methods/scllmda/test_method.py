from __future__ import annotations

import numpy as np
import pytest
from tests.methods._tasks import make_task

from scllmda import nn
from scllmda.graphs import knn_graph, ppmi_graph
from scllmda.methods import Result
from scllmda.methods.scllmda import ScllmdaRecipe, _network
from scllmda.methods.scllmda._method import label as scllmda


def make_cells(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(100) % 3)
    X = 3 * np.eye(3, 8)[truth] + 0.4 * rng.standard_normal((100, 8))
    return X, np.where(np.arange(100) < 60, truth, -1), truth[60:]


def run(X: np.ndarray, labels: np.ndarray, recipe: ScllmdaRecipe | None = None, *, seed: int = 0) -> Result:
    domain = (labels < 0).astype(int)
    graph = knn_graph(X, domain, 5)
    ppmi = ppmi_graph(graph, domain, rng=np.random.default_rng(9))
    return scllmda(make_task(X, labels, 3, ppmi=ppmi, seed=seed), recipe or ScllmdaRecipe())


def test_separable_cells_are_all_told_apart() -> None:
    X, labels, truth = make_cells()
    result = run(X, labels)
    assert result.proba.shape == (40, 3)
    np.testing.assert_array_equal(result.proba.argmax(axis=1), truth)
    np.testing.assert_allclose(result.proba.sum(axis=1), 1, atol=1e-5)
    assert result.aligned.shape == (100, 16)
    assert len(result.history["loss"]) == len(result.history["domain_loss"]) == 55


@pytest.mark.parametrize("factor", [2.0**-10, 2.0**6])
def test_scale_of_the_representation_does_not_matter(factor: float) -> None:
    X, labels, _ = make_cells()
    recipe = ScllmdaRecipe(n_epochs=4)
    np.testing.assert_allclose(run(factor * X, labels, recipe).proba, run(X, labels, recipe).proba, atol=1e-5)


def test_cells_come_back_in_their_order() -> None:
    X, labels, _ = make_cells()
    # Reference and query interleaved, each in its own order.
    is_query = np.random.default_rng(1).permutation(labels < 0)
    interleaved = np.empty(100, dtype=int)
    interleaved[~is_query], interleaved[is_query] = np.arange(60), np.arange(60, 100)
    domain = (labels < 0).astype(int)
    graph = knn_graph(X, domain, 5)
    ppmi = ppmi_graph(graph, domain, rng=np.random.default_rng(9))
    recipe = ScllmdaRecipe(n_epochs=3)
    plain = scllmda(make_task(X, labels, 3, ppmi=ppmi), recipe)
    order = np.ix_(interleaved, interleaved)
    mixed_task = make_task(X[interleaved], labels[interleaved], 3, ppmi=ppmi[order])
    result = scllmda(mixed_task, recipe)
    np.testing.assert_allclose(result.proba, plain.proba, atol=1e-4)
    np.testing.assert_allclose(result.aligned, plain.aligned[interleaved], atol=1e-4)


def test_determined_by_rng() -> None:
    X, labels, _ = make_cells()
    recipe = ScllmdaRecipe(n_epochs=3)
    first, again, other = run(X, labels, recipe), run(X, labels, recipe), run(X, labels, recipe, seed=1)
    np.testing.assert_array_equal(first.proba, again.proba)
    np.testing.assert_array_equal(first.aligned, again.aligned)
    assert first.history == again.history
    assert not np.array_equal(first.proba, other.proba)


def test_network_sees_each_domain_s_graphs_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Self-loops on the kNN graph (eq. 4), none on the PPMI graph (eq. 10), unit mean square over all cells."""
    X, labels, _ = make_cells()
    seen = []

    def train(source: nn.Domain, target: nn.Domain, *args: object, **kwargs: object) -> tuple[object, ...]:
        seen.extend([source, target])
        return np.zeros((40, 3)), np.zeros((60, 16)), np.zeros((40, 16)), {}

    monkeypatch.setattr(_network, "train_adapter", train)
    run(X, labels)
    domain = (labels < 0).astype(int)
    graph = knn_graph(X, domain, 5)
    ppmi = ppmi_graph(graph, domain, rng=np.random.default_rng(9))
    for code, handed in enumerate(seen):
        cells = np.flatnonzero(domain == code)
        for matrix, own, found in (
            (graph, np.eye(len(cells)), handed.adjacency),
            (ppmi, 0, handed.ppmi),
        ):
            A = matrix.toarray()[np.ix_(cells, cells)] + own
            scale = A.sum(axis=1) ** -0.5
            expected = scale[:, None] * A * scale
            np.testing.assert_allclose(found.toarray(), expected, rtol=1e-5)
    assert np.mean(np.concatenate([handed.X for handed in seen]) ** 2) == pytest.approx(1)


def test_network_is_trained_with_the_whole_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    X, labels, _ = make_cells()
    seen = []

    def train(
        source: nn.Domain, target: nn.Domain, y: np.ndarray, n_classes: int, recipe: ScllmdaRecipe, **others: object
    ) -> tuple[object, ...]:
        seen.append((y, n_classes, recipe, others))
        return np.zeros((40, 3)), np.zeros((60, 16)), np.zeros((40, 16)), {}

    monkeypatch.setattr(_network, "train_adapter", train)
    run(X, labels, ScllmdaRecipe(n_hidden=7))
    y, n_classes, recipe, others = seen[0]
    np.testing.assert_array_equal(y, labels[:60])
    assert n_classes == 3
    assert others["device"] == "cpu"
    assert isinstance(others["seed"], int)
    assert recipe == ScllmdaRecipe(n_hidden=7)


def test_labels_of_the_query_are_not_read() -> None:
    X, labels, truth = make_cells()
    marked = np.where(labels < 0, -1, labels)
    marked[60:] = -1 - truth
    recipe = ScllmdaRecipe(n_epochs=3)
    first, second = run(X, labels, recipe), run(X, marked, recipe)
    np.testing.assert_array_equal(first.proba, second.proba)
    np.testing.assert_array_equal(first.aligned, second.aligned)


def test_walks_of_the_ppmi_graph_are_the_released_ones() -> None:
    """L = 3 and 40 walks per cell."""
    X, labels, _ = make_cells()
    domain = (labels < 0).astype(int)
    walks = {"walk_length": 3, "n_walks": 40}
    expected = ppmi_graph(knn_graph(X, domain, 4), domain, rng=np.random.default_rng(4), **walks)
    found = make_task(X, labels, 3, n_neighbors=4, seed=4).ppmi
    np.testing.assert_array_equal(found.toarray(), expected.toarray())
