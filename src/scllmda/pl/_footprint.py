"""How cuts lie around the sites of a motif."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._anndata import read
from .._checks import checked
from .._keys import FOOTPRINT
from ..get import footprint as table_of
from ._colors import faint, label_colors, written_colors
from ._figure import chosen_panels, hand_over, panel_titles, require_axes, require_save

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

_PANELS = {"profile": "corrected for Tn5's preference", "preference": "Tn5's preference", "uncorrected": "as counted"}


@checked
def footprint(
    adata: AnnData | MuData,
    *,
    key: str = FOOTPRINT,
    smooth: int = 11,
    panels: Sequence[str] | str | None = None,
    ax: Axes | None = None,
    axes: Sequence[Axes] | None = None,
    palette: Mapping[str, Any] | Sequence[Any] | str | None = None,
    size: float | None = None,
    title: str | Sequence[str] | None = None,
    save: str | PathLike[str] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
    mod: str = "atac",
) -> Figure | list[Axes] | None:
    """Plot how transposase cuts lie around the sites of a motif, per label.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.footprint` wrote to.
    key
        Its ``key_added``.
    smooth
        Base pairs over which cuts are summed for the curve; 1 for none. 11, a turn of the helix, levels what is left of
        the preference for single words.
    panels
        Which to draw, and in which order. ``"profile"``: cuts over those expected from Tn5's preference.
        ``"preference"``: what is expected. ``"uncorrected"``: cuts as counted. None: all.
    ax
        Axes to draw into, if there is one panel.
    axes
        Axes to draw into, one per panel.
    palette
        Colors by label, a list of them, or the name of a matplotlib colormap. None: the object's colors of the labels,
        else our own.
    size
        Width of the lines, in points. None: 1.5.
    title
        Title of a single panel, heading over several, or a list with one title per panel. None: what each shows, under
        the name of the motif.
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
    The figure if ``return_fig``; None if it was shown; else the list of the panels' axes.

    Raises
    ------
    KeyError
        There is no such footprint.
    ValueError
        A panel is unknown; there are not as many axes as panels; ``smooth`` is wider than the profile; the palette is
        not one, or no figure can be written under this name.

    See Also
    --------
    scllmda.tl.footprint : Counts the cuts.
    scllmda.get.footprint : The same as a table.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import scllmda as sl
    >>> folder = Path(tempfile.mkdtemp())
    >>> genome, fragments = folder / "genome.fa", folder / "fragments.tsv"
    >>> reference, query = sl.datasets.simulate(fasta=genome, fragments=fragments)
    >>> motifs = {"TATA box": 20 * np.eye(4)[:, [3, 0, 3, 0, 0, 0]]}
    >>> sl.tl.footprint(query, fragments, "TATA box", genome=genome, groupby="cell_type", motifs=motifs)
    >>> figure = sl.pl.footprint(query, return_fig=True)
    """
    path = require_save(save)
    names = chosen_panels(panels, _PANELS)
    given = require_axes(ax, axes, names)
    atac = read(adata, mod=mod)
    table = table_of(atac, key=key)
    found = atac.uns[key]
    labels = list(map(str, table["label"].cat.categories))
    colors = label_colors(labels, palette=palette, written=written_colors(adata, atac, found["params"]["groupby"]))
    n_positions = table["position"].nunique()
    if smooth > n_positions:
        msg = f"Found smooth={smooth}, and the profile has {n_positions} positions; expected fewer."
        raise ValueError(msg)
    heading, titles = panel_titles(title, names, is_own=given is None)
    drawn = _new_panels(names, heading or (None if title is not None else _heading(found))) if given is None else given
    for place, name, text in zip(drawn, names, titles, strict=True):
        place.axvspan(-found["width"] / 2, found["width"] / 2, color=faint(place), zorder=0, linewidth=0)
        for label in labels:
            curve = _curve(table[table["label"] == label], name, smooth, int(found["params"]["norm_width"]))
            n = int(found["labels"].loc[label, "n_cells"])
            place.plot(
                curve.index,
                curve,
                color=colors[label],
                linewidth=1.5 if size is None else size,
                label=f"{label} ({n:,} {'cell' if n == 1 else 'cells'})",
            )
        place.set_title(_PANELS[name] if text == name else text, fontsize="medium")
        place.set_xlabel("bp from the center")
        place.spines[["top", "right"]].set_visible(False)
    drawn[0].set_ylabel("cuts, 1 at the ends")
    drawn[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize="small")
    return hand_over(drawn, is_own=given is None, save=path, show=show, return_fig=return_fig)


def _heading(found: Mapping[str, Any]) -> str:
    return f"{found['name']} ({int(found['n_sites']):,} sites)"


def _new_panels(names: list[str], heading: str | None) -> list[Axes]:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        1, len(names), figsize=(3.2 * len(names) + 1.6, 3), layout="constrained", squeeze=False, sharey=True
    )
    if heading is not None:
        figure.suptitle(heading)
    return list(axes[0])


def _curve(rows: pd.DataFrame, name: str, smooth: int, norm_width: int) -> pd.Series:
    """Return a curve by position: sums over ``smooth`` positions, scaled to 1 at the ends."""
    rows = rows.set_index("position")
    observed, expected = (
        rows[column].rolling(smooth, center=True, min_periods=1).mean() for column in ("n_insertions", "expected")
    )
    curve = {"profile": observed / expected, "preference": expected, "uncorrected": observed}[name]
    distance = np.abs(curve.index.to_numpy())
    ends = distance > distance.max() - norm_width
    return curve / (curve[ends].mean() or np.nan)
