from __future__ import annotations

import sys

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from tests.methods._tasks import Openness, make_task, task_of_counts

from scllmda import methods
from scllmda.methods import METHODS, Result, get, make_recipe

BASELINES = ["lsi_knn", "lsi_lr", "harmony_lr", "spectral_lr", "nearest_centroid"]
PUBLISHED = [
    ("lsi_knn", {"n_components": 30, "max_depth_correlation": 0.75, "n_neighbors": 15}),
    ("lsi_lr", {"n_components": 30, "max_depth_correlation": 0.75, "C": 1.0}),
    ("harmony_lr", {"n_components": 30, "max_depth_correlation": 0.75, "C": 1.0, "theta": 2.0, "n_iterations": 10}),
    ("spectral_lr", {"n_components": 30, "C": 1.0}),
    ("nearest_centroid", {"n_folds": 3}),
]
each = pytest.mark.parametrize("method", BASELINES)


@pytest.fixture(autouse=True)
def _harmony(request: pytest.FixtureRequest) -> None:
    if "harmony_lr" in request.node.name:
        pytest.importorskip("harmonypy")


def make_cells(noise: float = 0.3, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three classes; return X, labels with -1 for the last 60 of 150 cells, and what those are."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(150) % 3)
    X = 3 * np.eye(3, 10)[truth] + noise * rng.standard_normal((150, 10))
    return X, np.where(np.arange(150) < 90, truth, -1), truth[90:]


def run(
    method: str,
    X: np.ndarray,
    labels: np.ndarray,
    *,
    n_classes: int = 3,
    batch: np.ndarray | None = None,
    **recipe: object,
) -> Result:
    task = make_task(X, labels, n_classes, batch=batch)
    return get(method).label(task, make_recipe(method, recipe))


def make_counts(*, n_cells: int = 150, n_peaks: int = 300) -> tuple[sp.csr_matrix, np.ndarray, np.ndarray]:
    """Return three classes' counts, labels, -1 in the last 60 cells, and truth; every tenth cell has no open peak."""
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.arange(n_cells) % 3)
    X = rng.random((n_cells, n_peaks)) < rng.beta(0.5, 3, size=(3, n_peaks))[truth]
    X[::10] = False
    labels = np.where(np.arange(n_cells) < n_cells - 60, truth, -1)
    return sp.csr_matrix(X, dtype=np.float32), labels, truth


def represent(method: str, X: sp.csr_matrix, labels: np.ndarray, batch: np.ndarray | None = None) -> np.ndarray:
    return get(method).represent(task_of_counts(X, labels, 3, batch=batch), make_recipe(method, None)).cells


@pytest.mark.parametrize(("method", "constants"), PUBLISHED, ids=BASELINES)
def test_constants(method: str, constants: dict[str, float]) -> None:
    recipe = make_recipe(method, None)
    assert {name: getattr(recipe, name) for name in recipe.__dataclass_fields__} == constants
    with pytest.raises(ValueError, match=rf"method='{method}' has no \['n_epochs'\] in its recipe; it has"):
        make_recipe(method, {"n_epochs": 3})


def test_read_counts_alone() -> None:
    for method in BASELINES:
        assert METHODS[method].parts(make_recipe(method, None)) == {"counts"}


class TestRepresent:
    @each
    def test_of_the_labels_at_most_the_references_are_read(self, method: str) -> None:
        X, labels, _ = make_counts()
        seen = np.flatnonzero(np.diff(X.indptr))
        batch = np.arange(150) % 2
        other = np.where(labels < 0, 5, batch)
        first, second = (represent(method, X[seen], labels[seen], b[seen]) for b in (batch, other))
        np.testing.assert_array_equal(first, second)

    @each
    def test_cells_without_open_peaks_are_left_out_and_the_others_are_right(self, method: str) -> None:
        X, labels, truth = make_counts()
        seen = np.arange(150) % 10 > 0
        whole, alone = (
            methods.run(
                Openness(X[cells]),
                labels[cells],
                3,
                method=get(method),
                recipe=make_recipe(method, None),
                rng=np.random.default_rng(0),
                n_neighbors=5,
                max_false_rejection=None,
            )
            for cells in (np.arange(150), np.flatnonzero(seen))
        )
        np.testing.assert_array_equal(whole.aligned[seen], alone.aligned)
        np.testing.assert_array_equal(whole.proba[seen], alone.proba)
        assert not whole.aligned[~seen].any()
        new = (labels < 0) & seen
        assert (whole.proba[new].argmax(axis=1) == truth[new]).mean() > 0.9
        assert not whole.proba[(labels < 0) & ~new].any()


