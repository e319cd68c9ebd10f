"""How unlike the reference cells are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._anndata import read
from .._checks import checked
from .._keys import UNASSIGNED
from ..get import annotation, query_cells
from . import _legend
from ._both_domains import known_labels
from ._colors import chosen_colors, colors_in_objects, label_colors
from ._figure import area_of, grow, hand_over, new_axes, require_axes, require_save, settle, small_ticks
from ._map_panels import MANY

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData
    from numpy.typing import NDArray

_KINDS = {"known": "#2266aa", "novel": "#cc5511"}
"""Of true types: whether the reference has them."""
_WIDTH, _ROW = 3.6, 0.34
"""Of the axes and of a row, in inches."""
_SPREAD = 0.38
"""Share of a row, to each side, that the cells of the most crowded novelty take up."""
_N_BINS = 25


@checked
def novelty(
    adata: AnnData | MuData,
    *,
    key: str = "scllmda",
    truth: str | None = None,
    ax: Axes | None = None,
    palette: Mapping[str, Any] | Sequence[Any] | str | None = None,
    size: float | None = None,
    title: str | None = None,
    save: str | PathLike[str] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
    mod: str = "atac",
) -> Figure | list[Axes] | None:
    """Plot how unlike the reference the query's cells are: a row per label, a point per cell, what was rejected beside.

    Novelty is the share of the reference's own cells that are less remote: cells of types that it has are spread from 0
    to 1, others gather at 1. A dashed line shows above which novelty cells were rejected, if any were to be. The more
    cells are about as novel, the further apart they lie within their row. The share that is "Unassigned" in the end
    stands to the right of each row.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.annotate` or :func:`scllmda.tl.graph_da_annotate` wrote to.
    key
        Its ``key_added``. Left out are reference cells, and cells without any open peak.
    truth
        Column of ``.obs`` with known labels of query cells. Rows are these then instead of the raw labels, in one color
        for those that the reference has (known) and one for others (novel). Cells without one are left out.
    ax
        Axes to draw into. A figure with ``layout="constrained"`` makes room for the legend.
    palette
        Colors by label, or by ``"known"`` and ``"novel"`` if there is ``truth``; a list of colors in the order of
        ``.uns[key]["classes"]``, or of these two; or the name of a matplotlib colormap. None: as
        :func:`scllmda.pl.transfer_umap`.
    size
        Area of a point, in points squared. None: by the number of cells.
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
        No query cell is left, the palette is not one, or no figure can be written under this name.

    See Also
    --------
    scllmda.tl.annotate : Writes the novelty, and rejects by it.
    scllmda.pl.transfer_umap : Novelty in a map.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> figure = sl.pl.novelty(query, return_fig=True)
    """
    given = require_axes(ax, None, ["novelty"])
    path = require_save(save)
    atac = read(adata, mod=mod)
    cells, rows = _cells(adata, atac, key, truth)
    classes = [str(label) for label in atac.uns[key]["classes"]]
    if truth is None:
        colors = label_colors(classes, (), palette, colors_in_objects(adata, atac, key))
        legend = {}
    else:
        legend = _KINDS | chosen_colors(list(_KINDS), palette)
        # Labels of several levels may be coarser than classes.
        known = {*classes, *annotation(atac, key)["label"].astype(str)} - {UNASSIGNED}
        colors = {row: legend["known" if row in known else "novel"] for row in rows}

    inches = (_WIDTH, _ROW * max(3, len(rows)))
    place = new_axes(*inches, rows) if given is None else given[0]
    shares = []
    for i, row in enumerate(rows):
        of_row = cells[cells["row"] == row]
        shares.append(float((of_row["label"] == UNASSIGNED).mean()))
        _draw_row(place, i, of_row["novelty"].to_numpy(), colors[row], size, n_cells=len(cells))
    names = {name: color for name, color in legend.items() if color in set(colors.values())}
    _finish(place, cells, rows, shares, names, atac.uns[key]["history"].get("novelty_threshold"))
    place.set(title=title or "", ylabel="raw label (cells)" if truth is None else f"{truth} (cells)")
    if given is None:
        grow(place, *inches)
    return hand_over([place], is_own=given is None, save=path, show=show, return_fig=return_fig)


def _cells(data: AnnData | MuData, adata: AnnData, key: str, truth: str | None) -> tuple[pd.DataFrame, list[str]]:
    """Return the query's cells that have an open peak and a row, and the rows: classes first, in their order."""
    table = annotation(adata, key)
    query = query_cells(data, adata, key)
    shown = query & (table["score"] > 0).to_numpy()
    row = table["raw"].astype(str) if truth is None else known_labels(data, adata, key, truth)
    cells = pd.DataFrame(
        {
            "row": row.to_numpy(dtype=object),
            "label": table["label"].astype(str).to_numpy(),
            "novelty": table["novelty"].to_numpy(),
        }
    )[shown].dropna(subset="row")
    if cells.empty:
        has = "" if truth is None else f" a label in .obs[{truth!r}] and"
        advice = "Annotate such cells" if truth is None else "Pass truth= a column with known labels of query cells"
        msg = f"None of the {query.sum()} query cells has{has} an open peak; expected some. {advice}."
        raise ValueError(msg)
    found = set(cells["row"])
    classes = [str(label) for label in adata.uns[key]["classes"]]
    return cells, [label for label in classes if label in found] + sorted(found - set(classes))


def _draw_row(ax: Axes, i: int, values: NDArray[np.floating], color: str, size: float | None, *, n_cells: int) -> None:
    """Draw the cells of a row, and their median as a bar in the color of text."""
    import matplotlib as mpl

    counts, edges = np.histogram(values, _N_BINS, (0, 1))
    crowd = counts[np.clip(np.digitize(values, edges) - 1, 0, _N_BINS - 1)] / counts.max()
    apart = np.random.default_rng(0).uniform(-1, 1, len(values)) * crowd * _SPREAD
    s = float(np.clip(area_of(ax) * 600 / n_cells, 1.5, 14)) if size is None else size
    ax.scatter(values, i + apart, s=s, color=color, linewidths=0, rasterized=n_cells >= MANY)
    # Behind the cells, and a little higher than where they are densest.
    ax.plot([np.median(values)] * 2, [i - 0.45, i + 0.45], color=mpl.rcParams["text.color"], linewidth=1.5, zorder=0.9)


def _finish(
    ax: Axes,
    cells: pd.DataFrame,
    rows: Sequence[str],
    shares: Sequence[float],
    names: Mapping[str, str],
    threshold: float | None,
) -> None:
    """Add names, shares, the threshold and a legend."""
    import matplotlib as mpl
    from matplotlib.lines import Line2D

    ink = mpl.rcParams["text.color"]
    n_cells = cells["row"].value_counts()
    ax.set(xlim=(-0.02, 1.02), ylim=(len(rows) - 0.5, -0.5), xlabel=f"novelty ({len(cells):,} cells)")
    ax.set_yticks(range(len(rows)), [f"{row} ({n_cells[row]:,})" for row in rows])
    right = ax.secondary_yaxis("right")
    right.set_yticks(range(len(rows)), [f"{share:.0%}" for share in shares])
    right.set_ylabel("unassigned")
    right.tick_params(length=0)
    room = settle(ax)[1] / len(rows)
    small_ticks(ax, y=room)
    right.tick_params(labelsize=ax.get_yticklabels()[0].get_fontsize())
    entries = _legend.dots(names)
    entries.append(Line2D([], [], color=ink, linewidth=1.5, linestyle="none", marker="|", markersize=9, label="median"))
    if threshold is None:
        entries.append(Line2D([], [], linestyle="none", label="nothing was rejected"))
    else:
        ax.axvline(threshold, color=ink, linestyle="--", linewidth=1)
        text = f"rejected above {threshold:.3g}" if threshold < 1 else "none is above 1: nothing was rejected"
        entries.append(Line2D([], [], color=ink, linestyle="--", linewidth=1, label=text))
    _legend.below(ax, entries, has_label=True)
