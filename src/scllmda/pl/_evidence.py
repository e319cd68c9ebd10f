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
    color of the class; the share of the cells in which the peak is open stands to the right of each row. Below the axis
    is what all terms add up to. :func:`scllmda.get.evidence` returns all numbers, and says what they are.

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

    of_peaks = table["open"].notna()
    peaks = table[of_peaks].sort_values("contribution", ascending=False, kind="stable")
    names = [
        _name(*row)
        for row in zip(
            peaks.index, peaks.get("gene", [None] * len(peaks)), peaks.get("distance", peaks["open"]), strict=True
        )
    ]
    inches = (_WIDTH, _ROW * max(4, len(names)))
    place = new_axes(*inches, names) if given is None else given[0]
    one, other = table.attrs["label"], table.attrs["against"]
    value = peaks["contribution"].to_numpy()
    place.barh(range(len(value)), value, color=[colors[one if v > 0 else other] for v in value], height=0.75)
    _finish(place, names, peaks["open"].to_numpy(), table, {f"for {one}": colors[one], f"for {other}": colors[other]})
    n_cells = table.attrs["n_cells"]
    place.set_title(
        f"{one} or {other}? ({n_cells:,} {'cell' if n_cells == 1 else 'cells'})" if title is None else title
    )
    if given is None:
        grow(place, *inches)
    return hand_over([place], is_own=given is None, save=path, show=show, return_fig=return_fig)


def _name(peak: str, gene: str | None, distance: Any) -> str:
    """Return the name of a row: the nearest gene and how far it is, or the peak."""
    if gene is None or pd.isna(gene):
        return peak
    return f"{gene} ({distance / 1000:+,.1f} kb)"


def _finish(
    ax: Axes, names: Sequence[str], is_open: NDArray[np.floating], table: pd.DataFrame, legend: Mapping[str, str]
) -> None:
    """Add names, shares, what the terms add up to, and a legend."""
    import matplotlib as mpl

    rest = table.loc[table["open"].isna(), "contribution"].to_dict()
    shown = table["contribution"].sum() - sum(rest.values())
    terms = {f"these {len(names)} peaks": shown} | {name.strip("()"): value for name, value in rest.items()}
    words = [f"{name} {value:+.1f}" for name, value in terms.items() if f"{abs(value):.1f}" != "0.0"]
    lines = [", ".join(words[i : i + 3]) for i in range(0, len(words), 3)]
    ax.set(ylim=(len(names) - 0.5, -0.5))
    ax.set_xlabel("\n".join(["contribution to log odds", *lines, f"log odds {table.attrs['log_odds']:+.1f}"]))
    ax.axvline(0, color=mpl.rcParams["axes.edgecolor"], linewidth=0.8)
    ax.set_yticks(range(len(names)), names)
    right = ax.secondary_yaxis("right")
    right.set_yticks(range(len(names)), [f"{share:.0%}" for share in is_open])
    right.set_ylabel("cells in which it is open")
    right.tick_params(length=0)
    small_ticks(ax, y=settle(ax)[1] / max(len(names), 1))
    right.tick_params(labelsize=ax.get_yticklabels()[0].get_fontsize())
    ax.legend(handles=_legend.dots(legend), loc="best", frameon=False, fontsize="small", handletextpad=0.2)
