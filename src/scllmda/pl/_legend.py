"""Legends that hold every category, beside what they explain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._figure import figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D

_LOOK: dict[str, Any] = {
    "frameon": False,
    "fontsize": "small",
    "labelspacing": 0.35,
    "handletextpad": 0.2,
    "columnspacing": 1.0,
    "borderaxespad": 0.3,
}
_SIZES = ("small", "x-small", "xx-small")
_LINE = 1.45
"""Height of an entry, in sizes of its font."""


def dots(colors: Mapping[str, str]) -> list[Line2D]:
    """Return an entry per name, a dot of its color."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], linestyle="none", marker="o", markersize=6, markeredgewidth=0, color=color, label=name)
        for name, color in colors.items()
    ]


def beside(ax: Axes, entries: Sequence[Line2D]) -> Legend:
    """Put a legend to the right of axes, in small letters if it fits in one column then, else in several."""
    height = ax.get_window_extent().height / figure_of(ax).dpi
    size = next((s for s in _SIZES if n_columns(len(entries), height, s) == 1), _SIZES[-1])
    columns = n_columns(len(entries), height, size)
    return ax.legend(
        handles=entries, loc="upper left", bbox_to_anchor=(1, 1), ncols=columns, **_LOOK | {"fontsize": size}
    )


def below(ax: Axes, entries: Sequence[Line2D], *, has_label: bool = False) -> Legend:
    """Put a legend of a few entries below axes, under the label of the horizontal one if it has one."""
    import matplotlib as mpl
    from matplotlib.transforms import ScaledTranslation

    gap = 0.0
    if has_label:
        gap = points(mpl.rcParams["xtick.labelsize"]) + 1.5 * points(mpl.rcParams["axes.labelsize"]) + 12
    lower = ax.transAxes + ScaledTranslation(0, -gap / 72, figure_of(ax).dpi_scale_trans)
    look = _LOOK | {"handletextpad": 0.5 if has_label else _LOOK["handletextpad"]}
    return ax.legend(
        handles=entries, loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=lower, ncols=2, **look
    )


def sizes(ax: Axes, diameters: Mapping[str, float], title: str) -> Legend:
    """Put a legend of the sizes of dots, in points, below axes that hold a scale."""
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], linestyle="none", marker="o", markersize=size, markeredgewidth=0, color="#808080", label=name)
        for name, size in diameters.items()
    ]
    # In sizes of the letters; large dots do not make room for themselves.
    largest = max(diameters.values()) / points("small")
    room = {"handlelength": max(1, largest), "handletextpad": 0.5, "labelspacing": max(0.35, 1.1 * largest - 1)}
    return ax.legend(
        handles=entries,
        loc="upper left",
        bbox_to_anchor=(0, -0.08),
        title=title,
        title_fontsize="small",
        alignment="left",
        **_LOOK | room,
    )


def around(figure: Figure, entries: Sequence[Line2D], spare: Axes | None) -> None:
    """Put a legend into spare axes of a figure if it fits, else to the right of all panels of a wider figure."""
    width, height = figure.get_size_inches()
    if spare is not None:
        spare.set_axis_off()
        box = spare.get_window_extent()
        columns = n_columns(len(entries), box.height / figure.dpi)
        if _width(figure, entries, columns) <= box.width / figure.dpi:
            spare.legend(handles=entries, loc="upper left", ncols=columns, **_LOOK)
            return
        spare.remove()
    columns = n_columns(len(entries), height)
    figure.set_size_inches(width + _width(figure, entries, columns), height)
    figure.legend(handles=entries, loc="outside right upper", ncols=columns, **_LOOK)


def n_columns(n: int, height: float, size: str = "small") -> int:
    """Return how many columns of a legend hold ``n`` entries in a height, in inches."""
    rows = max(1, int(72 * height / (_LINE * points(size))) - 1)
    return max(1, math.ceil(n / rows))


def points(size: str | float) -> float:
    """Return a size of letters in points; matplotlib has words for some, such as "small"."""
    from matplotlib.font_manager import FontProperties

    return float(FontProperties(size=size).get_size_in_points())


def _width(figure: Figure, entries: Sequence[Line2D], columns: int) -> float:
    """Return how wide a legend is, in inches."""
    legend = figure.legend(handles=entries, ncols=columns, **_LOOK)
    figure.draw_without_rendering()
    width = float(legend.get_window_extent().width / figure.dpi)
    legend.remove()
    return width
