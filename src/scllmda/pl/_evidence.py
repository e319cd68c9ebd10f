"""Which peaks spoke for a label, and which against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import get
from .._anndata import read
from .._checks import checked
from . import _legend
from ._colors import colors_in_objects, label_colors
from ._figure import grow, hand_over, new_axes, require_axes, require_save, settle, small_ticks

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData
    from numpy.typing import NDArray

_WIDTH, _ROW = 3.2, 0.2
"""Of the axes and of a row, in inches."""
_PALE = 0.4
"""Opacity of the bars of peaks that spoke by being closed."""
_LEAST = 0.05
"""Terms that are smaller are not named: they would be 0.0."""


@checked
def evidence(
    adata: AnnData | MuData,
    cells: str | Sequence[str] | NDArray[np.bool_] | pd.Series,
    *,
    label: str | None = None,
    against: str | None = None,
    n_peaks: int = 20,
    genes: str | PathLike[str] | pd.DataFrame | None = None,
    key: str = "scllmda",
    ax: Axes | None = None,
    palette: Mapping[str, Any] | Sequence[Any] | str | None = None,
    title: str | None = None,
    save: str | PathLike[str] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
    mod: str = "atac",
) -> Figure | list[Axes] | None:
    """Plot which peaks spoke for a label of cells, and which against it: a bar per peak, and what the others add.

    Bars to the right are contributions to the label, to the left to the class that it is compared with, each in the
    color of the class, and pale where the peak spoke by being closed more often than expected; the share of the cells
    in which it is open stands to the right of each row. Below the axis is what all terms add up to.
    :func:`scllmda.get.evidence` returns all numbers, and says what they are.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.annotate` wrote to, with its counts.
    cells, label, against
        Whose label, which label and against which one, as in :func:`scllmda.get.evidence`.
    n_peaks
        Peaks that are drawn, those that contributed most either way.
    genes
        Genes of the peaks' genome build; rows are then named after the gene that starts nearest, and how far it is from
        there to the peak's center (below 0 upstream).
    key
        ``key_added`` of the annotation.
    ax
        Axes to draw into. A figure with ``layout="constrained"`` makes room for the legend.
    palette
        Colors by label; a list of colors in the order of ``.uns[key]["classes"]``; or the name of a matplotlib
        colormap. None: as :func:`scllmda.pl.transfer_umap`.
    title
        Title of the panel; None: which label is compared with which, and of how many cells.
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
    KeyError, ValueError, FileNotFoundError
        As :func:`scllmda.get.evidence`; or the palette is not one, or no figure can be written under this name.

    See Also
    --------
    scllmda.get.evidence : The numbers.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> figure = sl.pl.evidence(query, "B", return_fig=True)
    """
    given = require_axes(ax, None, ["evidence"])
    path = require_save(save)
    table = get.evidence(adata, cells, label=label, against=against, n_peaks=n_peaks, genes=genes, key=key, mod=mod)
    atac = read(adata, mod=mod)
    classes = [str(name) for name in atac.uns[key]["classes"]]
    colors = label_colors(classes, (), palette, colors_in_objects(adata, atac, key))

    peaks = table[table["open"].notna()].sort_values("contribution", ascending=False, kind="stable")
    names, sides = _names(peaks), [table.attrs["label"], table.attrs["against"]]
    inches = (_WIDTH, _ROW * max(4, len(names)))
    place = new_axes(*inches, names) if given is None else given[0]
    side = np.where(peaks["contribution"] > 0, *sides)
    bars = place.barh(range(len(peaks)), peaks["contribution"], height=0.75, color=[colors[name] for name in side])
    is_closed = peaks["open"] <= peaks["expected"]
    for bar in np.array(bars.patches, dtype=object)[is_closed]:
        bar.set_alpha(_PALE)
    legend = {f"for {name}": colors[name] for name in sides if name in side}
    _finish(place, names, peaks["open"], table, legend, with_pale=bool(is_closed.any()))
    n_cells = table.attrs["n_cells"]
    of_cells = "1 cell" if n_cells == 1 else f"{n_cells:,} cells"
    place.set_title(f"{' or '.join(sides)}? ({of_cells})" if title is None else title)
    if given is None:
        grow(place, *inches)
    return hand_over([place], is_own=given is None, save=path, show=show, return_fig=return_fig)


def _names(peaks: pd.DataFrame) -> list[str]:
    """Return the names of the rows: the nearest gene and how far it is, where that is known, else the peak."""
    if "gene" not in peaks:
        return list(peaks.index)
    rows = zip(peaks.index, peaks["gene"], peaks["distance"], strict=True)
    return [peak if pd.isna(gene) else f"{gene} ({_signed(far / 1000)} kb)" for peak, gene, far in rows]


def _signed(value: float) -> str:
    return f"{value:+,.1f}".replace("-", "\N{MINUS SIGN}")


def _finish(
    ax: Axes,
    names: Sequence[str],
    is_open: pd.Series,
    table: pd.DataFrame,
    legend: Mapping[str, str],
    *,
    with_pale: bool,
) -> None:
    """Add names, shares, what the terms add up to, and a legend."""
    import matplotlib as mpl
    from matplotlib.patches import Patch

    rest = table.loc[table["open"].isna(), "contribution"]
    shown = table["contribution"].sum() - rest.sum()
    terms = {f"these {len(names)} peaks": shown, **{name.strip("()"): value for name, value in rest.items()}}
    words = [f"{name} {_signed(value)}" for name, value in terms.items() if abs(value) >= _LEAST]
    lines = [", ".join(words[i : i + 3]) for i in range(0, len(words), 3)]
    ax.set_xlabel("\n".join(["contribution to log odds", *lines, f"log odds {_signed(table.attrs['log_odds'])}"]))
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.axvline(0, color=mpl.rcParams["axes.edgecolor"], linewidth=0.8)
    ax.set_yticks(range(len(names)), names)
    right = ax.secondary_yaxis("right")
    right.set_yticks(range(len(names)), [f"{share:.0%}" for share in is_open])
    right.set_ylabel("cells in which it is open")
    right.tick_params(length=0)
    small_ticks(ax, y=settle(ax)[1] / len(names))
    right.tick_params(labelsize=ax.get_yticklabels()[0].get_fontsize())
    entries: list[Any] = _legend.dots(legend)
    if with_pale:
        entries.append(Patch(color=mpl.rcParams["text.color"], alpha=_PALE, linewidth=0, label="by being closed"))
    ax.legend(handles=entries, loc="best", frameon=False, fontsize="small")
