from __future__ import annotations

import sys
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from scipy.sparse.csgraph import connected_components
from sklearn import metrics
from tests._objects import added, snapshot

import scllmda as sl
from scllmda.metrics._lisi import inverse_simpson
from scllmda.metrics._silhouettes import distance_sums

rng = np.random.default_rng(0)
LABELS = rng.choice(list("abcde"), 600, p=[0.4, 0.25, 0.2, 0.1, 0.05])
BATCH = rng.choice(list("xyz"), 600)
BATCH[LABELS == "e"] = "x"
X = rng.normal(size=(600, 10))
X += 1.5 * rng.normal(size=(5, 10))[np.unique(LABELS, return_inverse=True)[1]]
X += 0.4 * rng.normal(size=(3, 10))[np.unique(BATCH, return_inverse=True)[1]]


@pytest.fixture(scope="module")
def report() -> dict[str, float]:
    return sl.metrics.integration_report(X, LABELS, BATCH)


def test_like_scib_metrics(report: dict[str, float]) -> None:
    """By scib-metrics 0.5.10, of the three that it defines as scIB does, in single precision."""
    assert report["label_asw"] == pytest.approx(0.6062641, abs=1e-6)
    assert report["clisi"] == pytest.approx(0.965124, abs=1e-5)
    assert report["batch_asw"] == pytest.approx(0.9163398, abs=1e-6)
    # Leiden from other seeds, at every second resolution.
    assert report["nmi"] == pytest.approx(0.8462, abs=0.015)


def test_silhouettes_like_scikit_learn(report: dict[str, float]) -> None:
    assert report["label_asw"] == pytest.approx((metrics.silhouette_score(X, LABELS) + 1) / 2)
    # "e" alone is in a single batch.
    of_rare = metrics.silhouette_samples(X, LABELS == "e")[LABELS == "e"]
    assert report["isolated_label_asw"] == pytest.approx((of_rare.mean() + 1) / 2)
    by_type = []
    for label in "abcd":
        cells = label == LABELS
        by_type.append(np.mean(1 - np.abs(metrics.silhouette_samples(X[cells], BATCH[cells]))))
    assert report["batch_asw"] == pytest.approx(np.mean(by_type))


def test_all_types_are_isolated_where_all_are_in_as_many_batches() -> None:
    batch = np.where(np.arange(600) % 2, "x", "y")
    found = sl.metrics.integration_report(X, LABELS, batch)
    widths = [metrics.silhouette_samples(X, label == LABELS)[label == LABELS].mean() for label in "abcde"]
    assert found["isolated_label_asw"] == pytest.approx((np.mean(widths) + 1) / 2)


def test_graph_like_scanpy(report: dict[str, float]) -> None:
    adata = AnnData(obsm={"X": X}, obs=pd.DataFrame(index=np.arange(600).astype(str)))
    sc.pp.neighbors(adata, 15, use_rep="X")
    graph = adata.obsp["connectivities"]
    shares = []
    for label in "abcde":
        part = connected_components(graph[label == LABELS][:, label == LABELS])[1]
        shares.append(np.bincount(part).max() / (label == LABELS).sum())
    assert report["graph_connectivity"] == pytest.approx(np.mean(shares))
    nmi, f1 = [], []
    for resolution in np.arange(1, 21) / 10:
        sc.tl.leiden(adata, resolution, flavor="igraph", directed=False, n_iterations=-1)
        clusters = adata.obs["leiden"].to_numpy(str)
        nmi.append(metrics.normalized_mutual_info_score(LABELS, clusters))
        f1 += [metrics.f1_score(LABELS == "e", clusters == cluster) for cluster in np.unique(clusters)]
    # Cells in another order, and so other draws of Leiden's.
    assert report["nmi"] == pytest.approx(max(nmi), abs=0.01)
    assert report["isolated_label_f1"] == pytest.approx(max(f1), abs=0.03)


def test_clisi_by_a_loop(report: dict[str, float]) -> None:
    distances = metrics.pairwise_distances(X)
    values = []
    for i, row in enumerate(distances):
        near = np.argsort(row)[:90]
        near = near[near != i][:89]
        low, high = 1e-6, 1e6
        for _ in range(200):
            beta = np.sqrt(low * high)
            p = np.exp(-beta * (row[near] - row[near].min()))
            p /= p.sum()
            entropy = -(p[p > 0] * np.log(p[p > 0])).sum()
            low, high = (beta, high) if entropy > np.log(30) else (low, beta)
        values.append(1 / sum(p[LABELS[near] == label].sum() ** 2 for label in "abcde"))
    assert report["clisi"] == pytest.approx((5 - np.median(values)) / 4, abs=1e-4)


def test_inverse_simpson_by_hand() -> None:
    near = np.ones((1, 4))
    assert inverse_simpson(near, np.array([[0, 0, 1, 1]]), 2, 3) == pytest.approx(2)
    assert inverse_simpson(near, np.array([[0, 0, 0, 0]]), 2, 3) == pytest.approx(1)
    # However far away: no weight is lost.
    assert inverse_simpson(near * 1e6, np.array([[0, 1, 2, 3]]), 4, 3) == pytest.approx(4)


def test_silhouettes_of_single_cells_and_one_place() -> None:
    place = np.array([[0.0, 0], [0, 0], [1, 0], [1, 0], [5, 5]])
    label, batch = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 0])
    sums = distance_sums(place, label, batch)
    np.testing.assert_allclose(sums.by_label(), metrics.silhouette_samples(place, label))
    assert sums.by_batch(0) is None
    assert sums.by_batch(2) is None


def test_blocks_of_distances(monkeypatch: pytest.MonkeyPatch, report: dict[str, float]) -> None:
    monkeypatch.setattr("scllmda.metrics._silhouettes._MEGABYTES", 0.1)
    found = sl.metrics.integration_report(X, LABELS, BATCH)
    assert found == pytest.approx(report, rel=1e-12)


