"""Methods with a representation of their own, from objects to slots."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from tests._objects import (
    added,
    annotated,
    annotation_keys,
    assert_same_annotation,
    change_labels,
    pair,
    snapshot,
    together,
    with_X,
)

import scllmda as sl
from scllmda.methods import METHODS

BASELINES = ["lsi_knn", "lsi_lr", "harmony_lr", "spectral_lr", "nearest_centroid"]
each = pytest.mark.parametrize("method", BASELINES)


@pytest.fixture(autouse=True)
def _harmony(request: pytest.FixtureRequest) -> None:
    if "harmony_lr" in request.node.name:
        pytest.importorskip("harmonypy")


@cache
def simulated() -> tuple[AnnData, AnnData]:
    return sl.datasets.simulate()


def accuracy(adata: AnnData, truth: str = "cell_type") -> float:
    return float((adata.obs["scllmda"].astype(str) == adata.obs[truth].astype(str)).mean())


def test_are_listed() -> None:
    assert set(BASELINES) < set(sl.get.methods().index)


@each
def test_labels_are_right(method: str) -> None:
    reference, query = simulated()
    assert accuracy(annotated(query, reference, method=method)) > 0.8


@each
class TestTwoObjects:
    def test_slots(self, method: str) -> None:
        reference, query = pair(sequence=True)
        before, reference_before = snapshot(query), snapshot(reference)
        sl.tl.annotate(query, reference, method=method)
        assert added(before, snapshot(query)) == annotation_keys()
        assert added(reference_before, snapshot(reference)) == set()
        uns = query.uns["scllmda"]
        assert uns["params"]["method"] == method
        assert uns["params"]["recipe"] == {
            name: field.default for name, field in METHODS[method].recipe.__dataclass_fields__.items()
        }
        coverage = uns["coverage"]
        assert (coverage["n_matched_reference"], coverage["n_own"], coverage["sequence"]) == (640, 0, "none")
        assert 0 < coverage["n_used"] <= 640

    def test_same_seed_same_bytes(self, method: str) -> None:
        reference, query = pair()
        state = np.random.get_state()[1].copy()  # noqa: NPY002
        first = annotated(query, reference, method=method, rng=3)
        np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
        np.random.seed(1)  # noqa: NPY002
        assert_same_annotation(annotated(query, reference, method=method, rng=3), first)

    @pytest.mark.parametrize("change", ["permuted", "deleted", "missing"])
    def test_query_labels_are_not_read(self, method: str, change: str) -> None:
        reference, query = pair()
        first = annotated(query, reference, method=method, batch_key="batch")
        change_labels(query, change)
        assert_same_annotation(annotated(query, reference, method=method, batch_key="batch"), first)

    def test_order_of_the_peaks(self, method: str) -> None:
        reference, query = pair()
        order = np.random.default_rng(0).permutation(query.n_vars)
        first, second = (annotated(query[:, peaks], reference, method=method) for peaks in (slice(None), order))
        np.testing.assert_allclose(first.obsm["scllmda_proba"], second.obsm["scllmda_proba"], atol=1e-6)
        third = annotated(query, reference[:, np.random.default_rng(0).permutation(reference.n_vars)], method=method)
        np.testing.assert_allclose(first.obsm["scllmda_proba"], third.obsm["scllmda_proba"], atol=1e-4)

    def test_counts_are_binary(self, method: str) -> None:
        reference, query = pair()
        first = annotated(query, reference, method=method)
        assert_same_annotation(annotated(with_X(query, query.X > 0), reference, method=method), first)

    def test_unlabeled_reference_cells_are_left_out(self, method: str) -> None:
        reference, query = pair()
        labels = reference.obs["cell_type"].astype(object)
        reference.obs["cell_type"] = labels.copy()
        expected = annotated(query, reference[5:].copy(), method=method)
        labels.iloc[:5] = "unknown"
        reference.obs["cell_type"] = labels
        assert_same_annotation(annotated(query, reference, method=method), expected)

    def test_cells_without_open_peaks(self, method: str) -> None:
        reference, query = pair()
        X, Y = query.X.tolil(), reference.X.tolil()
        X[:3], Y[:3] = 0, 0
        found = annotated(with_X(query, X.tocsr()), with_X(reference, Y.tocsr()), method=method)
        assert (found.obs["scllmda"].iloc[:3] == "Unassigned").all()
        assert not (found.obs["scllmda"].iloc[3:] == "Unassigned").any()
        assert not found.obsm["X_scllmda_da"][:3].any()

    def test_one_cell_and_a_class_of_one(self, method: str) -> None:
        reference, query = pair()
        types = reference.obs["cell_type"].astype(str)
        rare = types.iloc[0]
        kept = ((types != rare) | (np.arange(len(types)) == 0)).to_numpy()
        found = annotated(query[:1].copy(), reference[kept].copy(), method=method)
        proba = found.obsm["scllmda_proba"]
        assert proba.shape == (1, 4)
        assert proba.to_numpy().sum() == pytest.approx(1)

    def test_frozen_is_refused(self, method: str) -> None:
        reference, query = pair()
        sl.tl.cell_embeddings(reference, n_latent=8)
        before = snapshot(query)
        message = f"method='{method}' makes its representation .*frozen.* Pass method='robust'"
        with pytest.raises(ValueError, match=message):
            sl.tl.annotate(query, reference, method=method, frozen=True)
        with pytest.raises(ValueError, match=message):
            sl.tl.annotate(query, sl.get.portable_reference(reference), method=method)
        assert added(before, snapshot(query)) == set()


@each
def test_one_object(method: str) -> None:
    adata = together()
    found = annotated(adata, method=method)
    unknown = (adata.obs["cell_type"] == "unknown").to_numpy()
    assert accuracy(found[unknown], "truth") > 0.8
    assert (found.obs["scllmda_score"][~unknown] == 1).all()


@each
def test_classifier_alone_on_a_given_representation(method: str) -> None:
    adata = together()
    sl.tl.cell_embeddings(adata, n_latent=16)
    options: dict[str, Any] = {"method": method, "copy": True}
    found = sl.tl.graph_da_annotate(adata, "cell_type", **options)
    unknown = (adata.obs["cell_type"] == "unknown").to_numpy()
    assert accuracy(found[unknown], "truth") > 0.8
    del adata.layers, adata.X
    assert_same_annotation(sl.tl.graph_da_annotate(adata, "cell_type", **options), found)


def test_no_shared_peak_is_open() -> None:
    reference, query = pair()
    X = query.X.tolil()
    X[:] = 0
    with pytest.raises(ValueError, match="None of the 100 query cells has an open peak"):
        sl.tl.annotate(with_X(query, X.tocsr()), reference, method="lsi_lr")


def test_table_shows_their_constants() -> None:
    methods = sl.get.methods()
    assert isinstance(methods, pd.DataFrame)
    assert methods.loc["lsi_knn", "recipe"] == "n_components=30, max_depth_correlation=0.75, n_neighbors=15"
