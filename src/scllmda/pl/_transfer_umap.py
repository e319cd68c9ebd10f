"""Reference and query side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._anndata import read
from .._checks import checked
from .._keys import UNASSIGNED
from ..get import annotation
from . import _legend
from ._both_domains import both_domains, on_basis
from ._colors import as_color, colors_in_objects, faint, label_colors
from ._figure import chosen_panels, hand_over, panel_titles, require_axes, require_save
from ._joint_map import joint_map
from ._map_panels import bare, draw_labels, draw_shares

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from mudata import MuData

    from ._colors import Palette

PANEL = (4.2, 4.0)
"""Inches."""
N_COLUMNS = 3
"""Of panels, at most."""
PANELS = {
    "domain": "domain",
    "reference labels": "reference",
    "predicted labels": "predicted",
    "true labels": "truth",
    "confidence": "score",
    "novelty": "novelty",
}
"""What they show: columns of :func:`both_domains`."""
_OF_LABELS = ("reference labels", "predicted labels", "true labels")
OF_REFERENCE = ("domain", "reference labels")
_DOMAINS = {"reference": "#8c8c8c", "query": "#d95f02"}


@checked
def transfer_umap(
    adata: AnnData | MuData,
    *,
    key: str = "scllmda",
    reference: AnnData | MuData | None = None,
    truth: str | None = None,
    panels: Sequence[str] | str | None = None,
    basis: str | None = None,
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
    """Plot reference and query in one map: domain, known and predicted labels in the same colors, confidence, novelty.

    The map is a UMAP of the aligned representation of both, computed by scanpy with a fixed seed. It is kept in
    ``.uns[key]["umap"]`` and used again for as long as the annotation is the same.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.annotate` or :func:`scllmda.tl.graph_da_annotate` wrote to.
    key
        Its ``key_added``.
    reference
        The reference that was given to ``annotate``, for its colors (``.uns[f"{labels_key}_colors"]``). Its cells are
        drawn either way, from ``.uns[key]["reference"]``; with ``basis``, from this object.
    truth
        Column of ``.obs`` with known labels of the query, drawn in a panel of their own.
    panels
        Which to draw, and in which order: ``"domain"``, ``"reference labels"``, ``"predicted labels"``, ``"true
        labels"``, ``"confidence"``, ``"novelty"``. None: all that there is something to show of.
    basis
        Map to draw on instead, a key of ``.obsm`` such as ``"X_umap"``; nothing is computed. Cells of the reference are
        drawn if they are in ``adata``, or if ``reference`` has the same key, which should be of one map of both.
    ax
        Axes to draw into, if there is one panel.
    axes
        Axes to draw into, one per panel. The legend is put beside the last panel of labels; a figure with
        ``layout="constrained"`` makes room for it.
    palette
        Colors by label, a list of colors in the order of ``.uns[key]["classes"]``, or the name of a matplotlib
        colormap. Labels without one get the color that ``reference`` or ``adata`` has for them
        (``.uns[f"{labels_key}_colors"]``, ``.uns[f"{key}_colors"]``), else one of our own: 8 that color-blind eyes tell
        apart, 40 that others do. A mapping may have ``"Unassigned"``, ``"reference"`` and ``"query"`` too.
    size
        Area of a point in points squared, as ``s`` of :meth:`matplotlib.axes.Axes.scatter`. None: by the number of
        cells.
    title
        Title of a single panel, heading over several, or a list with one title per panel. None: the panels' names.
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
    The figure if ``return_fig``; None if it was shown; else the list of the panels' axes. Writes
    ``.uns[key]["umap"]``, unless ``basis`` is given or the object is a view, backed or lazy: ``coordinates``
    (n_reference + n_query, 2), and a checksum of what they were computed from.

    Raises
    ------
    KeyError
        There is no such annotation, no column ``truth``, or no such ``basis``.
    ValueError
        A panel is unknown or has nothing to show, there are not as many axes as panels, the palette is not one, or no
        figure can be written under this name.

    See Also
    --------
    scllmda.pl.report : This map and more on one page.
    scllmda.pl.confusion : Predicted against known labels.
    scllmda.pl.novelty : Novelty by label.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> figure = sl.pl.transfer_umap(query, return_fig=True)

    One panel among others of a paper:

    >>> from matplotlib import pyplot as plt
    >>> figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    >>> drawn = sl.pl.transfer_umap(query, panels="predicted labels", title="scLLMDA", ax=left)
    """
    atac = read(adata, mod=mod)
    annotation(atac, key)
    labels, at = (None, None) if basis is None else on_basis(adata, atac, key, basis, reference, mod)
    cells = both_domains(adata, atac, key, truth, labels)
    names = _panels(panels, truth, basis, has_reference=bool((cells["domain"] == "reference").any()))
    given = require_axes(ax, axes, names)
    heading, titles = panel_titles(title, names, is_own=given is None)
    path = require_save(save)
    of_labels = cells[[PANELS[name] for name in names if name in _OF_LABELS]]
    classes = [str(label) for label in atac.uns[key]["classes"]]
    further = [label for label in _occurring(of_labels) if label not in (*classes, UNASSIGNED)]
    of_reference = None if reference is None else (reference, read(reference, mod=mod, what="reference"))
    written = colors_in_objects(adata, atac, key, truth=truth, reference=of_reference)
    colors = label_colors(classes, further, palette, written, also=list(_DOMAINS))
    if at is None:
        at = joint_map(adata, atac, key)

    figure, drawn, spare = (None, given, None) if given is not None else _new_panels(len(names), heading)
    if len(of_labels.columns) > 0:
        last = max(i for i, name in enumerate(names) if name in _OF_LABELS)
        entries = _entries(of_labels, colors, drawn[last])
        if figure is None:
            _legend.beside(drawn[last], entries)
        else:
            _legend.around(figure, entries, spare)
    # In file order the query would hide the reference.
    order = np.random.default_rng(0).permutation(len(at))
    at, cells = at[order], cells.iloc[order]
    threshold = atac.uns[key]["history"].get("novelty_threshold")
    for place, name, text in zip(drawn, names, titles, strict=True):
        bare(place, text)
        values = cells[PANELS[name]]
        if name == "domain":
            domains = _of_domains(palette, classes)
            draw_labels(place, at, values, domains, size)
            _legend.below(place, _legend.dots(domains))
        elif name in _OF_LABELS:
            draw_labels(place, at, values, colors, size)
        else:
            draw_shares(place, at, values, size, mark=threshold if name == "novelty" else None)
    return hand_over(drawn, is_own=given is None, save=path, show=show, return_fig=return_fig)


def _panels(
    panels: Sequence[str] | str | None, truth: str | None, basis: str | None, *, has_reference: bool
) -> list[str]:
    """Return the names of the panels to draw; raise where one is unknown or has nothing to show."""
    absent = {} if has_reference else dict.fromkeys(OF_REFERENCE, f"reference= one that has .obsm[{basis!r}] too")
    if truth is None:
        absent["true labels"] = "truth= a column with known labels of query cells"
    if panels is None:
        return [name for name in PANELS if name not in absent]
    names = chosen_panels(panels, PANELS)
    if nothing := [name for name in names if name in absent]:
        msg = f"There is nothing to show in the panel {nothing[0]!r}. Pass {absent[nothing[0]]}."
        raise ValueError(msg)
    return names


def _of_domains(palette: Palette | None, classes: Sequence[str]) -> dict[str, str]:
    """Return the colors of the domains; a class may have the name of one."""
    named = palette if isinstance(palette, Mapping) else {}
    return {
        name: as_color(named[name]) if name in named and name not in classes else color
        for name, color in _DOMAINS.items()
    }


def _occurring(labels: pd.DataFrame) -> list[str]:
    """Return the labels of all columns, by name within each."""
    return list(dict.fromkeys(label for column in labels for label in sorted(labels[column].dropna().unique())))


def _entries(labels: pd.DataFrame, colors: Mapping[str, str], ax: Axes) -> list[Line2D]:
    """Return the legend's: all classes, further labels, "Unassigned" if it occurs, cells that are only faint."""
    shown = {label: color for label, color in colors.items() if label != UNASSIGNED}
    if UNASSIGNED in _occurring(labels):
        shown[UNASSIGNED] = colors[UNASSIGNED]
    entries = _legend.dots(shown)
    return entries + _legend.dots({"other cells": faint(ax)}) if labels.isna().any(axis=None) else entries


def _new_panels(n: int, heading: str | None) -> tuple[Figure, list[Axes], Axes | None]:
    """Return a figure, its panels, and axes that are left over in the last row."""
    from matplotlib import pyplot as plt
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # Four look better as a square.
    n_columns = 2 if n == 4 else min(n, N_COLUMNS)
    n_rows = -(-n // n_columns)
    figure, grid = plt.subplots(
        n_rows,
        n_columns,
        figsize=(PANEL[0] * n_columns, PANEL[1] * n_rows),
        squeeze=False,
        layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1),
    )
    if heading:
        figure.suptitle(heading)
    places = list(grid.flat)
    for place in places[n + 1 :]:
        place.remove()
    return figure, places[:n], places[n] if len(places) > n else None
