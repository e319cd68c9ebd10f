"""Which known labels, or clusters, became which predicted labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._anndata import read
from .._checks import checked
from .._keys import UNASSIGNED
from ..get import annotation, query_cells
from ._both_domains import known_labels
from ._colors import colors_in_objects, is_dark, label_colors
from ._figure import grow, hand_over, new_axes, require_axes, require_save, settle, small_ticks

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData
    from numpy.typing import NDArray

_WIDTH, _CELLS, _GAP = 3.6, 3.0, 0.2
"""Of the axes, of all cells on top of one another, and between two labels, in inches."""
_BAR = 0.035
"""Width of a label's bar, as a share of the axes."""
_NO_COLOR = "#8c8c8c"
"""Of clusters."""


@checked
def label_flow(
    adata: AnnData | MuData,
    *,
    truth: str,
    key: str = "scllmda",
    ax: Axes | None = None,
    palette: Mapping[str, Any] | Sequence[Any] | str | None = None,
    size: float | None = None,
    title: str | None = None,
    save: str | PathLike[str] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
    mod: str = "atac",
) -> Figure | list[Axes] | None:
    """Plot how cells flow from known labels, or clusters, to predicted labels: an alluvial diagram.

    Heights are numbers of cells. Each band has the color of the predicted label that it leads to. Classes of the
    reference are in the same order on both sides, other labels and clusters stand where their cells go.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.annotate` or :func:`scllmda.tl.graph_da_annotate` wrote to.
    truth
        Column of ``.obs`` to compare with: known labels of query cells, or a clustering of them such as ``"leiden"``.
        Left out are reference cells, and cells whose value is missing or the annotation's ``unlabeled``.
    key
        ``key_added`` of the annotation.
    ax
        Axes to draw into; a figure with ``layout="constrained"`` makes room for the names.
    palette
        Colors by label, a list of colors in the order of ``.uns[key]["classes"]``, or the name of a matplotlib
        colormap. None: as :func:`scllmda.pl.transfer_umap`; clusters without colors in the object are gray.
    size
        Size of the names, in points. None: that of ticks, or what fits.
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
    The figure if ``return_fig``; None if it was shown; else the list of the panel's axes.

    Raises
    ------
    KeyError
        There is no such annotation, or no column ``truth``.
    ValueError
        No query cell has a value there, the palette is not one, or no figure can be written under this name.

    See Also
    --------
    scllmda.pl.confusion : The same as a table of shares.
    scllmda.pl.class_proportions : Shares of labels alone.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> figure = sl.pl.label_flow(query, truth="cell_type", return_fig=True)
    """
    given = require_axes(ax, None, ["label flow"])
    path = require_save(save)
    atac = read(adata, mod=mod)
    counts = _counts(adata, atac, key, truth)
    colors = _colors(adata, atac, key, truth, counts, palette)

    gap = _GAP / _CELLS * counts.to_numpy().sum()
    sides = [_Side(counts.sum(axis=axis), gap) for axis in (1, 0)]
    height = max(side.height for side in sides)
    inches = (_WIDTH, _CELLS * height / counts.to_numpy().sum())
    names = [f"{label}{label} (0,000)" for label in [*counts.index, *counts.columns]]
    place = new_axes(*inches, names) if given is None else given[0]
    for side, x in zip(sides, (0, 1 - _BAR), strict=True):
        side.start += (height - side.height) / 2
        side.draw(place, x, colors)
    _draw_bands(place, counts, sides, colors)
    place.set(xlim=(0, 1), ylim=(height, 0), xticks=[], title=title or "")
    place.spines[:].set_visible(False)
    place.grid(visible=False)
    right = place.secondary_yaxis("right")
    right.spines[:].set_visible(False)
    for axis, side, name in ((place, sides[0], truth), (right, sides[1], "predicted")):
        axis.set_yticks(side.middles, [f"{label} ({n:,})" for label, n in side.cells.items()])
        axis.set_ylabel(f"{name} (cells)")
        axis.tick_params(axis="y", length=0)
    if given is None:
        grow(place, *inches)
    small_ticks(place, y=settle(place)[1] * gap / height)
    for axis in (place, right):
        axis.tick_params(axis="y", labelsize=place.get_yticklabels()[0].get_fontsize() if size is None else size)
    return hand_over([place], is_own=given is None, save=path, show=show, return_fig=return_fig)


