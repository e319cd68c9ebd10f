"""How training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._anndata import read
from .._checks import checked
from ..checkpoints import find_checkpoint
from ._colors import chosen_colors
from ._figure import chosen_panels, hand_over, panel_titles, require_axes, require_save

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData
    from numpy.typing import NDArray

    Series = dict[str, NDArray[np.floating]]

_PANEL = (3.2, 2.6)
"""Inches."""
_COLOR = "#2266aa"
_PRETRAINING = "pretraining_loss"
_LOSSES = "losses"
"""Entry of ``config.json`` in the folder of a pre-training."""


@checked
def training_history(
    data: AnnData | MuData | Sequence[float] | str | PathLike[str],
    *,
    key: str = "scllmda",
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
    """Plot the losses of a training by epoch, and its held-out accuracy where that was measured.

    A dashed line marks the epoch whose network was kept, where that is not the last one.

    Parameters
    ----------
    data
        Object that :func:`scllmda.tl.annotate`, or another tool that trains a network, wrote to; or the folder that
        :func:`scllmda.tl.pretrain` wrote; or the losses that it returned, one per epoch.
    key
        ``key_added`` of the tool; its ``.uns[key]["history"]`` is read.
    panels
        Which to draw, and in which order: entries of the history that have a value per epoch, such as ``"loss"``,
        ``"domain_loss"`` and ``"held_out_accuracy"``, or ``"pretraining_loss"`` of a pre-training. None: all.
    ax
        Axes to draw into, if there is one panel.
    axes
        Axes to draw into, one per panel.
    palette
        Colors by panel, a list of them, or the name of a matplotlib colormap. None: one blue.
    size
        Width of the lines, in points. None: 1.5.
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
    The figure if ``return_fig``; None if it was shown; else the list of the panels' axes.

    Raises
    ------
    KeyError
        Nothing of this ``key`` has a history.
    FileNotFoundError
        There is no such folder.
    ValueError
        Nothing was trained in epochs; a panel is unknown; losses are not numbers; there are not as many axes as panels;
        the palette is not one, or no figure can be written under this name.
    TypeError
        Neither AnnData, MuData, folder nor losses.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate(n_reference=60, n_query=40, n_peaks=300, n_types=3)
    >>> sl.tl.annotate(query, reference, method="scllmda", recipe={"cells": "factorisation", "n_epochs": 5})
    >>> figure = sl.pl.training_history(query, return_fig=True)

    Of a pre-training, in one panel of a larger figure:

    >>> from matplotlib import pyplot as plt
    >>> figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    >>> drawn = sl.pl.training_history([0.9, 0.6, 0.5], ax=left)
    """
    import matplotlib as mpl

    path = require_save(save)
    series, best = _series(data, key, mod)
    names = chosen_panels(panels, series)
    given = require_axes(ax, axes, names)
    heading, titles = panel_titles(title, names, is_own=given is None)
    colors = dict.fromkeys(names, _COLOR) | chosen_colors(names, palette)
    drawn = _new_panels(len(names), heading) if given is None else given
    for place, name, text in zip(drawn, names, titles, strict=True):
        _draw(place, series[name], colors[name], 1.5 if size is None else size)
        place.set(title=text.replace("_", " ") if text == name else text, xlabel="epoch")
        # Weights that were trained before have epochs of their own.
        if best is not None and best < len(series[name]) and name != _PRETRAINING:
            place.axvline(best, color=mpl.rcParams["text.color"], linestyle="--", linewidth=1)
            place.set_xlabel(f"epoch ({best} was kept)")
    return hand_over(drawn, is_own=given is None, save=path, show=show, return_fig=return_fig)


def _series(data: Any, key: str, mod: str) -> tuple[Series, int | None]:
    """Return what there is a value per epoch of, and the epoch that was kept."""
    if isinstance(data, str | PathLike):
        return {_PRETRAINING: _losses_of_folder(Path(data).expanduser())}, None
    if isinstance(data, Sequence) or (isinstance(data, np.ndarray) and data.ndim == 1):
        return {_PRETRAINING: _losses(data, "data=")}, None
    history = _history(data, key, mod)
    series = {
        name: _losses(found, f".uns[{key!r}]['history'][{name!r}]")
        for name, found in history.items()
        if _is_by_epoch(name, found)
    }
    if not series:
        msg = (
            f"Nothing in .uns[{key!r}]['history'] has a value per epoch, only {list(history)} are there: no network "
            "was trained. Pass key= what a method that trains one wrote (sl.get.methods() lists them), or the folder "
            "of a pre-training."
        )
        raise ValueError(msg)
    best = history.get("best_epoch")
    return series, None if best is None else int(best)


def _history(data: AnnData | MuData, key: str, mod: str) -> Mapping[str, Any]:
    """Return the history that a tool kept, in the modality or in the MuData around it."""
    adata = read(data, mod=mod)
    for holder in (adata, data):
        if isinstance(found := holder.uns.get(key), Mapping) and isinstance(found.get("history"), Mapping):
            return found["history"]
    msg = (
        f"Did not find .uns[{key!r}]['history'], only {list(adata.uns)} in .uns. Pass key= the key_added of what "
        "trained a network."
    )
    raise KeyError(msg)


def has_epochs(history: Mapping[str, Any]) -> bool:
    """Return whether a history has something to draw."""
    return any(_is_by_epoch(name, found) for name, found in history.items())


def _is_by_epoch(name: str, found: Any) -> bool:
    return (name.endswith("loss") or name.startswith("held_out")) and np.ndim(found) == 1 and np.size(found) > 0


def _losses_of_folder(folder: Path) -> NDArray[np.floating]:
    if not folder.is_dir():
        msg = f"Found data={str(folder)!r}, which is no folder; expected one that sl.tl.pretrain wrote."
        raise FileNotFoundError(msg)
    config = find_checkpoint(str(folder), revision=None).config
    if _LOSSES not in config:
        msg = f"Found data={str(folder)!r}, a checkpoint without losses; expected one that sl.tl.pretrain wrote."
        raise ValueError(msg)
    return _losses(config[_LOSSES], f"the losses of {str(folder)!r}")


def _losses(found: Any, what: str) -> NDArray[np.floating]:
    """Return values by epoch as numbers."""
    try:
        values = np.asarray(found, dtype=float)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        msg = f"Found {what} that are no finite numbers, one per epoch; expected losses as sl.tl.pretrain returns them."
        raise ValueError(msg)
    return values


def _new_panels(n: int, heading: str | None) -> list[Axes]:
    from matplotlib import pyplot as plt

    figure, grid = plt.subplots(1, n, figsize=(_PANEL[0] * n, _PANEL[1]), squeeze=False, layout="constrained")
    if heading:
        figure.suptitle(heading)
    return list(grid.flat)


def _draw(ax: Axes, values: NDArray[np.floating], color: str, width: float) -> None:
    """Draw a line over the epochs, counted from 1; a few of them are marked."""
    from matplotlib.ticker import MaxNLocator

    epochs = np.arange(1, len(values) + 1)
    marks: dict[str, Any] = {"marker": "o", "markersize": 2.5 * width} if len(values) <= 30 else {}
    ax.plot(epochs, values, color=color, linewidth=width, **marks)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    ax.spines[["top", "right"]].set_visible(False)
