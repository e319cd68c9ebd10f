"""What the figure of contributions shows, read back from its axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from tests._objects import annotated, pair
from tests.pl._artists import legend_texts

import scllmda as sl
from scllmda.pl._palette import DISTINCT

mpl.use("Agg")


@pytest.fixture(scope="module")
def query() -> AnnData:
    """Return an annotated query; not to be changed."""
    reference, query = pair()
    return annotated(query, reference)


def drawn(query: AnnData, *args: Any, **options: Any) -> Any:
    return sl.pl.evidence(query, *args, return_fig=True, **options)


def test_bars_are_contributions_in_the_color_of_the_class_they_speak_for(query: AnnData) -> None:
    cells = query.obs_names[[4, 9, 12]]
    options = {"label": "B", "against": "CD4 T", "n_peaks": 25}
    table = sl.get.evidence(query, cells, **options)
    peaks = table.iloc[:25].sort_values("contribution", ascending=False)
    ax = drawn(query, cells, **options).axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()] == peaks.index.tolist()
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], peaks["contribution"])
    colors = dict(zip(query.uns["scllmda"]["classes"], DISTINCT, strict=False))
    expected = [colors["B" if value > 0 else "CD4 T"] for value in peaks["contribution"]]
    assert [to_hex(bar.get_facecolor()) for bar in ax.patches] == expected
    assert set(expected) == {colors["B"], colors["CD4 T"]}
    is_pale = [bar.get_alpha() is not None for bar in ax.patches]
    assert is_pale == (peaks["open"] <= peaks["expected"]).tolist()
    assert 0 < sum(is_pale) < 25
    shares = [text.get_text() for text in ax.child_axes[0].get_yticklabels()]
    assert shares == [f"{share:.0%}" for share in peaks["open"]]
    assert legend_texts(ax) == ["for B", "for CD4 T", "by being closed"]
    assert ax.get_title() == "B or CD4 T? (3 cells)"


def test_terms_below_the_axis_add_up(query: AnnData) -> None:
    cell = query.obs_names[4]
    ax, table = drawn(query, cell, n_peaks=9).axes[0], sl.get.evidence(query, cell, n_peaks=9)
    words = ax.get_xlabel().replace("\N{MINUS SIGN}", "-").replace("\n", ", ").split(", ")
    assert words[0] == "contribution to log odds"
    found = {name: float(value) for name, value in (word.rsplit(" ", 1) for word in words[1:])}
    assert found.pop("log odds") == pytest.approx(table.attrs["log_odds"], abs=0.05)
    assert sum(found.values()) == pytest.approx(table.attrs["log_odds"], abs=0.05 * (len(found) + 1))
    assert found["these 9 peaks"] == pytest.approx(table["contribution"].iloc[:9].sum(), abs=0.05)
    assert {"other peaks", "intercept", "neighbors", "calibration"} & set(found)
    assert ax.get_title().endswith("(1 cell)")


def test_genes_name_the_rows(query: AnnData) -> None:
    genes = pd.DataFrame({"chrom": ["chr1"], "start": [10**6], "end": [10**6 + 1], "strand": "-", "name": "A"})
    table = sl.get.evidence(query, "B", n_peaks=20, genes=genes).iloc[:20]
    names = [text.get_text() for text in drawn(query, "B", genes=genes).axes[0].get_yticklabels()]
    expected = []
    for peak, row in table.sort_values("contribution", ascending=False).iterrows():
        kb = "" if pd.isna(row["gene"]) else f"{row['distance'] / 1000:+,.1f}".replace("-", "\N{MINUS SIGN}")
        expected.append(f"A ({kb} kb)" if kb else peak)
    assert names == expected
    assert len({name.startswith("A") for name in names}) == 2


def test_axes_title_palette_and_file(query: AnnData, tmp_path: Path) -> None:
    figure, ax = plt.subplots()
    assert sl.pl.evidence(query, "B", ax=ax, title="Why?", palette={"B": "red"}, show=False) == [ax]
    assert ax.get_title() == "Why?"
    assert to_hex(ax.patches[0].get_facecolor()) == to_hex("red")
    plt.close(figure)
    sl.pl.evidence(query, "B", save=tmp_path / "evidence.svg", show=False)
    assert (tmp_path / "evidence.svg").stat().st_size > 1000
    assert not plt.get_fignums()