class TestEachClassifier:
    @each
    def test_separable_cells_are_all_told_apart(self, method: str) -> None:
        X, labels, truth = make_cells()
        result = run(method, X, labels)
        assert result.proba.shape == (60, 3)
        np.testing.assert_array_equal(result.proba.argmax(axis=1), truth)
        np.testing.assert_allclose(result.proba.sum(axis=1), 1)
        assert len(result.aligned) == 150
        assert result.aligned.dtype == np.float32

    @each
    def test_same_rng_same_bytes(self, method: str) -> None:
        X, labels, _ = make_cells(2.0)
        before = X.copy()
        first, again = run(method, X, labels), run(method, X, labels)
        np.testing.assert_array_equal(first.proba, again.proba)
        np.testing.assert_array_equal(first.aligned, again.aligned)
        np.testing.assert_array_equal(X, before)

    @each
    def test_scale_of_the_representation_does_not_matter(self, method: str) -> None:
        X, labels, _ = make_cells(2.0)
        np.testing.assert_allclose(run(method, 2.0**-10 * X, labels).proba, run(method, X, labels).proba, atol=0.02)

    @each
    @pytest.mark.parametrize("n_classes", [3, 5])
    def test_class_of_one_cell_and_classes_without(self, method: str, n_classes: int) -> None:
        X, labels, truth = make_cells()
        labels = np.where((labels == 2) & (np.arange(150) != np.flatnonzero(labels == 2)[0]), 0, labels)
        proba = run(method, X, labels, n_classes=n_classes).proba
        assert np.isfinite(proba).all()
        np.testing.assert_allclose(proba.sum(axis=1), 1)
        np.testing.assert_array_equal(proba.argmax(axis=1)[truth == 1], 1)
        assert not proba[:, 3:].any()

    @each
    @pytest.mark.parametrize("known", [1, 2, 4])
    def test_one_query_cell_and_few_known(self, method: str, known: int) -> None:
        X, labels, _ = make_cells()
        cells = [*range(known), 90]
        proba = run(method, X[cells], labels[cells]).proba
        assert proba.shape == (1, 3)
        np.testing.assert_allclose(proba.sum(), 1)

    @each
    def test_batches_of_the_query_are_not_read(self, method: str) -> None:
        X, labels, _ = make_cells(2.0)
        batch = np.random.default_rng(2).integers(0, 2, 150)
        other = np.where(labels < 0, 7, batch)
        first, second = run(method, X, labels, batch=batch), run(method, X, labels, batch=other)
        np.testing.assert_array_equal(first.proba, second.proba)


def test_knn_is_the_share_of_votes_among_unit_cells() -> None:
    X, labels, _ = make_cells(2.0)
    cells = X / np.linalg.norm(X, axis=1, keepdims=True)
    expected = KNeighborsClassifier(7).fit(cells[:90], labels[:90]).predict_proba(cells[90:])
    np.testing.assert_allclose(run("lsi_knn", X, labels, n_neighbors=7).proba, expected)


@pytest.mark.parametrize("method", ["lsi_lr", "spectral_lr"])
def test_lr_is_scikit_learns(method: str) -> None:
    X, labels, _ = make_cells(2.0)
    center, spread = X[:90].mean(axis=0), X[:90].std()
    model = LogisticRegression(C=0.5, max_iter=2000, tol=1e-9).fit((X[:90] - center) / spread, labels[:90])
    expected = model.predict_proba((X[90:] - center) / spread)
    np.testing.assert_allclose(run(method, X, labels, C=0.5).proba, expected, atol=1e-3)


