"""How many cells each label has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._anndata import obs_column, read
from .._checks import checked
from .._keys import UNASSIGNED, AnnotationKeys
from .._label_text import as_text, has_label
from ..get import query_cells
from . import _legend
from ._both_domains import both_domains
from ._colors import background, colors_in_objects, is_dark_color, label_colors
from ._figure import figure_of, grow, hand_over, new_axes, require_axes, require_save, settle, small_ticks

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData
    from numpy.typing import NDArray

_BAR, _HEIGHT, _ENTRY = 0.75, 3.4, 0.2
"""Width of a bar with its gap, least height of the bars, and height of an entry of the legend, in inches."""
_WIDTH = 0.78
"""Share of the room of a bar that it fills."""
_SMALLEST = 5
"""Size of digits that can be read, in points."""
_SHORT, _FEW = 11, 8
"""Characters of names, and number of bars, up to which names are written level."""


@checked
def class_proportions(
    adata: AnnData | MuData,
    *,
    key: str = "scllmda",
    reference: AnnData | MuData | None = None,
    labels_key: str | None = None,
    groupby: str | None = None,
    ax: Axes | None = None,
    palette: Mapping[str, Any] | Sequence[Any] | str | None = None,
    size: float | None = None,
    title: str | None = None,
    save: str | PathLike[str] | None = None,
    show: bool | None = None,
    return_fig: bool = False,
    mod: str = "atac",
) -> Figure | list[Axes] | None:
    """Plot which share of the cells each label has: a stacked bar of the reference, of the query, and per sample of it.

    Labels are stacked in the order of the legend, classes of the reference first and "Unassigned" last.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.annotate` or :func:`scllmda.tl.graph_da_annotate` wrote to.
    key
        Its ``key_added``.
    reference
        The reference that was given to ``annotate``, for its colors (``.uns[f"{labels_key}_colors"]``) and for
        ``labels_key``. Its bar is drawn either way, from ``.uns[key]["reference"]``.
    labels_key
        Column of ``reference.obs`` whose labels its bar has, such as a coarser one; of ``adata.obs`` where both are one
        object. None: the labels that were learned from.
    groupby
        Column of ``adata.obs``, such as a sample: a further bar for the query's cells of each of its values, in the
        order of its categories, and one for cells without a value.
    ax
        Axes to draw into. The legend is put beside them; a figure with ``layout="constrained"`` makes room for it.
    palette
        Colors by label, a list of colors in the order of ``.uns[key]["classes"]``, or the name of a matplotlib
        colormap. None: as :func:`scllmda.pl.transfer_umap`.
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
    The figure if ``return_fig``; None if it was shown; else the list of the panel's axes.

    Raises
    ------
    KeyError
        There is no such annotation, no column ``groupby`` or ``labels_key``.
    ValueError
        ``labels_key`` is given without the object that has it, or has no labels; the palette is not one, or no figure
        can be written under this name.

    See Also
    --------
    scllmda.pl.label_flow : Which known labels, or clusters, lead to which predicted ones.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> figure = sl.pl.class_proportions(query, groupby="batch", return_fig=True)
    """
    given = require_axes(ax, None, ["class proportions"])
    path = require_save(save)
    atac = read(adata, mod=mod)
    of_reference = None if reference is None else (reference, read(reference, mod=mod, what="reference"))
    whole = _whole(adata, atac, key, of_reference, labels_key)
    samples = [] if groupby is None else _samples(adata, atac, key, groupby)
    bars = [*whole, *samples]
    found = {label for _, labels in bars for label in labels}
    classes = [str(label) for label in atac.uns[key]["classes"]]
    further = sorted(found - {*classes, UNASSIGNED})
    written = colors_in_objects(adata, atac, key, reference=of_reference)
    colors = {k: c for k, c in label_colors(classes, further, palette, written).items() if k in found}
    counts = np.array([labels.value_counts().reindex(list(colors), fill_value=0) for _, labels in bars])

    inches = (_BAR * max(3, len(bars)), max(_HEIGHT, _ENTRY * len(colors)))
    place = new_axes(*inches, [name for name, _ in bars]) if given is None else given[0]
    # Samples stand apart from the whole.
    at = np.arange(len(bars)) + np.repeat([0, 0.4], [len(whole), len(samples)])
    _draw(place, at, counts / counts.sum(axis=1, keepdims=True), colors)
    _name(place, at, [name for name, _ in bars], counts.sum(axis=1))
    place.set(title=title or "", ylabel="share of the cells")
    if given is None:
        _legend.around(figure_of(place), _legend.dots(colors), None)
        grow(place, *inches)
    else:
        _legend.beside(place, _legend.dots(colors))
    _write_shares(place, size)
    return hand_over([place], is_own=given is None, save=path, show=show, return_fig=return_fig)


def _whole(
    data: AnnData | MuData,
    adata: AnnData,
    key: str,
    reference: tuple[AnnData | MuData, AnnData] | None,
    labels_key: str | None,
) -> list[tuple[str, pd.Series]]:
    """Return the labels of the reference's and of the query's cells, with their names."""
    cells = both_domains(data, adata, key, None)
    known = cells["reference"].dropna()
    if labels_key is not None:
        known = _chosen(data, adata, key, reference, labels_key)
    return [("reference", known), ("query", cells["predicted"].dropna())]


def _chosen(
    data: AnnData | MuData,
    adata: AnnData,
    key: str,
    reference: tuple[AnnData | MuData, AnnData] | None,
    labels_key: str,
) -> pd.Series:
    """Return the labels that a column of the reference has."""
    uns, what = adata.uns[key], "reference"
    if reference is None:
        if "codes" in uns["reference"]:
            msg = f"Found labels_key={labels_key!r} without reference=; expected the object that has this column."
            raise ValueError(msg)
        reference, what = (data, adata), "data"
    labels = obs_column(*reference, labels_key, what=what)
    labeled = has_label(labels, uns["params"]["unlabeled"])
    if reference[1] is adata:
        labeled = labeled & ~query_cells(data, adata, key)
    if not labeled.any():
        msg = f"No reference cell has a label in labels_key={labels_key!r}; expected some. Pass another column."
        raise ValueError(msg)
    return as_text(labels)[labeled]


def _samples(data: AnnData | MuData, adata: AnnData, key: str, groupby: str) -> list[tuple[str, pd.Series]]:
    """Return the labels of the query's cells of each sample, and of those of none."""
    query = query_cells(data, adata, key)
    labels = adata.obs[AnnotationKeys(key).label].astype(str)[query]
    # By position: barcodes may repeat.
    sample = as_text(obs_column(data, adata, groupby, parameter="groupby")).to_numpy(dtype=object)[query]
    order = as_text(pd.Series(pd.Categorical(obs_column(data, adata, groupby)).categories))
    found = [(name, labels[sample == name]) for name in order if (sample == name).any()]
    return [*found, (f"no {groupby}", labels[nothing])] if (nothing := pd.isna(sample)).any() else found


def _draw(ax: Axes, at: NDArray[np.floating], shares: NDArray[np.floating], colors: Mapping[str, str]) -> None:
    """Stack the shares of each bar, the first label at the top."""
    lower = 1 - shares.cumsum(axis=1)
    for i, color in enumerate(colors.values()):
        ax.bar(at, shares[:, i], _WIDTH, bottom=lower[:, i], color=color, edgecolor=background(ax), linewidth=0.4)
    ax.set(xlim=(at[0] - 0.6, at[-1] + 0.6), ylim=(0, 1))
    ax.yaxis.set_major_formatter("{x:.0%}")
    ax.grid(visible=False)
    ax.spines[["top", "right"]].set_visible(False)


def _name(ax: Axes, at: NDArray[np.floating], names: Sequence[str], n_cells: NDArray[np.integer]) -> None:
    """Write the name of each bar and its number of cells below it, slanted where that is too wide."""
    if len(names) <= _FEW and max(map(len, names)) <= _SHORT:
        ax.set_xticks(at, [f"{name}\n({n:,})" for name, n in zip(names, n_cells, strict=True)])
        return
    texts = [f"{name} ({n:,})" for name, n in zip(names, n_cells, strict=True)]
    ax.set_xticks(at, texts, rotation=45, ha="right", rotation_mode="anchor")


def _write_shares(ax: Axes, size: float | None) -> None:
    """Write its share into each part of a bar that is large enough."""
    width, height = settle(ax)
    per_bar = width / np.ptp(ax.get_xlim())
    small_ticks(ax, x=per_bar)
    # A share has three characters.
    fontsize = min(8, _WIDTH * per_bar / 2.4) if size is None else size
    bars: list[Any] = list(ax.patches) if size is not None or fontsize >= _SMALLEST else []
    for bar in bars:
        if bar.get_height() * height >= 1.3 * fontsize:
            place = bar.get_x() + bar.get_width() / 2, bar.get_y() + bar.get_height() / 2
            ink = "white" if is_dark_color(bar.get_facecolor()) else "black"
            ax.text(*place, f"{bar.get_height():.0%}", ha="center", va="center", fontsize=fontsize, color=ink)
