"""The first marker peaks of each label, in all labels."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from .._anndata import read
from .._checks import checked
from .._keys import MarkerKeys
from ..get import marker_peaks as marker_table
from . import _legend
from ._colors import background, is_dark, mixed, require_shades, shades
from ._figure import figure_of, grow, hand_over, new_axes, require_axes, require_save, settle, small_ticks

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import PathCollection
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from mudata import MuData
    from numpy.typing import NDArray

_ROOM = 0.26
"""Width and height of a peak in a label, in inches."""
_MOST = 0.92
"""Diameter of the largest dot, as a share of the room of each."""
_LEAST = 2.2
"""Height of axes of dots with their scale and legend one below the other, in inches."""
_WHOLES = (0.02, 0.04, 0.08, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Shares of open cells that the largest dot may stand for."""


@checked
def marker_peaks(
    adata: AnnData | MuData,
    key: str = "scllmda_marker_peaks",
    *,
    kind: Literal["dots", "heatmap"] = "dots",
    values: Literal["log2fc", "openness"] = "log2fc",
    group: str | Sequence[str] | None = None,
    n_peaks: int = 3,
    fdr: float = 0.05,
    min_log2fc: float = 0,
    swap_axes: bool = False,
    ax: Axes | None = None,
    palette: Sequence[Any] | str | None = None,
    title: str | None = None,
    save: str | PathLike[str] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
    mod: str = "atac",
) -> Figure | list[Axes] | None:
    """Plot the first marker peaks of each label in all labels, as dots or as a heat map.

    As in scanpy's dot plots, the size of a dot is the share of a label's cells that the peak is open in. A peak that is
    among the first of several labels is drawn once, with the first of them.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.marker_peaks` wrote to.
    key
        Its ``key_added``: ``f"{groupby}_marker_peaks"`` by default.
    kind
        ``"dots"``, or ``"heatmap"`` for colors alone.
    values
        What colors are: ``"log2fc"``, the log2 fold change against other cells at the depth of the label, or
        ``"openness"``, the share of open cells relative to the label with the largest one (scanpy's
        ``standard_scale="var"``), which differs with depth.
    group
        Label, or labels in the order in which they are to come, whose first peaks are drawn, in all labels. None: of
        all.
    n_peaks
        Number of peaks per label.
    fdr, min_log2fc
        Which peaks are markers, as :func:`scllmda.get.marker_peaks` has them.
    swap_axes
        Draw peaks as rows, and labels as columns.
    ax
        Axes to draw into. Room for the scale is taken from them; a figure with ``layout="constrained"`` makes room for
        names.
    palette
        Name of a matplotlib colormap, or a list of colors from low to high. None: from blue over the background to red
        for fold changes, and from the background to red for openness.
    title
        Title of the panel; None: no title.
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
    The figure if ``return_fig``; None if it was shown; else the list of the panel's axes, without those of its scale.

    Raises
    ------
    KeyError
        There are no marker peaks under this key.
    ValueError
        No such label, no peak is a marker of one, the palette is not a scale, or no figure can be written under this
        name.

    See Also
    --------
    scllmda.get.marker_peaks : The same in numbers, for all peaks.

    Examples
    --------
    >>> import scllmda as sl
    >>> adata, _ = sl.datasets.simulate()
    >>> sl.tl.marker_peaks(adata, "cell_type")
    >>> figure = sl.pl.marker_peaks(adata, "cell_type_marker_peaks", return_fig=True)
    """
    given = require_axes(ax, None, ["marker peaks"])
    path = require_save(save)
    require_shades(palette)
    atac = read(adata, mod=mod)
    table = marker_table(atac, key, group=group, fdr=fdr, min_log2fc=min_log2fc, n_peaks=n_peaks)
    if table.empty:
        msg = (
            f"Found no peak that is a marker of a label ({key!r}, fdr={fdr}, min_log2fc={min_log2fc}); expected some. "
            "Pass a larger fdr=, fdr=1 for the first peaks whatever they are."
        )
        raise ValueError(msg)
    table = table.drop_duplicates("peak")
    peaks = _peak_names(table)
    groups = list(map(str, atac.uns[key]["groups"]))
    fraction, color = _values(atac, key, table["peak"], values)

    names = [groups, peaks]
    if swap_axes:
        fraction, color, names = fraction.T, color.T, names[::-1]
    rows, columns = names
    inches = (_ROOM * len(columns), max(_LEAST if kind == "dots" else 0, _ROOM * len(rows)))
    place = new_axes(*inches, [*rows, *columns]) if given is None else given[0]
    scale = _scale(place, palette, values)
    limits = _limits(color, values)
    label = "log2 fold change" if values == "log2fc" else "openness, of the largest"
    _name(place, rows, columns, title)
    if kind == "dots":
        dots = place.scatter(*np.meshgrid(range(len(columns)), range(len(rows))), c=color, cmap=scale, **limits)
        bar = _bar(dots, place, label, shrink=0.5, anchor=(0, 1))
        _size_dots(place, dots, fraction, 72 * _ROOM, bar)
    else:
        image = place.imshow(color, cmap=scale, aspect="auto", **limits)
        bar = _bar(image, place, label, shrink=0.8, aspect=max(15, len(rows)))
    if given is None:
        grow(place, *inches)
    width, height = settle(place)
    small_ticks(place, x=width / len(columns), y=height / len(rows))
    if kind == "dots":
        _size_dots(place, dots, fraction, min(width / len(columns), height / len(rows)), bar)
    return hand_over([place], is_own=given is None, save=path, show=show, return_fig=return_fig)


