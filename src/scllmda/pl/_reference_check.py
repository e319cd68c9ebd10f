"""What a check of a reference found."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._anndata import read
from .._checks import checked
from .._keys import REFERENCE_CHECK
from ..get import reference_check as table_of
from ._colors import faint, is_dark_color, require_shades, shades
from ._figure import chosen_panels, figure_of, hand_over, panel_titles, require_axes, require_save

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

_TITLES = {
    "pairs": "cells mistaken, in pairs of types",
    "contradicted": "contradicted labels",
    "depth": "open peaks per cell",
    "batches": "share of the type's cells",
}
_COLOR = "#3182bd"
_WIDTHS = {"pairs": 0.36, "batches": 0.36}
"""Inches per column of the panels that are matrices."""


@checked
def reference_check(
    reference: AnnData | MuData | str | PathLike[str],
    *,
    key: str = REFERENCE_CHECK,
    panels: Sequence[str] | str | None = None,
    ax: Axes | None = None,
    axes: Sequence[Axes] | None = None,
    palette: Sequence[Any] | str | None = None,
    size: float | None = None,
    title: str | Sequence[str] | None = None,
    save: str | PathLike[str] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
    mod: str = "atac",
) -> Figure | list[Axes] | None:
    """Plot what a check of a reference found.

    Parameters
    ----------
    reference
        Object or path that :func:`scllmda.tl.check_reference` wrote to.
    key
        Its ``key_added``.
    panels
        Which to draw, and in which order. ``"pairs"``: the share of the cells of two types that are taken for the
        other, the larger one if batches were held out too, with digits where the two are hard to tell apart.
        ``"contradicted"``: the share of each type's labels that the rest contradicts. ``"depth"``: quartiles of the
        open peaks of its cells, beside the median over types. ``"batches"``: the share of its cells in each batch.
        None: all there are.
    ax
        Axes to draw into, if there is one panel.
    axes
        Axes to draw into, one per panel.
    palette
        Name of a matplotlib colormap, or a list of colors from none to all, of the matrices. None: from the background
        to blue.
    size
        Size of the digits, in points. None: 7.
    title
        Title of a single panel, heading over several, or a list with one title per panel. None: what each shows.
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
        There is no such check.
    ValueError
        A panel is unknown, or there are no batches for it; there are not as many axes as panels; the palette is not a
        scale, or no figure can be written under this name.

    See Also
    --------
    scllmda.get.reference_check : The same as tables.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.check_reference(reference, "cell_type", batch_key="batch")
    >>> figure = sl.pl.reference_check(reference, return_fig=True)
    """
    path = require_save(save)
    require_shades(palette)
    atac = read(reference, mod=mod, what="reference")
    types = table_of(atac, "types", key=key)
    known = [name for name in _TITLES if name != "batches" or "batches" in atac.uns[key]]
    names = chosen_panels(panels, known)
    given = require_axes(ax, axes, names)
    n_batches = table_of(atac, "batches", key=key)["batch"].nunique() if "batches" in known else 0
    heading, titles = panel_titles(title, names, is_own=given is None)
    drawn = _new_panels(names, list(types.index), n_batches, heading) if given is None else given
    for place, name, text in zip(drawn, names, titles, strict=True):
        if name in ("pairs", "batches"):
            matrix, digits = _matrix(atac, name, key, types)
            _draw_matrix(place, matrix, digits, palette, 7 if size is None else size)
        elif name == "contradicted":
            _draw_contradicted(place, types)
        else:
            _draw_depth(place, types)
        place.set_title(_TITLES[name] if text == name else text, fontsize="medium")
        labels = [f"{label} ({n:,})" for label, n in zip(types.index, types["n_cells"], strict=True)]
        is_first = given is not None or place is drawn[0]
        place.set_yticks(range(len(labels)), labels if is_first else [""] * len(labels))
        place.set_ylim(len(labels) - 0.5, -0.5)
    return hand_over(drawn, is_own=given is None, save=path, show=show, return_fig=return_fig)


def _new_panels(names: list[str], types: list[str], n_batches: int, heading: str | None) -> list[Axes]:
    """Return the panels of a new figure, side by side."""
    from matplotlib import pyplot as plt

    columns = {"pairs": len(types), "batches": n_batches}
    widths = [max(1.6, _WIDTHS[name] * columns[name]) if name in columns else 1.9 for name in names]
    longest = 0.08 * max(map(len, types))
    height = max(2.4, 0.3 * len(types)) + longest + 1
    figure, axes = plt.subplots(
        1,
        len(names),
        figsize=(sum(widths) + 0.9 * len(names) + longest + 0.6, height),
        width_ratios=widths,
        layout="constrained",
        squeeze=False,
    )
    if heading is not None:
        figure.suptitle(heading)
    return list(axes[0])


def _matrix(atac: AnnData, name: str, key: str, types: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a value per type and column, and where it is written as digits."""
    if name == "batches":
        batches = table_of(atac, "batches", key=key)
        found = batches.pivot_table(index="type", columns="batch", values="share_of_type", observed=True)
        found = found.reindex(types.index).fillna(0)
        return found, found >= 0.005
    pairs = table_of(atac, "pairs", key=key)
    error = pairs[["error", "error_across_batches"]].max(axis=1)
    matrix = pd.DataFrame(np.nan, index=types.index, columns=types.index)
    is_hard = pd.DataFrame(data=False, index=types.index, columns=types.index)
    for first, second, value, hard in zip(pairs["first"], pairs["second"], error, pairs["is_hard"], strict=True):
        matrix.loc[first, second] = matrix.loc[second, first] = value
        is_hard.loc[first, second] = is_hard.loc[second, first] = hard
    return matrix, is_hard


