"""What the reliability diagram shows, read back from its axes."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from tests._objects import added, annotated, pair, snapshot, together, with_X

import scllmda as sl

mpl.use("Agg")


@pytest.fixture(scope="module")
def query() -> AnnData:
    """Return an annotated query; its first three cells are empty, the next three have a label of no one, or none."""
    reference, query = pair()
    X = query.X.tolil()
    X[:3] = 0
    found = annotated(with_X(query, X.tocsr()), reference)
    truth = found.obs["cell_type"].astype(object)
    truth.iloc[3:7] = ["new", np.nan, None, "unknown"]
    found.obs["truth"] = truth
    return found


def drawn(figure: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (k, 2), and the bars' left edges and heights (n_bins, 2)."""
    above, below = figure.axes
    points = above.collections[-1].get_offsets()
    return np.asarray(points), np.array([[bar.get_x(), bar.get_height()] for bar in below.patches])


def expected(score: pd.Series, correct: pd.Series, n_bins: int = 15) -> tuple[np.ndarray, np.ndarray, float]:
    """Return what is to be drawn by numpy's histogram, and the calibration error of its bins."""
    n, edges = np.histogram(score, n_bins, (0, 1))
    sums = [np.histogram(score, n_bins, (0, 1), weights=w.to_numpy(dtype=float))[0] for w in (score, correct)]
    mean, share = (s[n > 0] / n[n > 0] for s in sums)
    return np.c_[mean, share], np.c_[edges[:-1], n], float(n[n > 0] @ abs(mean - share) / n.sum())


@pytest.mark.parametrize("n_bins", [15, 4, 1])
def test_shows_accuracy_by_confidence_of_the_cells_that_have_both(query: AnnData, n_bins: int) -> None:
    before = snapshot(query)
    figure = sl.pl.reliability(query, truth="truth", n_bins=n_bins, return_fig=True)
    assert added(before, snapshot(query)) == set()
    obs = query.obs.iloc[[3, *range(7, query.n_obs)]]
    score, correct = obs["scllmda_score"], obs["scllmda_raw"].astype(str) == obs["truth"]
    assert not correct.iloc[0], "a label that the reference lacks"
    assert 0.2 < correct.mean() < 1
    points, bars, ece = expected(score, correct, n_bins)
    for found, wanted in zip(drawn(figure), (points, bars), strict=True):
        np.testing.assert_allclose(found, wanted)
    report = sl.metrics.annotation_report(
        obs["truth"], obs["scllmda"], query.obsm["scllmda_proba"].loc[obs.index], n_bins=n_bins
    )
    assert report["ece"] == pytest.approx(ece)
    assert figure.axes[0].get_title() == f"expected calibration error {ece:.3f}"
    assert figure.axes[1].get_xlabel() == f"confidence ({len(obs)} cells)"


def test_error_is_that_of_the_report_where_cells_are_empty(query: AnnData) -> None:
    report = sl.metrics.annotation_report(query.obs["cell_type"], query.obs["scllmda"], query.obsm["scllmda_proba"])
    figure = sl.pl.reliability(query, truth="cell_type", return_fig=True)
    assert figure.axes[0].get_title().endswith(f" {report['ece']:.3f}")


def test_by_hand(query: AnnData) -> None:
    few = query[10:14].copy()
    few.obs["scllmda_score"] = [0.5, 0.7, 0.2, 1.0]
    few.obs["scllmda_raw"], few.obs["truth"] = ["B", "B", "T/NK", "T/NK"], ["B", "T/NK", "T/NK", "T/NK"]
    figure = sl.pl.reliability(few, truth="truth", n_bins=2, return_fig=True)
    points, bars = drawn(figure)
    np.testing.assert_allclose(points, [[0.2, 1], [2.2 / 3, 2 / 3]])
    np.testing.assert_allclose(bars, [[0, 1], [0.5, 3]])
    assert figure.axes[0].get_title().endswith(f" {(0.8 + 0.2) / 4:.3f}")


@pytest.mark.parametrize("tool", [sl.tl.annotate, sl.tl.graph_da_annotate])
def test_cells_that_came_with_a_label_are_left_out(tool: Any) -> None:
    adata = together()
    # Two words for it.
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(object).where(np.arange(adata.n_obs) < 200, None)
    if tool is sl.tl.annotate:
        tool(adata, n_latent=16)
    else:
        sl.tl.cell_embeddings(adata, n_latent=16)
        tool(adata, "cell_type")
    figure = sl.pl.reliability(adata, truth="truth", return_fig=True)
    obs = adata.obs[adata.obs["platform"] != "reference"]
    points, bars, _ = expected(obs["scllmda_score"], obs["scllmda_raw"].astype(str) == obs["truth"])
    assert bars[:, 1].sum() == 100
    for found, wanted in zip(drawn(figure), (points, bars), strict=True):
        np.testing.assert_allclose(found, wanted)
    with pytest.raises(ValueError, match=r"None of the 100 query cells has a label in \.obs\['cell_type'\]"):
        sl.pl.reliability(adata, truth="cell_type")


def test_mudata_other_key_and_view(query: AnnData) -> None:
    alone = drawn(sl.pl.reliability(query[5:50], truth="truth", return_fig=True))
    other = query[5:50].copy()
    for slots in (other.obs, other.obsm, other.uns):
        for name in [name for name in slots if "scllmda" in name]:
            slots[name.replace("scllmda", "other")] = slots.pop(name)
    truth = other.obs.pop("truth")
    data = MuData({"peaks": other})
    data.obs["truth"] = truth
    found = drawn(sl.pl.reliability(data, truth="truth", key="other", mod="peaks", return_fig=True))
    for one, two in zip(alone, found, strict=True):
        np.testing.assert_array_equal(one, two)
    view = query[5:50]
    sl.pl.reliability(view, truth="truth", return_fig=True)
    assert view.is_view


def test_show_false_returns_axes(query: AnnData) -> None:
    axes = sl.pl.reliability(query, truth="truth", show=False)
    assert [ax.get_ylabel() for ax in axes] == ["accuracy", "cells"]
    mpl.pyplot.close("all")


def test_errors(query: AnnData) -> None:
    with pytest.raises(KeyError, match=r"Run sl\.tl\.annotate first"):
        sl.pl.reliability(pair()[1], truth="cell_type")
    with pytest.raises(KeyError, match=r"Did not find .obs\['trut'\].*Did you mean 'truth'.*Pass truth="):
        sl.pl.reliability(query, truth="trut")
    with pytest.raises(ValueError, match="n_bins=0; expected a positive"):
        sl.pl.reliability(query, truth="truth", n_bins=0)
    with pytest.raises(ValueError, match=r"None of the 3 query cells has .* an open peak"):
        sl.pl.reliability(query[:3], truth="truth")
    nothing = query.copy()
    nothing.obs["nothing"] = pd.Categorical([None] * query.n_obs, categories=["B"])
    with pytest.raises(ValueError, match=r"has a label in \.obs\['nothing'\].*Pass truth="):
        sl.pl.reliability(nothing, truth="nothing")
