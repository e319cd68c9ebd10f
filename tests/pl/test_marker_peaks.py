"""What the figure of marker peaks shows, read back from its axes."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from tests._objects import pair
from tests.pl._artists import legend_texts

import scllmda as sl

mpl.use("Agg")
KEY = "cell_type_marker_peaks"
GENES = pd.DataFrame(
    {"chrom": ["chr1", "chr2"], "start": [0, 0], "end": [9, 9], "strand": ["+", "-"], "name": ["ONE", "TWO"]}
)


@pytest.fixture(scope="module")
def adata() -> AnnData:
    return sl.tl.marker_peaks(pair()[0], "cell_type", genes=GENES, check_genome=False, copy=True)


def names(ax: Any) -> tuple[list[str], list[str]]:
    return [t.get_text() for t in ax.get_yticklabels()], [t.get_text() for t in ax.get_xticklabels()]


def expected(adata: AnnData, n_peaks: int) -> pd.DataFrame:
    return sl.get.marker_peaks(adata, KEY, n_peaks=n_peaks).drop_duplicates("peak")


def of(adata: AnnData, statistic: str, peaks: pd.Series) -> np.ndarray:
    return adata.varm[f"{KEY}_{statistic}"][adata.var_names.get_indexer(peaks)].T


def test_dots(adata: AnnData) -> None:
    figure = sl.pl.marker_peaks(adata, KEY, n_peaks=2, return_fig=True)
    ax, bar = figure.axes
    table = expected(adata, 2)
    rows, columns = names(ax)
    assert rows == adata.uns[KEY]["groups"].tolist()
    assert columns == [p if pd.isna(g) else f"{g}  {p}" for g, p in zip(table["gene"], table["peak"], strict=True)]
    assert {name.partition("  ")[0] for name in columns} >= {"ONE", "TWO"}
    (dots,) = ax.collections
    grid = np.meshgrid(range(len(columns)), range(len(rows)))
    np.testing.assert_array_equal(dots.get_offsets(), np.stack([g.ravel() for g in grid], axis=1))
    np.testing.assert_allclose(dots.get_array(), of(adata, "log2fc", table["peak"]).ravel())
    sizes, fraction = dots.get_sizes(), of(adata, "fraction", table["peak"]).ravel()
    np.testing.assert_allclose(sizes / sizes.max(), fraction / fraction.max(), rtol=1e-6)
    assert dots.get_clim() == pytest.approx((-dots.get_array().max(), dots.get_array().max()))
    assert bar.get_ylabel() == "log2 fold change"
    shares = np.array([float(text.rstrip("%")) / 100 for text in legend_texts(bar)])
    widths = np.array([handle.get_markersize() for handle in bar.get_legend().legend_handles])
    assert shares[-1] >= fraction.max() > shares[-1] / 2.5
    np.testing.assert_allclose(widths**2 / shares, sizes.max() / fraction.max(), rtol=1e-4)


def test_heat_map_of_some_labels_on_swapped_axes(adata: AnnData) -> None:
    options = {"group": ["CD8 T", "B"], "n_peaks": 4, "kind": "heatmap", "swap_axes": True}
    ax = sl.pl.marker_peaks(adata, KEY, values="openness", **options, return_fig=True).axes[0]
    table = sl.get.marker_peaks(adata, KEY, group=["CD8 T", "B"], n_peaks=4)
    rows, columns = names(ax)
    assert columns == adata.uns[KEY]["groups"].tolist()
    assert [row.rpartition("  ")[2] for row in rows] == table["peak"].tolist()
    fraction = of(adata, "fraction", table["peak"])
    (image,) = ax.images
    np.testing.assert_allclose(image.get_array(), (fraction / fraction.max(axis=0)).T)
    assert image.get_clim() == (0, 1)


def test_names_fit(adata: AnnData) -> None:
    figure = sl.pl.marker_peaks(adata, KEY, return_fig=True)
    figure.draw_without_rendering()
    whole = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert min(whole.x0, whole.y0) > -0.1
    assert (whole.x1 - width, whole.y1 - height) < (0.1, 0.1)


def test_no_marker(adata: AnnData) -> None:
    with pytest.raises(ValueError, match=r"Found no peak that is a marker of a label.*Pass a larger fdr="):
        sl.pl.marker_peaks(adata, KEY, min_log2fc=50)
