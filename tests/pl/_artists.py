"""What figures show, read back from their artists."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure


def panels(figure: Figure) -> dict[str, Axes]:
    """Return the axes that have a title."""
    return {ax.get_title(): ax for ax in figure.axes if ax.get_title()}


def points(ax: Axes) -> np.ndarray:
    """Return where the points of all scatters lie."""
    return np.vstack([np.asarray(c.get_offsets()) for c in ax.collections])


def colors(ax: Axes) -> list[str]:
    """Return the color of each point of the last scatter, which has what a panel is about."""
    found = [to_hex(color) for color in ax.collections[-1].get_facecolors()]
    n = len(ax.collections[-1].get_offsets())
    return found * n if len(found) == 1 else found


def legend_texts(holder: Any) -> list[str]:
    """Return the entries of all legends of a figure, or of the legend of axes."""
    found = [holder.get_legend()] if isinstance(holder, Axes) else _legends(holder)
    return [text.get_text() for legend in found if legend is not None for text in legend.get_texts()]


def legend_colors(figure: Figure) -> dict[str, str]:
    """Return the color of each entry of all legends."""
    return {
        text.get_text(): to_hex(handle.get_color())
        for legend in _legends(figure)
        for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
    }


def _legends(figure: Figure) -> list[Any]:
    return [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend() is not None)]
