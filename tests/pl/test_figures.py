"""What holds for all figures: axes, files, what is shown and returned; wrong parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tests._motifs import planted
from tests._objects import added, annotated, pair, snapshot

import scllmda as sl
from scllmda.pl import _joint_map

mpl.use("Agg")

FIGURES: dict[str, tuple[Callable[..., Any], dict[str, Any], int]] = {
    "transfer_umap": (sl.pl.transfer_umap, {"truth": "cell_type"}, 6),
    "confusion": (sl.pl.confusion, {"truth": "cell_type"}, 1),
    "reliability": (sl.pl.reliability, {"truth": "cell_type"}, 2),
    "novelty": (sl.pl.novelty, {"truth": "cell_type"}, 1),
    "class_proportions": (sl.pl.class_proportions, {"groupby": "batch"}, 1),
    "label_flow": (sl.pl.label_flow, {"truth": "cell_type"}, 1),
    "training_history": (sl.pl.training_history, {"key": "trained"}, 2),
    "marker_peaks": (sl.pl.marker_peaks, {"fdr": 1}, 1),
    "marker_motifs": (sl.pl.marker_motifs, {"key": "motifs", "fdr": 1}, 1),
}
"""With options and the number of panels."""
ONE_PANEL = {
    **FIGURES,
    "transfer_umap": (sl.pl.transfer_umap, {"truth": "cell_type", "panels": "true labels"}, 1),
    "training_history": (sl.pl.training_history, {"key": "trained", "panels": "loss"}, 1),
}

each = pytest.mark.parametrize("name", list(FIGURES))


@pytest.fixture(scope="module")
def query() -> AnnData:
    reference, query = pair()
    found = annotated(query, reference)
    sl.tl.marker_peaks(found)
    found.var["sequence"] = pair(sequence=True)[1].var["sequence"]
    sl.tl.marker_motifs(found, peaks={"first": found.var_names[:200]}, motifs=planted(found), key_added="motifs")
    found.uns["trained"] = {"history": {"loss": [3.0, 2.0, 1.5], "held_out_accuracy": [0.1, 0.6, 0.5], "best_epoch": 2}}
    return found


@pytest.fixture(autouse=True)
def quick_map(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_joint_map, "_umap", lambda X: X[:, :2].copy())
    yield
    plt.close("all")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Numbers of the figures that were open, each time that figures were shown."""
    found: list[list[int]] = []
    monkeypatch.setattr(plt, "show", lambda: found.append(plt.get_fignums()))
    return found


def draw(name: str, query: AnnData, figures: Any = FIGURES, **more: Any) -> Any:
    plot, options, _ = figures[name]
    return plot(query, **options, **more)


@each
def test_returned_and_shown(name: str, query: AnnData, shown: list[list[int]]) -> None:
    assert isinstance(draw(name, query, return_fig=True), Figure)
    assert (shown, plt.get_fignums()) == ([], [])
    assert draw(name, query) is None
    assert draw(name, query, show=True) is None
    assert [len(numbers) for numbers in shown] == [1, 1]
    assert plt.get_fignums() == []
    axes = draw(name, query, show=False)
    assert [type(ax) for ax in axes] == [Axes] * FIGURES[name][2]
    assert plt.get_fignums() == [axes[0].figure.number], "to be changed and shown"
    assert len(shown) == 2


@each
def test_nothing_but_the_map_is_written(name: str, query: AnnData) -> None:
    query = query.copy()
    query.uns["scllmda"].pop("umap", None)
    before = snapshot(query)
    draw(name, query, return_fig=True)
    assert ("umap" in query.uns["scllmda"]) == (name == "transfer_umap")
    query.uns["scllmda"].pop("umap", None)
    assert added(before, snapshot(query)) == set()


