"""How cells flow, read back from bars and bands."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch, Rectangle
from mudata import MuData
from tests._objects import annotated, pair, together

import scllmda as sl
from scllmda.pl._palette import DISTINCT

mpl.use("Agg")


@pytest.fixture(scope="module")
def _query() -> AnnData:
    reference, query = pair()
    found = annotated(query, reference)
    label, truth = found.obs["scllmda"].astype(str), found.obs["cell_type"].astype(object)
    label.iloc[:9], truth.iloc[3:12], truth.iloc[12:15] = "Unassigned", "Neutrophil", None
    found.obs["scllmda"], found.obs["truth"] = pd.Categorical(label), truth
    found.obs["cluster"] = pd.Categorical((np.arange(100) % 3).astype(str))
    return found


@pytest.fixture
def query(_query: AnnData) -> AnnData:
    return _query.copy()


def flow(adata: Any, truth: str, **options: Any) -> tuple[Any, dict[str, Any], dict[str, Any], dict[Any, float]]:
    """Return the figure, the bars of both sides (cells and color), and the cells of each band."""
    figure = sl.pl.label_flow(adata, truth=truth, return_fig=True, **options)
    ax = figure.axes[0]
    bars = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    sides: list[dict[str, Any]] = []
    spans: list[dict[str, tuple[float, float]]] = []
    for axis, is_left in ((ax, True), (ax.child_axes[0], False)):
        names = [text.get_text().rpartition(" (")[0] for text in axis.get_yticklabels()]
        mine = [bar for bar in bars if (bar.get_x() < 0.5) == is_left]
        sides.append({n: (b.get_height(), to_hex(b.get_facecolor())) for n, b in zip(names, mine, strict=True)})
        spans.append({n: (b.get_y(), b.get_y() + b.get_height()) for n, b in zip(names, mine, strict=True)})
        np.testing.assert_allclose(axis.get_yticks(), [np.mean(span) for span in spans[-1].values()])
        ends = [end for span in spans[-1].values() for end in span]
        assert ends == sorted(ends), "one below the other"
    bands: dict[Any, float] = {}
    for band in (patch for patch in ax.patches if isinstance(patch, PathPatch)):
        points = band.get_path().vertices
        here, there = points[[0, 7], 1], points[[3, 4], 1]
        assert np.ptp(here) == pytest.approx(np.ptp(there)), "as high at both ends"
        pair_ = tuple(
            next(n for n, (low, high) in side.items() if low <= at.mean() <= high)
            for side, at in zip(spans, (here, there), strict=True)
        )
        assert to_hex(band.get_facecolor()) == sides[1][pair_[1]][1], "in the color of what was predicted"
        bands[pair_] = float(np.ptp(here))
    return figure, *sides, bands


def test_numbers_are_those_of_the_labels(query: AnnData) -> None:
    _, left, right, bands = flow(query, "truth")
    known = query.obs.dropna(subset="truth")
    counts = known.groupby(["truth", "scllmda"], observed=True).size()
    assert bands == pytest.approx(counts.to_dict())
    assert {n: cells for n, (cells, _) in left.items()} == known["truth"].value_counts().to_dict()
    assert {n: cells for n, (cells, _) in right.items()} == known["scllmda"].value_counts().to_dict()


def test_order_and_colors(query: AnnData) -> None:
    _, left, right, _ = flow(query, "truth")
    classes = list(query.uns["scllmda"]["classes"])
    assert list(right) == [*classes, "Unassigned"]
    assert [name for name in left if name in classes] == classes
    assert [color for _, color in right.values()] == [*DISTINCT[: len(classes)], "#808080"]
    assert {name: left[name][1] for name in classes} == {name: right[name][1] for name in classes}
    assert left["Neutrophil"][1] == DISTINCT[len(classes)], "as in the map"


def test_clusters_are_gray_unless_they_have_colors(query: AnnData) -> None:
    _, left, _, bands = flow(query, "cluster")
    assert {color for _, color in left.values()} == {"#8c8c8c"}
    assert sum(bands.values()) == pytest.approx(100)
    query.uns["cluster_colors"] = ["#111111", "#222222", "#333333"]
    left = flow(query, "cluster", palette={"2": "red"})[1]
    assert {name: left[name][1] for name in "012"} == {"0": "#111111", "1": "#222222", "2": "#ff0000"}


def test_clusters_stand_where_their_cells_go(query: AnnData) -> None:
    classes = list(query.uns["scllmda"]["classes"])
    query.obs["cluster"] = query.obs["scllmda"].astype(str).map({c: f"c{9 - i}" for i, c in enumerate(classes)})
    assert list(flow(query, "cluster")[1]) == ["c9", "c8", "c7", "c6"]


def test_one_object_and_mudata(query: AnnData) -> None:
    one = sl.tl.annotate(together(), n_latent=16, copy=True)
    assert sum(flow(one, "truth")[-1].values()) == pytest.approx(100), "without reference cells"
    data = MuData({"peaks": query})
    data.obs["mine"] = query.obs["truth"].to_numpy()
    assert flow(data, "mine", mod="peaks")[-1] == flow(query, "truth")[-1]


def test_size_and_no_label(query: AnnData) -> None:
    figure = flow(query, "truth", size=4)[0]
    axes = [figure.axes[0], figure.axes[0].child_axes[0]]
    assert {text.get_fontsize() for ax in axes for text in ax.get_yticklabels()} == {4}
    query.obs["nothing"] = None
    with pytest.raises(ValueError, match=r"No query cell has a label in \.obs\['nothing'\]"):
        flow(query, "nothing")


def test_names_do_not_overlap_and_are_not_clipped() -> None:
    """Also where there are many, of few cells each."""
    reference, query = pair()
    found = annotated(query, reference)
    found.obs["many"] = [f"a long name of a type, {i:02}" for i in np.minimum(np.arange(100), 24)]
    figure = flow(found, "many")[0]
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].get_yticklabels()]
    assert len(boxes) == 25
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    width, height = figure.get_size_inches() * figure.dpi
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)