def test_deterministic_and_the_order_of_cells_changes_nothing(report: dict[str, float]) -> None:
    assert sl.metrics.integration_report(X, LABELS, BATCH) == report
    order = np.random.default_rng(1).permutation(600)
    assert sl.metrics.integration_report(X[order], LABELS[order], BATCH[order]) == report
    assert list(report) == [
        *("n_cells", "n_labels", "n_batches", "nmi", "label_asw", "isolated_label_asw", "isolated_label_f1"),
        *("clisi", "batch_asw", "graph_connectivity"),
    ]
    assert all(type(value) is float for value in report.values())
    assert (report["n_cells"], report["n_labels"], report["n_batches"]) == (600, 5, 3)


def test_objects(report: dict[str, float], tmp_path: Path) -> None:
    obs = pd.DataFrame({"type": pd.Categorical(LABELS), "lib": BATCH}, index=np.arange(600).astype(str))
    adata = AnnData(
        sp.csr_matrix((600, 3)), obs=obs, obsm={"X_scllmda": X, "frame": pd.DataFrame(X, obs.index, list("abcdefghij"))}
    )
    before = snapshot(adata)
    assert sl.metrics.integration_report(adata, "type", "lib") == report
    assert sl.metrics.integration_report(adata, LABELS.tolist(), adata.obs["lib"], use_rep="frame") == report
    assert added(before, snapshot(adata)) == set()
    adata.write_h5ad(tmp_path / "a.h5ad")
    assert sl.metrics.integration_report(tmp_path / "a.h5ad", "type", "lib") == report
    mdata = MuData({"peaks": adata})
    assert sl.metrics.integration_report(mdata, "type", "lib", mod="peaks") == report
    assert sl.metrics.integration_report(pd.DataFrame(X), LABELS, BATCH) == report


@pytest.mark.parametrize("missing", [None, np.nan, "unknown"])
def test_cells_without_label_or_batch_are_left_out(missing: Any) -> None:
    labels, batch = LABELS.astype(object), BATCH.astype(object)
    labels[:40] = missing
    batch[40:60] = None
    with_nan = X.copy()
    with_nan[:60] = np.nan
    found = sl.metrics.integration_report(with_nan, labels, batch)
    assert found == sl.metrics.integration_report(X[60:], LABELS[60:], BATCH[60:])
    assert found["n_cells"] == 540


def test_a_single_batch_or_label(report: dict[str, float]) -> None:
    one_batch = sl.metrics.integration_report(X, LABELS, ["x"] * 600)
    unknown = {"isolated_label_asw", "isolated_label_f1", "batch_asw"}
    assert {name for name, value in one_batch.items() if np.isnan(value)} == unknown
    assert one_batch["label_asw"] == pytest.approx(report["label_asw"])
    one_label = sl.metrics.integration_report(X, ["a"] * 600, BATCH)
    of_labels = {"nmi", "label_asw", "isolated_label_asw", "isolated_label_f1", "clisi"}
    assert {name for name, value in one_label.items() if np.isnan(value)} == of_labels
    apart = sl.metrics.integration_report(X, LABELS, LABELS)
    assert np.isnan(apart["batch_asw"])


def test_few_cells() -> None:
    found = sl.metrics.integration_report(X[:6], list("aabbab"), list("xyxyxy"))
    assert all(0 <= value <= 1 for name, value in found.items() if not name.startswith("n_"))


def test_types_apart_and_batches_mixed_are_best() -> None:
    random = np.random.default_rng(0)
    label = np.repeat(["a", "b", "c"], 100)
    apart = random.normal(size=(300, 5)) + 20 * np.eye(3, 5)[np.repeat([0, 1, 2], 100)]
    found = sl.metrics.integration_report(apart, label, np.tile(["x", "y"], 150))
    assert found["nmi"] == found["clisi"] == found["graph_connectivity"] == found["isolated_label_f1"] == 1
    assert found["label_asw"] > 0.9
    assert found["batch_asw"] > 0.9


@pytest.mark.parametrize(
    ("data", "labels", "batch", "error", "match"),
    [
        (X, LABELS[1:], BATCH, ValueError, r"599 values \(labels=\) and 600 cells"),
        (X, LABELS, BATCH[1:], ValueError, r"599 values \(batch=\) and 600 cells"),
        (X, "type", BATCH, TypeError, "Found labels='type' .*where data= is an AnnData"),
        (X, [None] * 600, BATCH, ValueError, "0 of 600 cells have a label"),
        (X[:5], LABELS[:5], BATCH[:5], ValueError, "5 of 5 cells .* expected at least 6"),
        (X + np.inf, LABELS, BATCH, ValueError, "of 600 of 600 cells hold NaN or infinite"),
        (X[0], LABELS, BATCH, ValueError, r"of shape \(10,\); expected \(n_cells, n_dims\)"),
        ([["a"]], LABELS, BATCH, TypeError, "holds no numbers"),
        (5, LABELS, BATCH, TypeError, "Expected an anndata.AnnData"),
        (AnnData(X), LABELS, BATCH, KeyError, r"Did not find .obsm\['X_scllmda'\]"),
    ],
)
def test_errors(data: Any, labels: Any, batch: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        sl.metrics.integration_report(data, labels, batch)


def test_without_igraph(monkeypatch: pytest.MonkeyPatch) -> None:
    find = util.find_spec
    module = sys.modules["scllmda.metrics._integration_report"]
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "igraph" else find(name))
    with pytest.raises(ImportError, match=r"pip install 'scllmda\[leiden\]'"):
        sl.metrics.integration_report(X, LABELS, BATCH)
