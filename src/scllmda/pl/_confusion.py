"""Predicted against known labels."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._anndata import obs_column, read
from .._checks import checked
from .._label_text import as_text, has_label
from ..get import annotation, query_cells
from ._colors import is_dark_color, require_shades, shades
from ._figure import figure_of, grow, hand_over, new_axes, require_axes, require_save, settle, small_ticks

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

_SMALLEST = 4
"""Size of digits that can be read, in points."""


@checked
def confusion(
    adata: AnnData | MuData,
    *,
    truth: str,
    key: str = "scllmda",
    ax: Axes | None = None,
    palette: Sequence[Any] | str | None = None,
    size: float | None = None,
    title: str | None = None,
    save: str | PathLike[str] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
    mod: str = "atac",
) -> Figure | list[Axes] | None:
    """Plot predicted against known labels, as shares of each known label's cells.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.annotate` or :func:`scllmda.tl.graph_da_annotate` wrote to.
    truth
        Column of ``.obs`` with known labels of query cells. Left out are reference cells, and cells whose known label
        is missing or the annotation's ``unlabeled``.
    key
        ``key_added`` of the annotation.
    ax
        Axes to draw into. Room for the scale is taken from them; a figure with ``layout="constrained"`` makes room for
        the labels.
    palette
        Name of a matplotlib colormap, or a list of colors from none to all. None: from the background to blue.
    size
        Size of the shares' digits, in points. None: 8, or what fits; they are left out where that cannot be read.
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
        There is no such annotation, or no column ``truth``.
    ValueError
        No cell has a known label, the palette is not a scale, or no figure can be written under this name.

    See Also
    --------
    scllmda.pl.label_flow : The same as flows, or against clusters.
    scllmda.metrics.annotation_report : The same in numbers.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> figure = sl.pl.confusion(query, truth="cell_type", return_fig=True)
    """
    given = require_axes(ax, None, ["confusion"])
    path = require_save(save)
    require_shades(palette)
    atac = read(adata, mod=mod)
    predicted = annotation(atac, key)["label"].astype(str)
    # By position: barcodes may repeat.
    known = as_text(obs_column(adata, atac, truth, parameter="truth"))
    shown = query_cells(adata, atac, key) & has_label(known, atac.uns[key]["params"]["unlabeled"])
    if not shown.any():
        msg = f"No cell has a label in .obs[{truth!r}]; expected known labels to compare with."
        raise ValueError(msg)
    table = pd.crosstab(known.to_numpy()[shown], predicted.to_numpy()[shown])
    rows = list(table.index)
    columns = [c for c in rows if c in table.columns] + [c for c in table.columns if c not in rows]
    counts = table[columns].to_numpy()
    share = counts / counts.sum(axis=1, keepdims=True)

    # The scale is named beside it.
    inches = (0.5 * len(columns), max(2.4, 0.42 * len(rows)))
    place = new_axes(*inches, [*rows, *columns]) if given is None else given[0]
    image = place.imshow(share, cmap=shades(palette, place, "#3182bd"), vmin=0, vmax=1, aspect="auto")
    place.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor")
    place.set_yticks(range(len(rows)), [f"{r} ({n:,})" for r, n in zip(rows, counts.sum(axis=1), strict=True)])
    place.set(xlabel="predicted", ylabel=f"{truth} (cells)", title=title or "")
    bar = figure_of(place).colorbar(
        image, ax=place, label="share of the known label", shrink=0.8, aspect=max(15, len(rows))
    )
    bar.outline.set_visible(False)
    if given is None:
        grow(place, *inches)
    width, height = settle(place)
    per_column, per_row = width / len(columns), height / len(rows)
    small_ticks(place, x=per_column, y=per_row)
    # A share has four characters.
    fontsize = min(8, 0.7 * per_row, per_column / 2.5) if size is None else size
    is_read = size is not None or fontsize >= _SMALLEST
    for i, j in np.argwhere((share >= 0.005) & is_read):
        ink = "white" if is_dark_color(image.cmap(image.norm(share[i, j]))) else "black"
        place.text(j, i, f"{share[i, j]:.2f}", ha="center", va="center", fontsize=fontsize, color=ink)
    return hand_over([place], is_own=given is None, save=path, show=show, return_fig=return_fig)
