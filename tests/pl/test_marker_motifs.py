"""What the figure of marker motifs shows. What holds for all figures is tested in test_figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from anndata import AnnData
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from tests._motifs import of_word, planted, with_markers

import scllmda as sl
from scllmda.genomics import Motif
from scllmda.pl._logo import _COLORS, draw_logos

mpl.use("Agg")
KEY = "cell_type_marker_motifs"


@pytest.fixture(scope="module")
def result() -> AnnData:
    adata = with_markers()
    twin = {"twin of 10": planted(adata)["planted 10"][:, :-1]}
    sl.tl.marker_motifs(adata, "cell_type", motifs={**planted(adata), **twin})
    return adata


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def draw(result: AnnData, **options: Any) -> Axes:
    (ax,) = sl.pl.marker_motifs(result, KEY, show=False, **options)
    return ax


def test_first_motifs_of_each_label(result: AnnData) -> None:
    ax = draw(result, n_motifs=2)
    table = sl.get.marker_motifs(result, KEY, n_motifs=2).drop_duplicates("cluster")
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert [name.removesuffix(" + 1") for name in names] == table["name"].tolist()
    assert [name for name in names if name.endswith(" + 1")] == [
        f"{name} + 1" for name in table["name"] if "10" in name
    ], "one other motif is like it"
    groups = result.uns[KEY]["groups"].tolist()
    assert [label.get_text() for label in ax.get_xticklabels()] == groups
    rows = result.uns[KEY]["motifs"].index.get_indexer(table["motif"])
    log2fc, fdr = result.uns[KEY]["log2fc"][rows], result.uns[KEY]["fdr"][rows]
    np.testing.assert_allclose(ax.images[0].get_array(), np.maximum(log2fc, 0))
    stars = {tuple(round(float(x)) for x in text.get_position()[::-1]) for text in ax.texts if text.get_text() == "*"}
    assert stars == {tuple(at) for at in np.argwhere((fdr <= 0.05) & (log2fc > 0)).tolist()}


def test_chosen_labels(result: AnnData) -> None:
    ax = draw(result, group=["Plasma", "B"], n_motifs=1, title="mine")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["Plasma", "B"]
    assert len(ax.get_yticklabels()) == 2
    assert ax.get_title() == "mine"


def test_no_motif(result: AnnData) -> None:
    with pytest.raises(ValueError, match=r"no motif that is a marker of a label .*fdr=0.0.*Pass a larger fdr="):
        draw(result, fdr=0.0)
    with pytest.raises(KeyError, match=r"Did not find marker motifs 'mine' .*Run sl.tl.marker_motifs first"):
        sl.pl.marker_motifs(result, "mine")


def test_letters_are_as_high_as_their_information() -> None:
    """AC, and half A half G: two letters of (nearly) two bits, and two of half a bit on each other."""
    counts = 2000 * np.eye(4)[:, [0, 1, 0]]
    counts[:, 2] = [1000, 0, 1000, 0]
    ax = plt.figure().add_subplot()
    draw_logos(ax, [Motif("m", "m", counts), Motif("n", "n", of_word("T"))], [0.0, 10.0], left=5, width=3, height=4)
    boxes = {}
    for patch in ax.patches:
        (base,) = (base for base, color in _COLORS.items() if to_hex(color) == to_hex(patch.get_facecolor()))
        boxes[base] = patch.get_path().get_extents()
    assert set(boxes) == set("ACGT")
    # Two A: from the foot of the first to the top of the third, which lies on or below G.
    np.testing.assert_allclose(boxes["C"].extents, [6, 0, 6.92, 4], atol=0.02)
    assert boxes["A"].x0 == pytest.approx(5)
    assert boxes["A"].x1 == pytest.approx(7.92)
    np.testing.assert_allclose(boxes["G"].height, 1, atol=0.02)
    assert boxes["G"].y0 == pytest.approx(0, abs=0.02) or boxes["G"].y0 == pytest.approx(1, abs=0.02)
    assert boxes["T"].y0 == pytest.approx(10)