@each
def test_given_axes(name: str, query: AnnData, shown: list[list[int]], tmp_path: Path) -> None:
    figure, (mine, other) = plt.subplots(1, 2, layout="constrained")
    assert draw(name, query, ONE_PANEL, ax=mine, title="mine") == [mine]
    assert mine.get_title() == "mine"
    assert mine.has_data()
    assert not other.has_data()
    assert draw(name, query, ONE_PANEL, ax=mine, return_fig=True) is figure
    assert draw(name, query, ONE_PANEL, ax=mine, save=tmp_path / "a.png") == [mine]
    assert plt.get_fignums() == [figure.number]
    assert shown == []
    draw(name, query, ONE_PANEL, ax=mine, show=True)
    assert len(shown) == 1
    inner = plt.figure().subfigures(1, 2)[0]
    assert draw(name, query, ONE_PANEL, ax=inner.subplots(), return_fig=True) is inner.figure


def test_both_axes_of_the_reliability_diagram(query: AnnData) -> None:
    axes = plt.subplots(1, 2)[1]
    assert draw("reliability", query, axes=axes) == list(axes)
    assert [ax.get_ylabel() for ax in axes] == ["accuracy", "cells"]
    assert axes[0].get_xlabel() == ""
    with pytest.raises(ValueError, match="Found 1 axes in axes= for 2 panels: diagram, bars"):
        draw("reliability", query, axes=axes[:1])


@each
def test_saved(name: str, query: AnnData, shown: list[list[int]], tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    axes = draw(name, query, save=path, show=False)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert len(axes) == FIGURES[name][2]
    assert isinstance(draw(name, query, save=str(path), return_fig=True), Figure)
    assert (shown, plt.get_fignums()) == ([], [])
    assert draw(name, query, save=path) is None, "as scanpy, also shown"
    assert len(shown) == 1
    assert plt.get_fignums() == []


@pytest.mark.parametrize(("ending", "start"), [("PDF", b"%PDF"), ("svg", b"<?xml"), ("jpg", b"\xff\xd8")])
def test_formats(ending: str, start: bytes, query: AnnData, tmp_path: Path) -> None:
    draw("confusion", query, save=tmp_path / f"a.{ending}", show=False)
    assert (tmp_path / f"a.{ending}").read_bytes().startswith(start)


def test_pixels_of_a_file_are_as_many_as_matplotlib_was_told(query: AnnData, tmp_path: Path) -> None:
    figure = draw("confusion", query, return_fig=True, save=tmp_path / "a.png")
    with plt.rc_context({"savefig.dpi": 50}):
        draw("confusion", query, return_fig=True, save=tmp_path / "b.png")
    widths = [plt.imread(tmp_path / name).shape[1] / figure.get_figwidth() for name in ("a.png", "b.png")]
    np.testing.assert_allclose(widths, [300, 50], atol=1)


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no folder": ({"save": "nothing/a.png"}, FileNotFoundError, r"'nothing/a\.png' found no folder 'nothing'"),
    "no format": ({"save": "a.docx"}, ValueError, r"Found save='a\.docx'; expected .*jpg, .*pdf, .*png"),
    "no ending": ({"save": "figure"}, ValueError, r"Found save='figure'; expected a name that ends"),
    "a colormap": ({"palette": "virid"}, ValueError, r"Found palette='virid'.*Did you mean 'viridis'"),
    "a palette": ({"palette": 5}, TypeError, r"Found palette=5 \(int\)"),
    "a color": ({"palette": ["red", "redd", "b", "k"]}, ValueError, "Found 'redd' in palette="),
    "axes": ({"ax": 5}, TypeError, r"Found ax=5 \(int\); expected axes of matplotlib"),
    "truth": ({"truth": "absent"}, KeyError, r"Did not find .obs\['absent'\]"),
    "key": (
        {"key": "absent"},
        KeyError,
        r"Run sl\.tl\.\w+ first|Pass key= one|Did not find \.uns\['absent'\]\['history'\]",
    ),
}


WRONG_OF_EACH = [
    (name, what)
    for name, (plot, _, _) in ONE_PANEL.items()
    for what, (options, _, _) in WRONG.items()
    if set(options) <= set(signature(plot).parameters)
]


@pytest.mark.parametrize(("name", "what"), WRONG_OF_EACH)
def test_wrong(name: str, what: str, query: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_joint_map, "_umap", None)
    query = query.copy()
    query.uns["scllmda"].pop("umap", None)
    options, error, message = WRONG[what]
    plot, always, _ = ONE_PANEL[name]
    with pytest.raises(error, match=message):
        plot(query, **{**always, **options})
    assert plt.get_fignums() == []