def _counts(data: AnnData | MuData, adata: AnnData, key: str, truth: str) -> pd.DataFrame:
    """Return numbers of query cells: known labels in the order of the left side × predicted in that of the right."""
    predicted = annotation(adata, key)["label"].astype(str).to_numpy()
    known = known_labels(data, adata, key, truth)
    shown = query_cells(data, adata, key) & known.notna().to_numpy()
    if not shown.any():
        msg = f"No query cell has a label in .obs[{truth!r}]; expected some. Pass truth= a column that has."
        raise ValueError(msg)
    table = pd.crosstab(known.to_numpy()[shown], predicted[shown])
    classes = [str(label) for label in adata.uns[key]["classes"]]
    others = sorted(set(table.columns) - {*classes, UNASSIGNED})
    rank = {label: i for i, label in enumerate(dict.fromkeys([*classes, *others, UNASSIGNED]))}
    table = table[sorted(table.columns, key=rank.__getitem__)]
    means = table.to_numpy() @ [rank[label] for label in table.columns] / table.sum(axis=1).to_numpy()
    place = [rank.get(label, mean) for label, mean in zip(table.index, means, strict=True)]
    return table.iloc[np.argsort(place, kind="stable")]


def _colors(
    data: AnnData | MuData, adata: AnnData, key: str, truth: str, counts: pd.DataFrame, palette: Any
) -> dict[str, str]:
    """Return a color per label of either side; clusters need none."""
    classes = [str(label) for label in adata.uns[key]["classes"]]
    written = colors_in_objects(data, adata, key, truth=truth)
    others = [label for label in counts.columns if label not in (*classes, UNASSIGNED)]
    known = [label for label in counts.index if label not in (*classes, *others, UNASSIGNED)]
    if len(known) == len(counts):
        named = palette if isinstance(palette, Mapping) else {}
        known = [label for label in known if label in written or label in named]
    colors = label_colors(classes, [*others, *sorted(known)], palette, written)
    return dict.fromkeys(counts.index, _NO_COLOR) | colors


@dataclass
class _Side:
    """Labels on top of one another, with gaps."""

    cells: pd.Series
    """Numbers by label, from the top."""
    gap: float
    start: float = 0
    """Of the first one."""

    @property
    def height(self) -> float:
        return float(self.cells.sum() + self.gap * (len(self.cells) - 1))

    @property
    def tops(self) -> NDArray[np.floating]:
        """Where each begins."""
        before = self.cells.cumsum().to_numpy() - self.cells.to_numpy()
        return self.start + before + self.gap * np.arange(len(self.cells))

    @property
    def middles(self) -> NDArray[np.floating]:
        return self.tops + self.cells.to_numpy() / 2

    def draw(self, ax: Axes, x: float, colors: Mapping[str, str]) -> None:
        """Draw a bar per label."""
        from matplotlib.patches import Rectangle

        for (label, n), top in zip(self.cells.items(), self.tops, strict=True):
            ax.add_patch(Rectangle((x, top), _BAR, n, facecolor=colors[str(label)], linewidth=0))


def _draw_bands(ax: Axes, counts: pd.DataFrame, sides: Sequence[_Side], colors: Mapping[str, str]) -> None:
    """Draw a band for each pair of labels that cells have, in both stacks in the order of the other side."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    n, alpha = counts.to_numpy(), 0.7 if is_dark(ax) else 0.5
    left = sides[0].tops[:, None] + n.cumsum(axis=1) - n
    right = sides[1].tops + n.cumsum(axis=0) - n
    kinds = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    for i, j in np.argwhere(n > 0):
        here, there, cells = left[i, j], right[i, j], n[i, j]
        over = [(_BAR, here), (0.5, here), (0.5, there), (1 - _BAR, there)]
        under = [(x, y + cells) for (x, _), y in zip(reversed(over), (there, there, here, here), strict=True)]
        band = Path([*over, *under, over[0]], kinds)
        ax.add_patch(PathPatch(band, facecolor=colors[counts.columns[j]], alpha=alpha, linewidth=0))