def _draw_matrix(ax: Axes, matrix: pd.DataFrame, digits: pd.DataFrame, palette: Any, size: float) -> None:
    """Draw shares by type and column, from none to a half of a pair's cells, or to all of a type's."""
    top = 0.5 if matrix.index.equals(matrix.columns) else 1.0
    image = ax.imshow(matrix.to_numpy(float), cmap=shades(palette, ax, _COLOR), vmin=0, vmax=top, aspect="auto")
    ax.set_xticks(range(matrix.shape[1]), list(matrix.columns), rotation=45, ha="right", rotation_mode="anchor")
    for i, j in np.argwhere(digits.to_numpy(bool)):
        value = matrix.iloc[i, j]
        ink = "white" if is_dark_color(image.cmap(image.norm(value))) else "black"
        ax.text(j, i, f"{value:.2f}".lstrip("0"), ha="center", va="center", fontsize=size, color=ink)
    figure_of(ax).colorbar(image, ax=ax, shrink=0.6, aspect=25).outline.set_visible(False)


def _draw_contradicted(ax: Axes, types: pd.DataFrame) -> None:
    share = types["n_contradicted"] / types["n_cells"]
    ax.barh(range(len(types)), share, color=_COLOR)
    ax.set_xlim(0, max(float(share.max()) * 1.25, 0.01))
    for i, (n, value) in enumerate(zip(types["n_contradicted"], share, strict=True)):
        if n:
            ax.text(value, i, f" {n:,}", va="center", fontsize=7)
    if not share.any():
        ax.text(0.5, 0.5, "none", transform=ax.transAxes, ha="center", va="center")
    ax.locator_params(axis="x", nbins=3)
    ax.set_xlabel("share of the type's cells")
    ax.spines[["top", "right"]].set_visible(False)


def _draw_depth(ax: Axes, types: pd.DataFrame) -> None:
    usual = float(np.median(types["open_peaks_median"]))
    ax.axvline(usual, color=faint(ax), zorder=0)
    rows = range(len(types))
    ax.hlines(rows, types["open_peaks_q25"], types["open_peaks_q75"], color=_COLOR, linewidth=2)
    ax.scatter(types["open_peaks_median"], rows, color=_COLOR, s=20, zorder=2)
    ax.set_xlim(0, max(float(types["open_peaks_q75"].max()) * 1.1, 1))
    ax.locator_params(axis="x", nbins=4)
    ax.set_xlabel("quartiles")
    ax.spines[["top", "right"]].set_visible(False)
