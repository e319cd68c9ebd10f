from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData, read_h5ad
from scipy import stats
from tests._objects import added, snapshot

import scllmda as sl
from scllmda.metrics import _expression

rng = np.random.default_rng(0)
N_CELLS, N_GENES = 60, 12
LABELS = rng.choice(list("ABC"), N_CELLS)
OBSERVED = np.log1p(rng.poisson(0.7 + (LABELS == "A")[:, None] * rng.random(N_GENES), (N_CELLS, N_GENES)))
PREDICTED = OBSERVED + rng.normal(size=OBSERVED.shape)
OBSERVED[:, 3], PREDICTED[:, 5] = 2, 0
VARYING = [i for i in range(N_GENES) if i != 3]
CELLS, GENES = [f"c{i}" for i in range(N_CELLS)], [f"g{i}" for i in range(N_GENES)]


def named(X: Any) -> AnnData:
    return AnnData(X, obs=pd.DataFrame({"type": LABELS}, index=CELLS), var=pd.DataFrame(index=GENES))


def test_each_number_like_scipy() -> None:
    table = sl.metrics.expression_by_gene(OBSERVED, PREDICTED)
    for i in range(N_GENES):
        assert table["mse"][i] == pytest.approx(np.mean((OBSERVED[:, i] - PREDICTED[:, i]) ** 2))
        if i in (3, 5):
            assert np.isnan(table["pearson"][i])
            assert np.isnan(table["spearman"][i])
        else:
            assert table["pearson"][i] == pytest.approx(stats.pearsonr(OBSERVED[:, i], PREDICTED[:, i])[0])
            assert table["spearman"][i] == pytest.approx(stats.spearmanr(OBSERVED[:, i], PREDICTED[:, i])[0])
    assert np.flatnonzero(table["is_constant"]).tolist() == [3]
    assert np.flatnonzero(table["is_constant_predicted"]).tolist() == [5]
    report = sl.metrics.expression_report(OBSERVED, PREDICTED)
    assert report == {
        "n_cells": N_CELLS,
        "n_genes": N_GENES,
        "n_genes_absent": 0,
        "n_genes_constant": 1,
        "n_genes_constant_predicted": 1,
        "mse": pytest.approx(((OBSERVED - PREDICTED) ** 2).mean()),
        "pearson": pytest.approx(table["pearson"][VARYING].fillna(0).mean()),
        "spearman": pytest.approx(table["spearman"][VARYING].fillna(0).mean()),
    }
    assert all(type(value) is float for value in report.values())


