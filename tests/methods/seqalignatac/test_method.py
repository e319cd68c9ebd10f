from __future__ import annotations

import numpy as np
import pytest
from tests.methods._tasks import make_task as task_of

from scllmda import nn
from scllmda.graphs import knn_graph
from scllmda.methods import METHODS, Result, Task, make_recipe
from scllmda.methods._cell_network import CellNetworkRecipe
from scllmda.methods.seqalignatac import SeqAlignAtacRecipe, _network
from scllmda.methods.seqalignatac._method import label as seqalignatac

# Liu et al. 2025, Bioinformatics, btaf682, and the released code of A2GNN (Liu et al. 2024, AAAI).
PUBLISHED = [
    ("alignment", "adversarial", "paper, section 2.2.3"),
    ("n_hidden", 128, "A2GNN code, nhid"),
    ("n_propagations", 10, "ours; A2GNN code 30"),
    ("dropout", 0.1, "A2GNN code, adversarial"),
    ("n_epochs", 200, "A2GNN code, the most"),
    ("adversary_weight", 0.001, "A2GNN code, adversarial"),
    ("adversary_lr", 0.1, "A2GNN code, adversarial"),
    ("adversary_momentum", 0.9, "A2GNN code, adversarial"),
    ("adversary_weight_decay", 1e-3, "A2GNN code, adversarial"),
    ("mmd_weight", 5.0, "A2GNN code, MMD"),
    ("mmd_lr", 5e-3, "A2GNN code, MMD"),
    ("mmd_weight_decay", 5e-3, "A2GNN code, MMD"),
    ("mmd_draws", 5, "A2GNN code, MMD"),
    ("mmd_cells", 1000, "A2GNN code, MMD"),
]
QUICK = {
    "adversarial": SeqAlignAtacRecipe(n_epochs=60),
    # With the published weight of 5 the alignment overrules the classifier on so few cells.
    "mmd": SeqAlignAtacRecipe(alignment="mmd", n_epochs=60, mmd_weight=1.0, mmd_draws=1, mmd_cells=100),
}
each_alignment = pytest.mark.parametrize("alignment", sorted(QUICK))


def make_task(X: np.ndarray, labels: np.ndarray, *, n_classes: int = 2, seed: int = 0) -> Task:
    return task_of(X, labels, n_classes, n_neighbors=8, seed=seed)


