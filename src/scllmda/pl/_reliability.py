"""Accuracy against confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .._anndata import obs_column, read
from .._checks import checked
from .._label_text import as_text, has_label
from ..calibration import reliability_bins
from ..get import annotation, query_cells
from ._colors import background, chosen_colors
from ._figure import area_of, hand_over, require_axes, require_save

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

    from ..calibration import ReliabilityBins

_COLORS = {"accuracy": "#d95f02", "cells": "#8c8c8c"}


@checked
def reliability(
    adata: AnnData | MuData,
    *,
    truth: str,
    key: str = "scllmda",
    n_bins: int = 15,
    ax: Axes | None = None,
    axes: Sequence[Axes] | None = None,
    palette: Mapping[str, Any] | Sequence[Any] | str | None = None,
    size: float | None = None,
    title: str | None = None,
    save: str | PathLike[str] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
    mod: str = "atac",
) -> Figure | list[Axes] | None:
    """Plot accuracy against confidence: the reliability diagram of Guo et al. 2017.

    Points below the diagonal are overconfident. Their size and the bars, which have a logarithmic scale, show how many
    cells they stand for. The diagram says the expected calibration error (eq. 3), the mean over cells of the distance
    between point and diagonal.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.annotate` or :func:`scllmda.tl.graph_da_annotate` wrote to.
    truth
        Column of ``.obs`` with known labels of query cells. One that the reference lacks counts as an error.
    key
        ``key_added`` of the annotation, whose scores are compared with how often the raw labels are right. Left out are
        reference cells, cells without any open peak, and cells whose known label is missing or the annotation's
        ``unlabeled``.
    n_bins
        Number of equal-width confidence bins; 15 as in Guo et al. 2017 and :func:`scllmda.metrics.annotation_report`,
        whose ``ece`` is the one shown.
    ax
        Axes to draw the diagram into, without the bars.
    axes
        Two axes to draw into: of the diagram and of the bars.
    palette
        Colors of ``"accuracy"`` and ``"cells"``: by name, a list of both, or the name of a matplotlib colormap.
    size
        Area of the largest point, in points squared. None: by the size of the axes.
    title
        Title of the diagram. None: its expected calibration error, which is written into the diagram otherwise.
    save
        File to write the figure to, in the format that its name ends in.
    show
        Show the figure. None: as ``scanpy.settings.autoshow``, or not if it was drawn into given axes.
    return_fig
        Return the figure instead.
    mod
        Modality of a MuData that holds the peaks.

    Returns
    -------
    The figure if ``return_fig``; None if it was shown; else the list of the panels' axes.

    Raises
    ------
    KeyError
        There is no such annotation, or no column ``truth``.
    ValueError
        No query cell has a known label and an open peak, ``n_bins`` is below 1, there are not as many axes as panels,
        the palette is not one, or no figure can be written under this name.

    See Also
    --------
    scllmda.metrics.annotation_report : The expected calibration error, and more, in numbers.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> figure = sl.pl.reliability(query, truth="cell_type", return_fig=True)
    """
    given = require_axes(ax, axes, ["diagram", "bars"] if ax is None else ["diagram"])
    colors = _COLORS | chosen_colors(list(_COLORS), palette)
    path = require_save(save)
    atac = read(adata, mod=mod)
    table = annotation(atac, key)
    known = obs_column(adata, atac, truth, parameter="truth")
    score = table["score"].to_numpy()
    query = query_cells(adata, atac, key)
    shown = query & has_label(known, atac.uns[key]["params"]["unlabeled"]) & (score > 0)
    if not shown.any():
        msg = (
            f"None of the {query.sum()} query cells has a label in .obs[{truth!r}] and an open peak; expected some. "
            "Pass truth= a column with known labels of query cells."
        )
        raise ValueError(msg)
    correct = table["raw"].astype(str).to_numpy() == as_text(known).to_numpy()
    bins = reliability_bins(score[shown], correct[shown], n_bins)

    panels = _new_panels() if given is None else given
    text = f"expected calibration error {bins.ece:.3f}"
    _draw_diagram(panels[0], bins, colors["accuracy"], min(165, 15 * area_of(panels[0])) if size is None else size)
    panels[0].set_title(text if title is None else title, fontsize="medium")
    if title is not None:
        panels[0].text(0, 1, text.replace(" error", "\nerror"), va="top", fontsize="small")
    if len(panels) > 1:
        _draw_bars(panels[1], bins, colors["cells"])
    panels[-1].set_xlabel(f"confidence ({shown.sum():,} cells)")
    return hand_over(panels, is_own=given is None, save=path, show=show, return_fig=return_fig)


def _new_panels() -> list[Axes]:
    from matplotlib import pyplot as plt

    return list(plt.subplots(2, 1, figsize=(4.0, 4.8), height_ratios=(4, 1), sharex=True, layout="constrained")[1])


def _draw_diagram(ax: Axes, bins: ReliabilityBins, color: str, size: float) -> None:
    filled = bins.n_cells > 0
    confidence, accuracy, n_cells = bins.confidence[filled], bins.accuracy[filled], bins.n_cells[filled]
    ax.plot([0, 1], [0, 1], color="#8c8c8c", linestyle="--", linewidth=1, zorder=1)
    ax.vlines(confidence, confidence, accuracy, color=color, alpha=0.4, linewidth=1.5)
    ax.plot(confidence, accuracy, color=color, alpha=0.4, linewidth=1.5)
    ax.scatter(confidence, accuracy, s=size * (1 + 10 * n_cells / n_cells.max()) / 11, color=color, zorder=3)
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), ylabel="accuracy")


def _draw_bars(ax: Axes, bins: ReliabilityBins, color: str) -> None:
    n_bins = len(bins.n_cells)
    ax.bar(
        np.arange(n_bins) / n_bins, bins.n_cells, width=1 / n_bins, align="edge", color=color, edgecolor=background(ax)
    )
    # Confident bins may hold a thousand times as many cells as others; from below 1, a bar of one cell is seen.
    ax.set(yscale="log", ylim=(0.5, 2 * bins.n_cells.max()), xlim=(-0.03, 1.03), ylabel="cells")
    ax.minorticks_off()
    ax.yaxis.set_major_formatter("{x:,.0f}")
