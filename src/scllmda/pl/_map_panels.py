"""Panels of cells on a map: one scatter, cells that a panel is not about behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ._colors import faint
from ._figure import area_of, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.colors import Colormap
    from numpy.typing import NDArray

MANY = 5_000
"""Cells from which on points become pixels in files of lines, such as PDF."""
_INK = 3_570
"""Area of all points together, in points squared per square inch of a panel."""
_SIZES = (0.18, 2.4)
"""Smallest and largest area of a point, in points squared per square inch."""


def point_size(ax: Axes, n_cells: int) -> float:
    """Return the area of a point that suits the panel and the number of cells, in points squared."""
    return float(area_of(ax) * np.clip(_INK / max(1, n_cells), *_SIZES))


def draw_labels(
    ax: Axes, at: NDArray[np.floating], labels: pd.Series, colors: Mapping[str, str], size: float | None
) -> None:
    """Draw each cell in the color of its label; cells without one are faint."""
    from matplotlib.colors import to_rgba_array

    has = labels.notna().to_numpy()
    codes, names = pd.factorize(labels[has])
    _scatter(ax, at, has, size, color=to_rgba_array([colors[name] for name in names])[codes])


def draw_shares(
    ax: Axes, at: NDArray[np.floating], shares: pd.Series, size: float | None, mark: float | None = None
) -> None:
    """Draw each cell in the color of a share from 0 to 1, with a scale beside the panel that has a mark."""
    import matplotlib as mpl

    has = shares.notna().to_numpy()
    points = _scatter(ax, at, has, size, c=shares[has], cmap=shades(), vmin=0, vmax=1)
    bar = figure_of(ax).colorbar(points, ax=ax, shrink=0.7, aspect=18, pad=0.02)
    bar.outline.set_visible(False)
    if mark is not None:
        ink = mpl.rcParams["text.color"]
        bar.ax.axhline(mark, color=ink, linewidth=1.5)
        bar.ax.set_ylabel(f"rejected above {mark:.2g}" if mark < 1 else "none rejected", fontsize="small")


def shades() -> Colormap:
    """Return the colors of shares, without those that vanish on white or on black."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    return ListedColormap(mpl.colormaps["viridis"](np.linspace(0.12, 0.9, 256)))


def bare(ax: Axes, title: str) -> None:
    """Leave nothing of the axes of a map but its title."""
    ax.set(xticks=[], yticks=[], title=title)
    ax.spines[:].set_visible(False)


def _scatter(
    ax: Axes, at: NDArray[np.floating], has: NDArray[np.bool_], size: float | None, **look: Any
) -> PathCollection:
    common: dict[str, Any] = {
        "s": point_size(ax, len(at)) if size is None else size,
        "linewidths": 0,
        "rasterized": len(at) >= MANY,
    }
    if not has.all():
        ax.scatter(at[~has, 0], at[~has, 1], color=faint(ax), **common)
    return ax.scatter(at[has, 0], at[has, 1], **common, **look)