def test_a_folder_that_is_not_to_be_written_to(query: AnnData, tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(ValueError, match="which is not a file and so is not replaced"):
        sl.pl.novelty(query, save=tmp_path / "a.png")


@each
def test_reads_on_dark(name: str, query: AnnData) -> None:
    with plt.style.context("dark_background"):
        figure = draw(name, query, return_fig=True)
        figure.draw_without_rendering()
    for ax in figure.axes:
        found = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), *ax.get_yticklabels()]
        assert {text.get_color() for text in found if text.get_text()} <= {"white"}
        assert not any(np.allclose(line_color(line), 0) for line in ax.lines), "no black line on black"


@each
def test_style_of_the_user_changes_nothing_but_style(name: str, query: AnnData) -> None:
    def texts(figure: Figure) -> set[str]:
        figure.draw_without_rendering()
        return {text.get_text() for text in figure.findobj(mpl.text.Text)}

    plain = draw(name, query, return_fig=True)
    with plt.rc_context():
        sc.set_figure_params(vector_friendly=False, transparent=True, fontsize=8)
        plt.rcParams.update({"axes.grid": True, "font.family": "serif", "image.cmap": "Reds"})
        styled = draw(name, query, return_fig=True)
        # Ticks follow the size of letters.
        assert {text for text in texts(plain) if text.isalpha()} <= texts(styled)
    assert len(styled.axes) == len(plain.axes)


def line_color(line: Any) -> tuple[float, float, float]:
    return mpl.colors.to_rgb(line.get_color())


class TestConfusion:
    def test_palette_is_a_scale(self, query: AnnData) -> None:
        for palette, most in (("Greens", "#00441b"), (["white", "red"], "#ff0000")):
            image = draw("confusion", query, palette=palette, return_fig=True).axes[0].images[0]
            assert mpl.colors.to_hex(image.cmap(1.0)) == most
        with pytest.raises(
            ValueError, match=r"Found palette=\{'B': 'red'\}; expected the name of a matplotlib colormap"
        ):
            draw("confusion", query, palette={"B": "red"})
        with pytest.raises(ValueError, match=r"or a list of at least two colors"):
            draw("confusion", query, palette=["red"])

    def test_size_of_digits(self, query: AnnData) -> None:
        assert {t.get_fontsize() for t in draw("confusion", query, return_fig=True).axes[0].texts} == {8}
        assert {t.get_fontsize() for t in draw("confusion", query, size=5, return_fig=True).axes[0].texts} == {5}
        ax = plt.subplots(figsize=(2, 1.5), layout="constrained")[1]
        draw("confusion", query, ax=ax)
        assert len(ax.texts) == 0, "nothing that cannot be read"
        draw("confusion", query, ax=ax, size=2)
        assert {t.get_fontsize() for t in ax.texts} == {2}
        labels = ax.get_yticklabels()
        assert labels[0].get_fontsize() * len(labels) <= 1.5 * 72

    def test_digits_are_read_on_their_cells(self, query: AnnData) -> None:
        for style in ("default", "dark_background"):
            with plt.style.context(style):
                ax = draw("confusion", query, return_fig=True).axes[0]
            values = ax.images[0].get_array()
            for text in ax.texts:
                j, i = map(int, text.get_position())
                cell = np.mean(ax.images[0].cmap(values[i, j])[:3])
                assert abs(cell - np.mean(mpl.colors.to_rgb(text.get_color()))) > 0.4


class TestReliability:
    def test_colors_size_and_title(self, query: AnnData) -> None:
        figure = draw("reliability", query, palette={"cells": "red"}, size=20, title="mine", return_fig=True)
        above, below = figure.axes
        assert mpl.colors.to_hex(below.patches[0].get_facecolor()) == "#ff0000"
        assert above.collections[-1].get_sizes().max() == pytest.approx(20)
        assert above.get_title() == "mine"
        assert above.texts[0].get_text().startswith("expected calibration\nerror 0.")
        with pytest.raises(ValueError, match="Found palette= with colors of 'B'; expected some of 'accuracy', 'cells'"):
            draw("reliability", query, palette={"B": "red"})