def make_cells(seed: int = 0, *, share: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two classes in 120 cells, reference and query mixed, the query shifted; ``share`` of it is of class 1."""
    rng = np.random.default_rng(seed)
    query = rng.permutation(120) < 50
    truth = (rng.random(120) < np.where(query, share, 0.5)).astype(int)
    X = 2 * np.eye(2, 8)[truth] + 0.4 * rng.standard_normal((120, 8)) + 0.5 * query[:, None] * np.eye(1, 8, 3)
    return X, np.where(query, -1, truth), truth[query]


def run(X: np.ndarray, labels: np.ndarray, recipe: SeqAlignAtacRecipe, **kwargs: int) -> Result:
    return seqalignatac(make_task(X, labels, **kwargs), recipe)


@pytest.mark.parametrize(("name", "value", "source"), PUBLISHED, ids=[row[0] for row in PUBLISHED])
def test_constants_are_those_published(name: str, value: object, source: str) -> None:
    assert getattr(SeqAlignAtacRecipe(), name) == value, source


def test_no_constant_is_without_a_source() -> None:
    of_first_stage = set(CellNetworkRecipe.__dataclass_fields__)
    assert set(SeqAlignAtacRecipe.__dataclass_fields__) - of_first_stage == {name for name, _, _ in PUBLISHED}


def test_registered_with_its_paper() -> None:
    method = METHODS["seqalignatac"]
    assert method.label is seqalignatac
    assert "btaf682" in method.citation


@each_alignment
@pytest.mark.parametrize("seed", [0, 1])
def test_two_shifted_blobs_are_told_apart(alignment: str, seed: int) -> None:
    # Discrepancy is of the mixtures: only the adversary, of small weight, is proof against other proportions.
    X, labels, truth = make_cells(seed, share=0.3 if alignment == "adversarial" else 0.5)
    result = run(X, labels, QUICK[alignment], seed=seed)
    assert result.proba.shape == (50, 2)
    assert (result.proba.argmax(axis=1) == truth).mean() > 0.9
    np.testing.assert_allclose(result.proba.sum(axis=1), 1, atol=1e-5)
    assert len(result.history["loss"]) == len(result.history["domain_loss"]) == 60


def test_network_sees_the_normalized_graph_of_each_domain_and_the_whole_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    X, labels, _ = make_cells()
    seen = []

    def train(
        source: nn.Domain, target: nn.Domain, y: np.ndarray, n_classes: int, recipe: object, **others: object
    ) -> tuple[object, ...]:
        seen.append((source, target, y, n_classes, recipe))
        return np.zeros((50, 2)), np.ones((70, 5)), np.ones((50, 5)), {}

    monkeypatch.setattr(_network, "train_asymmetric_adapter", train)
    run(100 * X, labels, SeqAlignAtacRecipe())
    run(X, labels, SeqAlignAtacRecipe(alignment="mmd", n_propagations=4))
    for handed in seen:
        for domain, cells in zip(handed[:2], (labels >= 0, labels < 0), strict=True):
            A = knn_graph(X, (labels < 0).astype(int), 8).toarray()[np.ix_(cells, cells)] + np.eye(cells.sum())
            scale = A.sum(axis=1) ** -0.5
            np.testing.assert_allclose(domain.adjacency.toarray(), scale[:, None] * A * scale, rtol=1e-5)
            assert domain.ppmi is None
        assert np.mean(np.concatenate([domain.X for domain in handed[:2]]) ** 2) == pytest.approx(1)
        np.testing.assert_array_equal(handed[2], labels[labels >= 0])
        assert handed[3] == 2
    assert [handed[4] for handed in seen] == [
        SeqAlignAtacRecipe(),
        SeqAlignAtacRecipe(alignment="mmd", n_propagations=4),
    ]


@each_alignment
def test_determined_by_rng(alignment: str) -> None:
    X, labels, _ = make_cells()
    recipe = make_recipe("seqalignatac", {**vars(QUICK[alignment]), "n_epochs": 3})
    first, again, other = run(X, labels, recipe), run(X, labels, recipe), run(X, labels, recipe, seed=1)
    np.testing.assert_array_equal(first.proba, again.proba)
    np.testing.assert_array_equal(first.aligned, again.aligned)
    assert first.history == again.history
    assert not np.array_equal(first.proba, other.proba)


@each_alignment
def test_nothing_but_the_mark_of_the_query_is_read_of_it(alignment: str) -> None:
    X, labels, truth = make_cells()
    recipe = make_recipe("seqalignatac", {**vars(QUICK[alignment]), "n_epochs": 3})
    marked = labels.copy()
    marked[labels < 0] = -1 - truth
    first, second = run(X, labels, recipe), run(X, marked, recipe)
    np.testing.assert_array_equal(first.proba, second.proba)
    np.testing.assert_array_equal(first.aligned, second.aligned)
    assert first.history == second.history


@pytest.mark.parametrize("factor", [2.0**-10, 2.0**6])
def test_scale_of_the_representation_does_not_matter(factor: float) -> None:
    X, labels, _ = make_cells()
    recipe = SeqAlignAtacRecipe(n_epochs=4)
    np.testing.assert_allclose(run(factor * X, labels, recipe).proba, run(X, labels, recipe).proba, atol=1e-5)


def test_aligned_axes_hold_the_largest_spread_first_and_keep_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    X, labels, _ = make_cells()
    encoded = np.random.default_rng(0).standard_normal((120, 5)).astype(np.float32) * [1, 2, 3, 4, 5]
    parts = encoded[labels >= 0], encoded[labels < 0]
    monkeypatch.setattr(_network, "train_asymmetric_adapter", lambda *_, **__: (np.zeros((50, 2)), *parts, {}))
    aligned = run(X, labels, SeqAlignAtacRecipe()).aligned
    assert aligned.dtype == np.float32
    assert (np.diff(np.square(aligned).sum(axis=0)) < 0).all()
    np.testing.assert_allclose(aligned @ aligned.T, encoded @ encoded.T, atol=1e-3)


@each_alignment
def test_query_of_one_cell(alignment: str) -> None:
    X, labels, truth = make_cells()
    cells = np.concatenate([np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)[:1]])
    result = run(X[cells], labels[cells], QUICK[alignment])
    assert result.proba.shape == (1, 2)
    assert np.isfinite(result.proba).all()
    assert np.isfinite(result.aligned).all()
    # To make one cell and a whole reference alike is to make all cells alike.
    if alignment == "adversarial":
        assert result.proba.argmax() == truth[0]


@each_alignment
def test_reference_class_of_one_cell(alignment: str) -> None:
    X, labels, _ = make_cells()
    rare = np.flatnonzero(labels == 1)[0]
    result = run(X, np.where((labels == 1) & (np.arange(120) == rare), 2, labels), QUICK[alignment], n_classes=3)
    assert result.proba.shape == (50, 3)
    assert np.isfinite(result.proba).all()
    np.testing.assert_allclose(result.proba.sum(axis=1), 1, atol=1e-5)


@each_alignment
def test_one_cell_of_each(alignment: str) -> None:
    """Where all encoded cells may be the same, nothing is divided by nothing."""
    X = np.ones((2, 4))
    result = run(X, np.array([0, -1]), QUICK[alignment])
    assert np.isfinite(result.proba).all()
    assert result.proba.argmax() == 0


def test_no_propagation_is_the_source_path_on_the_query_too() -> None:
    """With K = 0 the same cells as reference and query come out the same; with more they do not."""
    X, labels, _ = make_cells()
    known = np.flatnonzero(labels >= 0)
    twice = np.concatenate([X[known], X[known]])
    marked = np.concatenate([labels[known], np.full(len(known), -1)])
    same, deep = (run(twice, marked, SeqAlignAtacRecipe(n_epochs=5, n_propagations=K)).aligned for K in (0, 10))
    np.testing.assert_allclose(same[: len(known)], same[len(known) :], atol=1e-5)
    assert np.abs(deep[: len(known)] - deep[len(known) :]).max() > 0.05


def test_unknown_alignment_is_told_the_known() -> None:
    with pytest.raises(ValueError, match=r"Unknown alignment 'coral'; expected one of \['adversarial', 'mmd'\]"):
        make_recipe("seqalignatac", {"alignment": "coral"})


def test_negative_propagations_are_refused() -> None:
    with pytest.raises(ValueError, match="n_propagations is -1; expected 0 or more"):
        SeqAlignAtacRecipe(n_propagations=-1)


def test_inputs_are_left_as_they_were() -> None:
    X, labels, _ = make_cells()
    task = make_task(X, labels)
    before = X.copy(), labels.copy(), task.connectivities.toarray()
    seqalignatac(task, SeqAlignAtacRecipe(n_epochs=2))
    for array, old in zip((task.X, task.labels, task.connectivities.toarray()), before, strict=True):
        np.testing.assert_array_equal(array, old)
