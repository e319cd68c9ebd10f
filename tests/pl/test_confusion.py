"""What the confusion matrix shows, read back from its axes."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from tests._objects import annotated, pair, together

import scllmda as sl

mpl.use("Agg")


@pytest.fixture(scope="module")
def query() -> AnnData:
    reference, query = pair()
    return annotated(query, reference)


def shares(figure: mpl.figure.Figure) -> pd.DataFrame:
    ax = figure.axes[0]
    rows = [t.get_text().rpartition(" (")[0] for t in ax.get_yticklabels()]
    return pd.DataFrame(ax.images[0].get_array(), rows, [t.get_text() for t in ax.get_xticklabels()])


def test_shows_the_shares_of_a_crosstab(query: AnnData) -> None:
    found = shares(sl.pl.confusion(query, truth="cell_type", return_fig=True))
    expected = pd.crosstab(query.obs["cell_type"].astype(str), query.obs["scllmda"].astype(str), normalize="index")
    np.testing.assert_allclose(found, expected.loc[found.index, found.columns])


def test_cells_that_came_with_a_label_are_left_out() -> None:
    adata = sl.tl.annotate(together(), n_latent=16, copy=True)
    figure = sl.pl.confusion(adata, truth="truth", return_fig=True)
    counts = [int(t.get_text().rpartition(" (")[2].rstrip(")")) for t in figure.axes[0].get_yticklabels()]
    assert sum(counts) == 100
    with pytest.raises(ValueError, match=r"No cell has a label in \.obs\['cell_type'\]"):
        sl.pl.confusion(adata, truth="cell_type")


def test_needs_a_known_label(query: AnnData) -> None:
    query = query.copy()
    query.obs["nothing"] = pd.Categorical([None] * query.n_obs, categories=["B"])
    with pytest.raises(ValueError, match="No cell has a label"):
        sl.pl.confusion(query, truth="nothing")