class TestHarmonyLr:
    def test_mixes_reference_and_query(self) -> None:
        pytest.importorskip("harmonypy")
        X, labels, truth = make_cells()
        shifted = X + np.where(labels < 0, 2.0, 0)[:, None] * np.eye(10)[9]
        aligned = run("harmony_lr", shifted, labels).aligned
        apart = [abs(A[90:].mean(axis=0) - A[:90].mean(axis=0))[9] for A in (shifted, aligned)]
        assert apart[1] < 0.5 * apart[0]
        np.testing.assert_array_equal(run("harmony_lr", shifted, labels).proba.argmax(axis=1), truth)

    def test_as_many_dimensions_as_cells(self) -> None:
        pytest.importorskip("harmonypy")
        rng = np.random.default_rng(0)
        X = rng.standard_normal((8, 8))
        assert run("harmony_lr", X, np.array([0, 0, 1, 1, 2, -1, -1, -1])).aligned.shape == (8, 8)

    def test_needs_harmony(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "harmonypy", None)
        counts, of_counts, _ = make_counts()
        with pytest.raises(ImportError, match=r"pip install 'scllmda\[harmony\]'"):
            represent("harmony_lr", counts, of_counts)
        X, labels, _ = make_cells()
        with pytest.raises(ImportError, match=r"pip install 'scllmda\[harmony\]'"):
            run("harmony_lr", X, labels)


class TestNearestCentroid:
    def test_by_hand(self) -> None:
        X, labels, _ = make_cells(2.0)
        X /= np.linalg.norm(X, axis=1, keepdims=True)
        centroids = np.stack([X[labels == c].mean(axis=0) for c in range(3)])
        cosine = X @ (centroids / np.linalg.norm(centroids, axis=1, keepdims=True)).T
        result = run("nearest_centroid", X, labels)
        np.testing.assert_array_equal(result.proba.argmax(axis=1), cosine[90:].argmax(axis=1))
        # A softmax at some temperature: log odds are proportional to differences of the cosines.
        odds = np.log(result.proba[:, :2] / result.proba[:, 2:])
        ratio = odds / (cosine[90:, :2] - cosine[90:, 2:])
        np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-6)

    def test_of_counts_is_that_of_all_peaks(self) -> None:
        counts, labels, _ = make_counts()
        seen = np.flatnonzero(np.arange(150) % 10 > 0)
        X, labels = counts[seen].toarray().astype(float), labels[seen]
        Y = np.log1p(1e4 * X / X.sum(axis=1, keepdims=True)) * np.log1p(len(X) / np.maximum(X.sum(axis=0), 1))
        Y /= np.linalg.norm(Y, axis=1, keepdims=True)
        projected = represent("nearest_centroid", counts[seen], labels)
        assert projected.shape[1] == 9
        dense, small = run("nearest_centroid", Y, labels), run("nearest_centroid", projected, labels)
        np.testing.assert_allclose(small.proba, dense.proba, atol=1e-4)
        assert small.history["temperature"] == pytest.approx(dense.history["temperature"], rel=1e-3)

    def test_held_out_cells_are_not_in_their_centroids(self) -> None:
        # Each class's cells point everywhere: nothing but itself makes a centroid like a cell.
        rng = np.random.default_rng(0)
        X, labels = rng.standard_normal((120, 400)), np.where(np.arange(120) < 60, np.arange(120) % 3, -1)
        result = run("nearest_centroid", X, labels)
        assert result.history["temperature"] > 5
        assert result.proba.max() < 0.6

    def test_calibrated_on_noisy_cells(self) -> None:
        score, right = [], []
        for seed in range(5):
            X, labels, truth = make_cells(2.5, seed=seed)
            proba = run("nearest_centroid", X, labels).proba
            score.append(proba.max(axis=1))
            right.append(proba.argmax(axis=1) == truth)
        assert abs(np.mean(score) - np.mean(right)) < 0.1
