"""What the figures show, read back from their axes."""

from __future__ import annotations

from typing import Any

import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import scllmda as sl

mpl.use("Agg")


@pytest.fixture(scope="module")
def pair() -> tuple[ad.AnnData, ad.AnnData]:
    reference, query = sl.datasets.simulate(n_reference=150, n_query=80, n_peaks=800, n_types=4)
    sl.tl.annotate(query, reference)
    return reference, query


def snapshot(adata: ad.AnnData) -> dict[str, Any]:
    return {slot: list(getattr(adata, slot)) for slot in ("obs", "obsm", "obsp", "uns", "var", "varm")}


def titles(figure: Any) -> list[str]:
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


def points(ax: Any) -> np.ndarray:
    return np.vstack([c.get_offsets() for c in ax.collections])


def test_transfer_umap_draws_both_domains_and_writes_nothing(pair: tuple[ad.AnnData, ad.AnnData]) -> None:
    _, query = pair
    before = snapshot(query)
    figure = sl.pl.transfer_umap(query, return_fig=True)
    assert titles(figure) == ["domain", "reference labels", "predicted labels", "confidence"]
    assert len(points(figure.axes[0])) == 230, "150 reference and 80 query cells"
    assert snapshot(query) == before


def test_known_and_predicted_labels_share_colors(pair: tuple[ad.AnnData, ad.AnnData]) -> None:
    reference, query = pair
    reference.uns["cell_type_colors"] = ["#111111", "#222222", "#333333", "#444444"]
    figure = sl.pl.transfer_umap(query, reference=reference, truth="cell_type", return_fig=True)
    panels = {ax.get_title(): ax for ax in figure.axes}
    drawn = {
        title: {mpl.colors.to_hex(c) for collection in panels[title].collections for c in collection.get_facecolors()}
        for title in ("reference labels", "predicted labels", "true labels")
    }
    assert set(reference.uns["cell_type_colors"]) <= drawn["reference labels"]
    unassigned = "#000000"
    assert drawn["predicted labels"] <= {*drawn["reference labels"], unassigned}
    assert drawn["true labels"] <= drawn["reference labels"]


def test_transfer_umap_of_one_object() -> None:
    reference, query = sl.datasets.simulate(n_reference=150, n_query=80, n_peaks=800, n_types=4, shift=0)
    query.obs["cell_type"] = "unknown"
    together = ad.concat([query, reference])
    sl.tl.annotate(together)
    figure = sl.pl.transfer_umap(together, return_fig=True)
    assert len(points(figure.axes[0])) == 230


def test_truth_may_have_types_that_the_reference_lacks(pair: tuple[ad.AnnData, ad.AnnData]) -> None:
    query = pair[1].copy()
    query.obs["truth"] = np.where(np.arange(query.n_obs) < 5, "new type", query.obs["cell_type"].astype(str))
    figure = sl.pl.transfer_umap(query, truth="truth", return_fig=True)
    legends = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
    assert "new type" in [text.get_text() for legend in legends for text in legend.get_texts()]


def test_confusion_shows_the_shares_of_a_crosstab(pair: tuple[ad.AnnData, ad.AnnData]) -> None:
    _, query = pair
    figure = sl.pl.confusion(query, truth="cell_type", return_fig=True)
    expected = pd.crosstab(query.obs["cell_type"].astype(str), query.obs["scllmda"].astype(str), normalize="index")
    rows = [t.get_text().rpartition(" (")[0] for t in figure.axes[0].get_yticklabels()]
    columns = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), expected.loc[rows, columns])


def test_show_false_returns_axes(pair: tuple[ad.AnnData, ad.AnnData]) -> None:
    axes = sl.pl.confusion(pair[1], truth="cell_type", show=False)
    assert isinstance(axes, list)
    mpl.pyplot.close("all")


@pytest.mark.parametrize("plot", [sl.pl.transfer_umap, sl.pl.confusion])
def test_errors(pair: tuple[ad.AnnData, ad.AnnData], plot: Any) -> None:
    reference, query = pair
    with pytest.raises(KeyError, match=r"Run sl\.tl\.annotate first"):
        plot(reference, truth="cell_type")
    with pytest.raises(KeyError, match=r"Did not find .obs\['absent'\]"):
        plot(query, truth="absent")


def test_confusion_needs_a_known_label(pair: tuple[ad.AnnData, ad.AnnData]) -> None:
    query = pair[1].copy()
    query.obs["nothing"] = pd.Categorical([None] * query.n_obs, categories=["B"])
    with pytest.raises(ValueError, match="No cell has a label"):
        sl.pl.confusion(query, truth="nothing")


def test_more_cells_than_scanpy_compares_pairwise(monkeypatch: pytest.MonkeyPatch) -> None:
    import scanpy as sc

    rng = np.random.default_rng(0)
    n, n_known = 9000, 200
    labels = np.array(["B", "T"], dtype=object)[np.arange(n) % 2]
    X = rng.standard_normal((n, 4)).astype(np.float32)
    X[:, 0] += 8 * (labels == "T")
    adata = ad.AnnData(X, obsm={"X_rep": X}, obs=pd.DataFrame({"cell_type": labels}, index=np.arange(n).astype(str)))
    adata.obs.loc[adata.obs_names[n_known:], "cell_type"] = "unknown"
    sl.tl.graph_da_annotate(adata, "cell_type", use_rep="X_rep")
    # The layout takes half a minute and is not what is tested.
    monkeypatch.setattr(sc.tl, "umap", lambda cells, **_: cells.obsm.__setitem__("X_umap", cells.X[:, :2]))
    figure = sl.pl.transfer_umap(adata, return_fig=True)
    assert len(points(figure.axes[0])) == n