def _peak_names(table: pd.DataFrame) -> list[str]:
    """Return the name of each peak, after that of its nearest gene if there is one."""
    if "gene" not in table:
        return table["peak"].astype(str).tolist()
    return [
        peak if pd.isna(gene) else f"{gene}  {peak}" for gene, peak in zip(table["gene"], table["peak"], strict=True)
    ]


def _values(
    adata: AnnData, key: str, peaks: pd.Series, values: str
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return (n_groups, n_peaks) shares of open cells, and what colors stand for."""
    slots, rows = MarkerKeys(key).statistics, adata.var_names.get_indexer(peaks)
    fraction, log2fc = (np.asarray(adata.varm[slots[name]])[rows].T for name in ("fraction", "log2fc"))
    if values == "log2fc":
        return fraction, log2fc
    # A peak that is closed everywhere has no largest share.
    return fraction, fraction / np.maximum(fraction.max(axis=0), np.finfo(np.float32).tiny)


def _scale(ax: Axes, palette: Sequence[Any] | str | None, values: str) -> Colormap:
    """Return the colormap of the values: the palette, else one whose middle or lower end is the background."""
    if palette is not None or values == "openness":
        return shades(palette, ax, "#de2d26")
    low, high = ("#4393c3", "#e7604d") if is_dark(ax) else ("#2166ac", "#b2182b")
    return shades([low, background(ax), high], ax, "")


def _limits(color: NDArray[np.floating], values: str) -> dict[str, Any]:
    """Return the ends of the scale; that of fold changes is as wide as the largest one: markers are what it shows."""
    if values == "openness":
        return {"vmin": 0, "vmax": 1}
    most = float(color.max()) if color.max() > 0 else float(np.abs(color).max()) or 1
    return {"vmin": -most, "vmax": most}


def _bar(image: ScalarMappable, ax: Axes, label: str, **where: Any) -> Colorbar:
    """Draw the scale, with a pointed end if there are lower values."""
    lowest, least = np.min(np.asarray(image.get_array())), image.get_clim()[0]
    extend = "min" if least is not None and lowest < least else "neither"
    bar = figure_of(ax).colorbar(image, ax=ax, label=label, pad=0.02, extend=extend, **where)
    bar.outline.set_visible(False)
    return bar


def _name(ax: Axes, rows: Sequence[str], columns: Sequence[str], title: str | None) -> None:
    """Write names along both axes, the first row at the top."""
    ax.set_xticks(range(len(columns)), columns, rotation=90)
    ax.set_yticks(range(len(rows)), rows)
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5), title=title or "")
    ax.grid(visible=False)


def _size_dots(ax: Axes, dots: PathCollection, fraction: NDArray[np.floating], room: float, bar: Colorbar) -> None:
    """Make areas of dots shares of cells, the largest as wide as the room of each, in points; say so below the bar."""
    whole = next(share for share in _WHOLES if share >= fraction.max())
    diameter = _MOST * room
    # The size of a scatter's dot is the square of its diameter.
    dots.set_sizes(diameter**2 * fraction.ravel() / whole)
    dots.set(edgecolor=mixed(background(ax), "white" if is_dark(ax) else "black", 0.35), linewidth=0.3)
    shares = (whole / 4, whole / 2, whole)
    _legend.sizes(
        bar.ax,
        {f"{share:.1%}".replace(".0%", "%"): diameter * (share / whole) ** 0.5 for share in shares},
        "open cells",
    )
