"""Where figures are drawn and what becomes of them: one rule for all functions of this package.

Without ``ax`` and ``axes`` a figure is made. With them it is drawn into these axes: no figure is made, and their figure
is shown only if ``show=True``. With ``save`` the whole figure is written to a file. What is returned: the figure if
``return_fig=True``; None if it was shown; else the list of the panels' axes. A figure that was made stays open in
pyplot only in the last case, and only if it was not saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._files import require_output, written_aside

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 300
"""Of what is not drawn as lines in a saved file, unless matplotlib was told otherwise (``savefig.dpi``)."""


def require_axes(ax: Axes | None, axes: Sequence[Axes] | None, panels: Sequence[str]) -> list[Axes] | None:
    """Return the axes to draw into, one per panel; None if a figure is to be made.

    Parameters
    ----------
    ax
        Of a single panel.
    axes
        Of several.
    panels
        What is drawn, one after the other.

    Raises
    ------
    TypeError
        Something is not axes of matplotlib.
    ValueError
        Both are given, or as many axes as there are panels are not.
    """
    from matplotlib.axes import Axes

    if ax is None and axes is None:
        return None
    if ax is not None and axes is not None:
        msg = "Found ax= and axes=; expected one of them. Pass ax= for one panel, axes= for several."
        raise ValueError(msg)
    name = "axes" if ax is None else "ax"
    given: Any = axes if ax is None else [ax]
    is_list = isinstance(given, Sequence | np.ndarray) and not isinstance(given, str | bytes)
    found = list(np.ravel(np.asarray(given, dtype=object))) if is_list else [given]
    if wrong := [one for one in found if not isinstance(one, Axes)]:
        msg = (
            f"Found {name}={wrong[0]!r} ({type(wrong[0]).__name__}); expected "
            f"{'axes' if ax is not None else 'a list of axes'} of matplotlib, as plt.subplots returns."
        )
        raise TypeError(msg)
    if len(found) != len(panels):
        msg = f"Found {len(found)} axes in {name}= for {len(panels)} panels: {', '.join(panels)}; expected as many."
        raise ValueError(msg)
    return found


def chosen_panels(panels: Sequence[str] | str | None, known: Iterable[str]) -> list[str]:
    """Return the names of the panels to draw, all that are known if None.

    Raises
    ------
    ValueError
        None, or an unknown one, is asked for.
    """
    known = list(known)
    if panels is None:
        return known
    names = [panels] if isinstance(panels, str) else list(panels)
    if not names or (unknown := [name for name in names if name not in known]):
        msg = f"Found panels={panels!r}; expected some of {known}."
        if names and (close := get_close_matches(str(unknown[0]), known, n=1)):
            msg += f" Did you mean {close[0]!r}?"
        raise ValueError(msg)
    return names


def panel_titles(title: str | Sequence[str] | None, names: list[str], *, is_own: bool) -> tuple[str | None, list[str]]:
    """Return the heading over all panels, and the title of each.

    Raises
    ------
    ValueError
        There are not as many titles as panels, or a heading over axes that were given.
    """
    if title is None:
        return None, names
    if isinstance(title, str):
        if len(names) > 1 and not is_own:
            msg = f"Found title={title!r} for {len(names)} panels in given axes; expected a list with a title of each."
            raise ValueError(msg)
        return (None, [title]) if len(names) == 1 else (title, names)
    if len(title) != len(names):
        msg = f"Found {len(title)} titles in title= for {len(names)} panels: {', '.join(names)}; expected as many."
        raise ValueError(msg)
    return None, list(title)


def require_save(save: str | PathLike[str] | None) -> Path | None:
    """Return the path that a figure is to be written to.

    Raises
    ------
    ValueError
        Its ending is of no format that matplotlib writes.
    OSError
        Its folder is not there, or cannot be written to.
    """
    if save is None:
        return None
    from matplotlib.backend_bases import FigureCanvasBase

    path = Path(save)
    known = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in known:
        msg = f"Found save={str(save)!r}; expected a name that ends in a format of figures: {', '.join(sorted(known))}."
        raise ValueError(msg)
    require_output(path, path.suffix)
    return path


def figure_of(ax: Axes) -> Figure:
    """Return the figure around axes, also of those in a subfigure."""
    return ax.figure.figure


def area_of(ax: Axes) -> float:
    """Return how large axes are, in square inches."""
    box = ax.get_window_extent()
    return float(box.width * box.height / figure_of(ax).dpi ** 2)


def new_axes(width: float, height: float, labels: Sequence[str]) -> Axes:
    """Return the only axes of a new figure, about so wide and high, in inches, with room for labels beside them."""
    from matplotlib import pyplot as plt

    longest = 0.08 * max(map(len, labels))
    return plt.subplots(figsize=(width + longest + 1.5, height + longest / 2 + 1.2), layout="constrained")[1]


def settle(ax: Axes) -> tuple[float, float]:
    """Lay out the figure of axes, and return how wide and high they are then, in points."""
    figure = figure_of(ax)
    figure.draw_without_rendering()
    box = ax.get_window_extent()
    return box.width / figure.dpi * 72, box.height / figure.dpi * 72


def grow(ax: Axes, width: float, height: float) -> None:
    """Make the figure of axes as much larger as they lack to be so wide and high, in inches, beside their labels."""
    figure = figure_of(ax)
    found = settle(ax)
    whole = figure.get_size_inches()
    figure.set_size_inches(whole[0] + max(0, width - found[0] / 72), whole[1] + max(0, height - found[1] / 72))


def small_ticks(ax: Axes, *, x: float | None = None, y: float | None = None) -> None:
    """Make the labels of ticks no larger than the room that each has along an axis, in points."""
    for axis, room in ((ax.xaxis, x), (ax.yaxis, y)):
        labels = axis.get_ticklabels()
        if room is not None and labels and float(labels[0].get_fontsize()) > 0.85 * room:
            axis.set_tick_params(labelsize=max(1, 0.85 * room))


def hand_over(
    axes: Sequence[Axes],
    *,
    is_own: bool,
    save: Path | None,
    show: bool | None,
    return_fig: bool,
) -> Figure | list[Axes] | None:
    """Write, show and return a figure, as the head of this file says.

    Parameters
    ----------
    axes
        Of its panels.
    is_own
        Whether the figure was made for them.
    save
        Where to write it.
    show
        None: as ``scanpy.settings.autoshow`` if it was made.
    return_fig
        Return the figure, and show it only if ``show=True``.
    """
    import matplotlib as mpl
    import scanpy as sc
    from matplotlib import pyplot as plt

    figure = figure_of(axes[0])
    if save is not None:
        dpi = mpl.rcParams["savefig.dpi"]
        with written_aside(save) as aside:
            figure.savefig(aside, dpi=_DPI if dpi == "figure" else dpi)
    is_shown = bool(show) if show is not None or not is_own or return_fig else bool(sc.settings.autoshow)
    if is_shown:
        plt.show()
    # A window that does not wait for its user would be gone at once.
    stays = mpl.is_interactive() if is_shown else save is None and not return_fig
    if is_own and not stays:
        plt.close(figure)
    if return_fig:
        return figure
    return None if is_shown else list(axes)
