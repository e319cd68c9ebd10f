"""Which color stands for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._keys import UNASSIGNED
from .._label_text import as_text
from ._palette import DISTINCT, UNASSIGNED_COLOR, luminance, own_palette

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from mudata import MuData

    Palette = Mapping[str, Any] | Sequence[Any] | str

_MOST_OF_A_LIST = 100
"""Colormaps of so many colors are lists of them, as "tab20" is; longer ones, as "viridis", are sampled evenly."""
_ALIKE = 0.25
"""Distance in RGB below which a color is not given to a label beside one that has its color from elsewhere."""


def label_colors(
    classes: Sequence[str],
    further: Sequence[str] = (),
    palette: Palette | None = None,
    written: Mapping[str, str] | None = None,
    *,
    also: Sequence[str] = (),
) -> dict[str, str]:
    """Return a color per label, and of "Unassigned": the palette's, else one written in an object, else our own.

    Parameters
    ----------
    classes
        Labels of the reference, in the order of lists of colors.
    further
        Other labels, for which a list need not have colors.
    palette
        What the user asks for.
    written
        Colors by label that objects hold.
    also
        Further names that a mapping may have.

    Raises
    ------
    TypeError, ValueError
        The palette is of another kind, has too few colors, or none of these labels.
    """
    labels = [*classes, *further]
    chosen = chosen_colors(labels, palette, n_needed=len(classes), also=[UNASSIGNED, *also])
    fixed = {UNASSIGNED: UNASSIGNED_COLOR, **(written or {}), **chosen}
    left = [label for label in labels if label not in fixed]
    own = dict(zip(left, _beside([fixed[label] for label in labels if label in fixed], len(left)), strict=True))
    return {label: own[label] if label in own else fixed[label] for label in [*labels, UNASSIGNED]}


def chosen_colors(
    names: Sequence[str], palette: Palette | None, *, n_needed: int | None = None, also: Sequence[str] = ()
) -> dict[str, str]:
    """Return the colors that a palette has for names.

    Parameters
    ----------
    names
        What is to have a color, in the order of lists.
    palette
        Colors by name, a list of them, or the name of a matplotlib colormap; None has no colors.
    n_needed
        How many names, from the first on, a list must have colors for; None: all.
    also
        Further names that a mapping may have.

    Raises
    ------
    TypeError, ValueError
        It is of another kind, has too few colors, or none of these names.
    """
    if palette is None:
        return {}
    if isinstance(palette, Mapping):
        named = {str(name): color for name, color in palette.items()}
        if named and not set(named) & {*names, *also}:
            msg = f"Found palette= with colors of {_some(named)}; expected some of {_some([*names, *also])}."
            raise ValueError(msg)
        return {name: as_color(named[name]) for name in [*names, *also] if name in named}
    colors = _listed(palette, len(names))
    n_needed = len(names) if n_needed is None else n_needed
    if len(colors) < n_needed:
        what = f"palette={palette!r}" if isinstance(palette, str) else "palette="
        msg = (
            f"Found {what} with {len(colors)} colors for {n_needed} names ({_some(names[:n_needed])}); expected at "
            "least as many. Pass a longer one, or colors by name: {'name': 'color'}."
        )
        raise ValueError(msg)
    return dict(zip(names, colors, strict=False))


def as_color(color: Any) -> str:
    """Return a color as matplotlib knows it, as "#rrggbb"."""
    from matplotlib.colors import to_hex

    try:
        return to_hex(color)
    except ValueError as error:
        msg = (
            f"Found {color!r} in palette=; expected a color of matplotlib, such as 'tab:blue', '#1f77b4' or (0, 0, 1)."
        )
        raise ValueError(msg) from error


def shades(palette: Palette | None, ax: Axes, color: str) -> Colormap:
    """Return a colormap of shares: the palette, else from the background of the axes to a color.

    Raises
    ------
    TypeError, ValueError
        The palette is neither the name of a colormap nor a list of colors.
    """
    from matplotlib.colors import LinearSegmentedColormap

    if isinstance(palette, str):
        return _named(palette)
    if palette is None:
        end = mixed(color, "white" if is_dark(ax) else "black", 0.45)
        return LinearSegmentedColormap.from_list("share", [background(ax), color, end])
    return LinearSegmentedColormap.from_list("share", require_shades(palette))


def require_shades(palette: Palette | None) -> list[str]:
    """Return the colors of a list, the least first; raise where a palette cannot be a scale of shares."""
    if palette is None:
        return []
    if isinstance(palette, str):
        _named(palette)
        return []
    if isinstance(palette, Mapping) or len(colors := _listed(palette, 2)) < 2:
        msg = (
            f"Found palette={palette!r}; expected the name of a matplotlib colormap, such as 'viridis', or a list of "
            "at least two colors from none to all."
        )
        raise ValueError(msg)
    return colors


def written_colors(data: AnnData | MuData, adata: AnnData, column: str) -> dict[str, str]:
    """Return colors by label that an object holds of a column, as scanpy writes them; none where they are of others.

    Parameters
    ----------
    data
        Object of the user.
    adata
        The AnnData in it that is worked on.
    column
        Of ``.obs`` of either.
    """
    from matplotlib.colors import is_color_like, to_hex

    for holder in (adata, data):
        if column in holder.obs and f"{column}_colors" in holder.uns:
            names = as_text(pd.Series(pd.Categorical(holder.obs[column]).categories))
            colors = [str(color) for color in np.ravel(holder.uns[f"{column}_colors"])]
            if len(colors) == len(names) and all(map(is_color_like, colors)):
                return dict(zip(names, map(to_hex, colors), strict=True))
    return {}


def colors_in_objects(
    data: AnnData | MuData,
    adata: AnnData,
    key: str,
    *,
    truth: str | None = None,
    reference: tuple[AnnData | MuData, AnnData] | None = None,
) -> dict[str, str]:
    """Return colors by label that objects hold: the reference's first, those of true labels last.

    Parameters
    ----------
    data
        Object of the user.
    adata
        The AnnData in it.
    key
        ``key_added`` of the annotation.
    truth
        Column with known labels.
    reference
        Object of the reference, and the AnnData in it.
    """
    labels_key = str(adata.uns[key]["reference"]["labels_key"])
    found = {} if truth is None else written_colors(data, adata, truth)
    found |= written_colors(data, adata, key)
    if "codes" not in adata.uns[key]["reference"]:
        found |= written_colors(data, adata, labels_key)
    return found if reference is None else found | written_colors(*reference, labels_key)


def background(ax: Axes) -> str:
    """Return the color behind a panel, of its figure where it has none."""
    from matplotlib.colors import to_hex, to_rgba

    for color in (ax.get_facecolor(), ax.figure.get_facecolor(), ax.figure.figure.get_facecolor()):
        if to_rgba(color)[3] > 0:
            return to_hex(color)
    return "#ffffff"


def is_dark(ax: Axes) -> bool:
    """Return whether a panel is dark."""
    return is_dark_color(background(ax))


def is_dark_color(color: Any) -> bool:
    """Return whether white is better read on a color than black."""
    from matplotlib.colors import to_rgb

    return luminance(to_rgb(color)) < 0.18


def faint(ax: Axes) -> str:
    """Return a color just apart from the background of a panel, for cells that it is not about."""
    return mixed(background(ax), "white" if is_dark(ax) else "black", 0.17 if is_dark(ax) else 0.1)


def mixed(color: Any, other: Any, share: float) -> str:
    """Return a color with a share of another one."""
    from matplotlib.colors import to_hex, to_rgb

    return to_hex(tuple((1 - share) * np.array(to_rgb(color)) + share * np.array(to_rgb(other))))


def _listed(palette: Any, n: int) -> list[str]:
    """Return the colors of a list or colormap; of a continuous one ``n`` of them."""
    if isinstance(palette, str):
        scale = _named(palette)
        listed = getattr(scale, "colors", None)
        if listed is not None and len(listed) < _MOST_OF_A_LIST:
            return [as_color(color) for color in listed]
        return [as_color(color) for color in scale(np.linspace(0, 1, n))]
    if not isinstance(palette, Sequence | np.ndarray) or isinstance(palette, bytes):
        msg = (
            f"Found palette={palette!r} ({type(palette).__name__}); expected colors by label, a list of colors, or the "
            "name of a matplotlib colormap."
        )
        raise TypeError(msg)
    return [as_color(color) for color in palette]


def _named(palette: str) -> Colormap:
    from difflib import get_close_matches

    import matplotlib as mpl

    if palette not in mpl.colormaps:
        close = get_close_matches(palette, list(mpl.colormaps), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        msg = f"Found palette={palette!r}; expected the name of a matplotlib colormap, such as 'tab20'.{hint}"
        raise ValueError(msg)
    return mpl.colormaps[palette]


def _beside(taken: Sequence[str], n: int) -> list[str]:
    """Return ``n`` of our colors; not those that look like taken ones, as long as there are others."""
    if not taken:
        return own_palette(n)
    from matplotlib.colors import to_rgb

    others = np.array([to_rgb(color) for color in taken])
    free = [c for c in DISTINCT if np.linalg.norm(others - to_rgb(c), axis=1).min() > _ALIKE]
    if len(free) >= n:
        return free[:n]
    return [*free, *(c for c in own_palette(len(taken) + n) if c not in free)][:n]


def _some(names: Sequence[str] | Mapping[str, Any], n: int = 8) -> str:
    first = ", ".join(map(repr, list(names)[:n]))
    return first if len(names) <= n else f"{first}, …"