def means_of_others(observed: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """By a loop over cells: the mean of the cell's type in the other four of five parts."""
    seen: dict[str, int] = {}
    fold = []
    for label in labels:
        fold.append(seen.get(label, 0) % 5)
        seen[label] = seen.get(label, 0) + 1
    rows = []
    for label, part in zip(labels, fold, strict=True):
        others = np.array(fold) != part
        alike = others & (labels == label)
        rows.append(observed[alike if alike.any() else others].mean(axis=0))
    return np.float32(rows).astype(np.float64)


def test_what_labels_alone_say() -> None:
    labels = LABELS.copy()
    labels[7] = "rare"
    table = sl.metrics.expression_by_gene(OBSERVED, PREDICTED, labels=labels)
    expected = sl.metrics.expression_by_gene(OBSERVED, means_of_others(OBSERVED, labels))
    for name in ("mse", "pearson", "spearman"):
        np.testing.assert_allclose(table[f"{name}_labels"], expected[name], rtol=1e-6)
    report = sl.metrics.expression_report(OBSERVED, PREDICTED, labels=labels)
    assert report["n_labels"] == 4
    by_types = sl.metrics.expression_report(OBSERVED, means_of_others(OBSERVED, labels))
    assert [report[f"{name}_labels"] for name in ("mse", "pearson", "spearman")] == pytest.approx(
        [by_types[name] for name in ("mse", "pearson", "spearman")]
    )
    plain = sl.metrics.expression_report(OBSERVED, PREDICTED)
    assert {name: report[name] for name in plain} == plain


def test_labels_of_chance_say_nothing() -> None:
    random = np.random.default_rng(1)
    observed = random.normal(size=(2000, 50))
    report = sl.metrics.expression_report(observed, observed, labels=random.choice(list("ABCDEFGH"), 2000))
    assert abs(report["pearson_labels"]) < 0.02
    assert report["spearman"] == pytest.approx(1)


@pytest.mark.parametrize("missing", [None, np.nan, "unknown"])
def test_cells_without_a_label_are_left_out(missing: Any) -> None:
    labels = LABELS.astype(object)
    labels[:10] = missing
    report = sl.metrics.expression_report(OBSERVED, PREDICTED, labels=labels)
    assert report == sl.metrics.expression_report(OBSERVED[10:], PREDICTED[10:], labels=LABELS[10:])
    assert report["n_cells"] == N_CELLS - 10


KINDS: dict[str, Any] = {
    "CSR": sp.csr_matrix,
    "CSC": sp.csc_matrix,
    "CSR array": sp.csr_array,
    "list": lambda X: X.tolist(),
    "frame": lambda X: pd.DataFrame(X, index=CELLS, columns=GENES),
    "AnnData": named,
    "sparse AnnData": lambda X: named(sp.csr_matrix(X)),
    "Dask": lambda X: named(da.from_array(X, chunks=(7, 5))),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_kinds_of_expression(kind: str) -> None:
    expected = sl.metrics.expression_report(OBSERVED, PREDICTED, labels=LABELS)
    assert sl.metrics.expression_report(KINDS[kind](OBSERVED), PREDICTED, labels=LABELS) == expected
    assert sl.metrics.expression_report(OBSERVED, KINDS[kind](PREDICTED), labels=LABELS) == expected
    assert sl.metrics.expression_report(KINDS[kind](OBSERVED), KINDS[kind](PREDICTED), labels=LABELS) == expected


def test_objects_are_matched_by_name_and_not_changed(tmp_path: Any) -> None:
    observed, predicted = named(sp.csr_matrix(OBSERVED)), named(PREDICTED)
    expected = sl.metrics.expression_by_gene(observed, predicted, labels="type")
    before = snapshot(observed)
    other = predicted[::-1, np.random.default_rng(0).permutation(N_GENES)].copy()
    pd.testing.assert_frame_equal(sl.metrics.expression_by_gene(observed, other, labels="type"), expected)
    assert added(before, snapshot(observed)) == set()
    assert expected.index.tolist() == GENES
    fewer = other[:, other.var_names != "g0"].copy()
    report = sl.metrics.expression_report(observed, fewer)
    assert (report["n_genes"], report["n_genes_absent"]) == (N_GENES - 1, 1)
    assert report["mse"] == pytest.approx(expected["mse"][1:].mean())
    observed.layers["log"], observed.X = observed.X, observed.X * 0
    other.layers["guess"], other.X = other.X, other.X * 0
    layered = sl.metrics.expression_by_gene(observed, other, labels="type", layer="log", predicted_layer="guess")
    pd.testing.assert_frame_equal(layered, expected)
    predicted.write_h5ad(tmp_path / "a.h5ad")
    backed = read_h5ad(tmp_path / "a.h5ad", backed="r")
    pd.testing.assert_frame_equal(sl.metrics.expression_by_gene(observed, backed, labels="type", layer="log"), expected)


def test_blocks_of_genes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = sl.metrics.expression_by_gene(OBSERVED, sp.csr_matrix(PREDICTED), labels=LABELS)
    monkeypatch.setattr(_expression, "BLOCK_ENTRIES", 5 * N_CELLS)
    found = sl.metrics.expression_by_gene(OBSERVED, sp.csr_matrix(PREDICTED), labels=LABELS)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_nothing_varies() -> None:
    report = sl.metrics.expression_report(np.ones((3, 2)), np.zeros((3, 2)))
    assert report["mse"] == 1
    assert np.isnan(report["spearman"])
    assert report["n_genes_constant"] == 2


@pytest.mark.parametrize(
    ("observed", "predicted", "options", "error", "match"),
    [
        (OBSERVED, PREDICTED[1:], {}, ValueError, r"observed= of shape \(60, 12\) and predicted= of shape \(59, 12\)"),
        (OBSERVED, named(PREDICTED)[1:], {}, ValueError, "expected the same cells and genes"),
        (named(OBSERVED), named(PREDICTED)[1:], {}, ValueError, "60 cells in observed= and 59 in predicted=.*'c0'"),
        (named(OBSERVED)[:, :2], named(PREDICTED)[:, 2:], {}, ValueError, "no gene of observed=.*'g0'.*'g2'"),
        (named(OBSERVED), named(PREDICTED)[:, [1, 1, 2]], {}, ValueError, "1 genes .* repeat .first: 'g1'."),
        (named(OBSERVED)[[0, 0]], named(PREDICTED)[[1, 0]], {}, ValueError, "repeat by name"),
        (OBSERVED + np.nan, PREDICTED, {}, ValueError, "values of observed= are NaN or infinite"),
        (OBSERVED, sp.csr_matrix(PREDICTED / 0), {}, ValueError, "values of predicted= are NaN"),
        (OBSERVED[:0], PREDICTED[:0], {}, ValueError, "0 cells × 12 genes"),
        (OBSERVED[0], PREDICTED, {}, TypeError, r"observed= of shape \(12,\); expected cells × genes"),
        (OBSERVED, "rna", {}, TypeError, "predicted= without numbers"),
        (OBSERVED, PREDICTED, {"layer": "log"}, ValueError, "layer='log' where observed= is no AnnData"),
        (named(OBSERVED), PREDICTED, {"layer": "log"}, KeyError, r"Did not find .layers\['log'\] of observed="),
        (named(OBSERVED), PREDICTED, {"labels": "kind"}, KeyError, r"columns are \['type'\]"),
        (OBSERVED, PREDICTED, {"labels": "type"}, KeyError, "observed= is no AnnData"),
        (OBSERVED, PREDICTED, {"labels": ["A", "B"]}, ValueError, "for 60 cells; expected one label per cell"),
        (OBSERVED, PREDICTED, {"labels": ["A"] * N_CELLS}, ValueError, "Found 1 types among 60 labels"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_errors(observed: Any, predicted: Any, options: dict, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        sl.metrics.expression_report(observed, predicted, **options)
