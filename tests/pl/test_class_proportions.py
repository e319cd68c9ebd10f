"""Shares of labels, read back from the bars."""

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
from tests._objects import annotated, pair, together
from tests.pl._artists import legend_colors

import scllmda as sl

mpl.use("Agg")


@pytest.fixture(scope="module")
def reference() -> AnnData:
    found = pair()[0]
    found.obs["coarse"] = found.obs["cell_type"].astype(str).map(lambda name: "T" if "T" in name else name)
    return found


@pytest.fixture(scope="module")
def _query(reference: AnnData) -> AnnData:
    found = annotated(pair()[1], reference)
    label = found.obs["scllmda"].astype(str)
    label.iloc[:7] = "Unassigned"
    found.obs["scllmda"] = pd.Categorical(label)
    found.obs["sample"] = pd.Categorical(np.arange(100) // 30, [3, 1, 0, 2]).rename_categories("s{}".format)
    found.obs.loc[found.obs_names[90:], "sample"] = np.nan
    return found


@pytest.fixture
def query(_query: AnnData) -> AnnData:
    return _query.copy()


def bars(adata: Any, **options: Any) -> dict[str, dict[str, float]]:
    """Return the share of each label in each bar; assert that each is full, in the order of the legend."""
    figure = sl.pl.class_proportions(adata, return_fig=True, **options)
    ax, names = figure.axes[0], {color: name for name, color in legend_colors(figure).items()}
    found = {}
    for x, text in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True):
        parts = [bar for bar in ax.patches if abs(bar.get_x() + bar.get_width() / 2 - x) < 1e-6]
        parts = sorted(parts, key=lambda bar: -bar.get_y() - bar.get_height())
        assert sum(bar.get_height() for bar in parts) == pytest.approx(1)
        shares = {names[to_hex(bar.get_facecolor())]: bar.get_height() for bar in parts if bar.get_height()}
        assert list(shares) == [name for name in names.values() if name in shares], "from the top, as in the legend"
        found[text.get_text().replace("\n", " ")] = shares
    return found


def shares(labels: pd.Series) -> Any:
    return pytest.approx(labels.astype(str).value_counts(normalize=True).to_dict())


def test_reference_beside_query(query: AnnData, reference: AnnData) -> None:
    found = bars(query)
    assert list(found) == ["reference (150)", "query (100)"]
    assert found["reference (150)"] == shares(reference.obs["cell_type"])
    assert found["query (100)"] == shares(query.obs["scllmda"])
    assert found["query (100)"]["Unassigned"] == pytest.approx(0.07)


def test_samples_and_cells_of_none(query: AnnData) -> None:
    found = bars(query, groupby="sample")
    assert list(found) == ["reference (150)", "query (100)", "s1 (30)", "s0 (30)", "s2 (30)", "no sample (10)"]
    for name in ("s1", "s0", "s2"):
        assert found[f"{name} (30)"] == shares(query.obs.loc[query.obs["sample"] == name, "scllmda"])
    assert found["no sample (10)"] == shares(query.obs["scllmda"].iloc[90:])


def test_labels_of_another_column_of_the_reference(query: AnnData, reference: AnnData) -> None:
    found = bars(query, reference=reference, labels_key="coarse")
    assert found["reference (150)"] == shares(reference.obs["coarse"])
    with pytest.raises(ValueError, match=r"Found labels_key='coarse' without reference="):
        bars(query, labels_key="coarse")
    nobody = reference.copy()
    nobody.obs["coarse"] = None
    with pytest.raises(ValueError, match=r"No reference cell has a label in labels_key='coarse'"):
        bars(query, reference=nobody, labels_key="coarse")


def test_one_object_and_mudata(query: AnnData) -> None:
    one = sl.tl.annotate(together(), n_latent=16, copy=True)
    known = one.obs["cell_type"] != "unknown"
    one.obs["half"] = np.where(one.obs["truth"] == "B", "B", "other")
    assert bars(one) == {
        "reference (150)": shares(one.obs.loc[known, "cell_type"]),
        "query (100)": shares(one.obs.loc[~known, "scllmda"]),
    }
    assert bars(one, labels_key="half")["reference (150)"] == shares(one.obs.loc[known, "half"])
    data = MuData({"peaks": query})
    data.obs["mine"] = query.obs["sample"].to_numpy()
    assert "s2 (30)" in bars(data, mod="peaks", groupby="mine")


def test_colors_are_those_of_the_map(query: AnnData, reference: AnnData) -> None:
    reference = reference.copy()
    reference.uns["cell_type_colors"] = ["#101010", "#202020", "#303030", "#404040"]
    figure = sl.pl.class_proportions(query, reference=reference, return_fig=True)
    expected = dict(zip(reference.obs["cell_type"].cat.categories, reference.uns["cell_type_colors"], strict=True))
    assert legend_colors(figure) == {**expected, "Unassigned": "#808080"}


def test_shares_are_written_where_they_fit(query: AnnData) -> None:
    texts = sl.pl.class_proportions(query, return_fig=True).axes[0].texts
    assert f"{(query.obs['scllmda'] == 'B').mean():.0%}" in [text.get_text() for text in texts]
    ax = plt.subplots(figsize=(1.6, 1.2), layout="constrained")[1]
    sl.pl.class_proportions(query, ax=ax, groupby="sample")
    assert len(ax.texts) == 0
    sl.pl.class_proportions(query, ax=plt.subplots()[1], size=3)
    assert {text.get_fontsize() for text in plt.gca().texts} == {3}
    plt.close("all")
