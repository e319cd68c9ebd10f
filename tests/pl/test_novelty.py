"""What the figure of novelty shows, read back from its axes."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from mudata import MuData
from tests._objects import annotated, pair, together, with_X
from tests.pl._artists import legend_colors, legend_texts

import scllmda as sl
from scllmda.pl._palette import DISTINCT

mpl.use("Agg")

TYPES = ["B", "CD4 T", "CD8 T", "Plasma"]


@pytest.fixture(scope="module")
def _query() -> AnnData:
    reference, query = pair()
    X = query.X.tolil()
    X[:3] = 0
    found = annotated(with_X(query, X.tocsr()), reference)
    truth = found.obs["cell_type"].astype(object)
    truth.iloc[:6], truth.iloc[6] = "new", None
    found.obs["truth"] = truth
    label = found.obs["scllmda"].astype(str)
    label.iloc[3:7] = "Unassigned"
    found.obs["scllmda"] = pd.Categorical(label)
    found.uns["scllmda"]["history"]["novelty_threshold"] = 0.9
    return found


@pytest.fixture
def query(_query: AnnData) -> AnnData:
    return _query.copy()


def drawn(adata: Any, **options: Any) -> Any:
    return sl.pl.novelty(adata, return_fig=True, **options)


def rows(figure: Any) -> list[tuple[str, float, list[float], str]]:
    """Return of each row its name, the share rejected in percent, what is drawn in it, and its color."""
    ax = figure.axes[0]
    names = [t.get_text() for t in ax.get_yticklabels()]
    shares = [float(t.get_text().rstrip("%")) for t in ax.child_axes[0].get_yticklabels()]
    found = []
    for i, (name, share, points) in enumerate(zip(names, shares, ax.collections, strict=True)):
        x, y = np.asarray(points.get_offsets()).T
        assert (abs(y - i) < 0.5).all(), "in its row"
        found.append((name, share, sorted(x), to_hex(points.get_facecolors()[0])))
    return found


def test_rows_are_raw_labels_in_their_colors(query: AnnData) -> None:
    figure = drawn(query)
    obs = query.obs.iloc[3:]
    raw = obs["scllmda_raw"].astype(str)
    expected = []
    for name, color in zip(TYPES, DISTINCT, strict=False):
        of = obs[raw == name]
        if len(of):
            share = float(f"{100 * (of['scllmda'] == 'Unassigned').mean():.0f}")
            expected.append((f"{name} ({len(of)})", share, sorted(of["scllmda_novelty"]), color))
    assert rows(figure) == expected
    assert figure.axes[0].get_xlabel() == "novelty (97 cells)", "without cells that have no open peak"
    medians = [line.get_xdata()[0] for line in figure.axes[0].lines[: len(expected)]]
    np.testing.assert_allclose(medians, [np.median(values) for _, _, values, _ in expected])


def test_threshold(query: AnnData) -> None:
    figure = drawn(query)
    assert list(figure.axes[0].lines[-1].get_xdata()) == [0.9, 0.9]
    assert legend_texts(figure) == ["median", "rejected above 0.9"]
    query.uns["scllmda"]["history"]["novelty_threshold"] = 1.0
    assert legend_texts(drawn(query))[-1] == "none is above 1: nothing was rejected"
    del query.uns["scllmda"]["history"]["novelty_threshold"]
    figure = drawn(query)
    assert len(figure.axes[0].lines) == len(rows(figure)), "no line but medians"
    assert legend_texts(figure) == ["median", "nothing was rejected"]


def test_truth_tells_known_from_novel(query: AnnData) -> None:
    found = rows(drawn(query, truth="truth"))
    truth = query.obs["truth"].iloc[3:]
    assert [name for name, *_ in found] == [
        f"{name} ({(truth == name).sum()})" for name in [*TYPES, "new"] if (truth == name).any()
    ]
    assert found[-1][1] == 100, "three of new were rejected"
    assert [color for *_, color in found] == ["#2266aa"] * (len(found) - 1) + ["#cc5511"]
    legend = legend_colors(drawn(query, truth="truth", palette={"novel": "red"}))
    assert (legend["known"], legend["novel"]) == ("#2266aa", "#ff0000")
    assert "novel" not in legend_texts(drawn(query, truth="cell_type"))


def test_palette_size_and_labels_that_fit(query: AnnData) -> None:
    query.uns["scllmda_colors"] = [f"#00000{i}" for i in range(query.obs["scllmda"].nunique())]
    names = list(query.obs["scllmda"].cat.categories)
    for name, *_, color in rows(drawn(query)):
        assert color == query.uns["scllmda_colors"][names.index(name.rpartition(" (")[0])]
    figure = drawn(query, palette={"B": "red"}, size=3)
    assert rows(figure)[0][-1] == "#ff0000"
    assert figure.axes[0].collections[0].get_sizes().tolist() == [3]
    ax = plt.subplots(figsize=(2, 1), layout="constrained")[1]
    sl.pl.novelty(query, ax=ax)
    assert ax.get_yticklabels()[0].get_fontsize() < 10
    plt.close("all")


def test_one_object_and_mudata(query: AnnData) -> None:
    one = sl.tl.annotate(together(), n_latent=16, copy=True)
    assert sum(len(values) for _, _, values, _ in rows(drawn(one))) == 100, "without reference cells"
    truth = query.obs.pop("truth")
    data = MuData({"peaks": query})
    data.obs["mine"] = truth
    assert [name for name, *_ in rows(drawn(data, mod="peaks", truth="mine"))][-1] == "new (3)"
    view = query[5:50]
    drawn(view)
    assert view.is_view


def test_no_cell_to_show(query: AnnData) -> None:
    query.obs["nothing"] = None
    with pytest.raises(
        ValueError, match=r"None of the 100 query cells has a label in \.obs\['nothing'\] and an open peak"
    ):
        drawn(query, truth="nothing")
    with pytest.raises(ValueError, match=r"None of the 3 query cells has an open peak; expected some"):
        drawn(query[:3])
