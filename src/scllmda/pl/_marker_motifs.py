"""The first marker motifs of each label, in all labels, with their logos."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .._anndata import read
from .._checks import checked
from ..genomics import Motif
from ..get import marker_motifs as motif_table
from ._colors import is_dark_color, require_shades, shades
from ._figure import figure_of, grow, hand_over, new_axes, require_axes, require_save, settle, small_ticks
from ._logo import draw_logos

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

_WIDE, _HIGH = 0.42, 0.3
"""Width and height of a motif in a label, in inches."""
_LOGO, _GAP = 3.6, 0.25
"""Width of the longest logo, and of the gap beside it, in labels."""
_FILLED = 0.8
"""Share of the height of a row that two bits have."""


@checked
def marker_motifs(
    adata: AnnData | MuData,
    key: str = "scllmda_marker_motifs",
    *,
    group: str | Sequence[str] | None = None,
    n_motifs: int = 3,
    fdr: float = 0.05,
    ax: Axes | None = None,
    palette: Sequence[Any] | str | None = None,
    title: str | None = None,
    save: str | PathLike[str] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
    mod: str = "atac",
) -> Figure | list[Axes] | None:
    """Plot the first marker motifs of each label in all labels, with their logos.

    Colors are fold changes; what is no more frequent than in other peaks is left blank. A star marks motifs at the
    false discovery rate. Of a cluster of similar motifs one is drawn, the most significant one of the first label that
    has it; "+ 6" behind its name says how many others there are.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.marker_motifs` wrote to.
    key
        Its ``key_added``: ``f"{groupby}_marker_motifs"`` by default.
    group
        Label, or labels in the order in which they are to come. None: all.
    n_motifs
        Number of motifs per label.
    fdr
        Largest false discovery rate of a motif that is drawn, and that is marked.
    ax
        Axes to draw into. Room for the scale is taken from them; a figure with ``layout="constrained"`` makes room for
        names.
    palette
        Name of a matplotlib colormap, or a list of colors from low to high. None: from the background to red.
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
        There are no marker motifs under this key.
    ValueError
        No such label, no motif is a marker of one, the palette is not a scale, or no figure can be written under this
        name.

    See Also
    --------
    scllmda.get.marker_motifs : The same in numbers, for all motifs.

    Examples
    --------
    >>> import numpy as np, scllmda as sl
    >>> adata, _ = sl.datasets.simulate()
    >>> words = adata.uns["simulation"]["motifs"]
    >>> motifs = {word: np.eye(4)[:, ["ACGT".index(base) for base in word]] for word in words}
    >>> sl.tl.marker_peaks(adata, "cell_type")
    >>> sl.tl.marker_motifs(adata, "cell_type", motifs=motifs)
    >>> figure = sl.pl.marker_motifs(adata, "cell_type_marker_motifs", return_fig=True)
    """
    given = require_axes(ax, None, ["marker motifs"])
    path = require_save(save)
    require_shades(palette)
    atac = read(adata, mod=mod)
    table = motif_table(atac, key, group=group, fdr=fdr, n_motifs=n_motifs)
    if table.empty:
        msg = (
            f"Found no motif that is a marker of a label ({key!r}, fdr={fdr}); expected some. Pass a larger fdr=, or "
            "fdr=1 for the first motifs whatever they are."
        )
        raise ValueError(msg)
    result = atac.uns[key]
    table = table.drop_duplicates("cluster")
    known = [str(name) for name in result["groups"]]
    groups = known if group is None else list(dict.fromkeys([group] if isinstance(group, str) else group))
    rows = result["motifs"].index.get_indexer(table["motif"])
    at = np.ix_(rows, [known.index(name) for name in groups])
    log2fc, is_found = np.asarray(result["log2fc"])[at], np.asarray(result["fdr"])[at] <= fdr

    names = _names(table, result["motifs"])
    inches = (_WIDE * (len(groups) + _LOGO + _GAP), _HIGH * len(rows))
    place = new_axes(*inches, [*groups, *names]) if given is None else given[0]
    image = place.imshow(np.maximum(log2fc, 0), cmap=shades(palette, place, "#de2d26"), vmin=0, aspect="auto")
    place.set_xticks(range(len(groups)), groups, rotation=90)
    place.set_yticks(range(len(rows)), names)
    left = -0.5 - _LOGO - _GAP
    place.set(xlim=(left, len(groups) - 0.5), ylim=(len(rows) - 0.5, -0.5), title=title or "")
    place.grid(visible=False)
    place.spines[:].set_visible(False)
    place.tick_params(left=False)
    feet = np.arange(len(rows)) + _FILLED / 2
    draw_logos(place, _motifs(result, rows), feet.tolist(), left=left, width=_LOGO, height=-_FILLED)
    bar = figure_of(place).colorbar(image, ax=place, label="log2 fold change", shrink=0.8, aspect=max(15, len(rows)))
    bar.outline.set_visible(False)
    if given is None:
        grow(place, *inches)
    width, height = settle(place)
    room = min(width / (len(groups) + _LOGO + _GAP), height / len(rows))
    small_ticks(place, x=width / (len(groups) + _LOGO + _GAP), y=height / len(rows))
    for i, j in np.argwhere(is_found & (log2fc > 0)):
        ink = "white" if is_dark_color(image.cmap(image.norm(log2fc[i, j]))) else "black"
        place.text(j, i, "*", ha="center", va="center_baseline", fontsize=min(12, 0.6 * room), color=ink)
    return hand_over([place], is_own=given is None, save=path, show=show, return_fig=return_fig)


def _names(table: pd.DataFrame, motifs: pd.DataFrame) -> list[str]:
    """Return the name of each motif, and how many others are in its cluster."""
    size = motifs["cluster"].value_counts()
    others = [int(size[cluster]) - 1 for cluster in table["cluster"]]
    return [f"{name} + {n}" if n else str(name) for name, n in zip(table["name"], others, strict=True)]


def _motifs(result: dict[str, Any], rows: np.ndarray) -> list[Motif]:
    """Return motifs as they were stored, without what lies beyond their ends."""
    table = result["motifs"]
    found = []
    for row in rows:
        counts = np.asarray(result["counts"][row], dtype=np.float64)
        motif = Motif(str(table.index[row]), str(table["name"].iloc[row]), counts[:, counts.sum(axis=0) > 0])
        found.append(motif)
    return found
