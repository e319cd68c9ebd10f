"""Sequence logos as paths, which scale with the axes that they are drawn into."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from ..genomics import BASES, Motif

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.path import Path

_COLORS = {"A": "#109648", "C": "#255c99", "G": "#d9a514", "T": "#d62839"}
"""Green, blue, yellow and red, as sequence logos have them, in shades that can be read on light and dark."""
_LEAST = 0.03
"""Bits below which a letter is not drawn: a line at most."""
_BITS = 2.0
"""Information of a position that is certain."""


def draw_logos(
    ax: Axes, motifs: Sequence[Motif], bottoms: Sequence[float], *, left: float, width: float, height: float
) -> None:
    """Draw logos below each other: letters as high as their information, the largest on top.

    Parameters
    ----------
    ax
        Axes.
    motifs
        Motifs.
    bottoms
        Where the foot of each logo lies along y, in data coordinates.
    left
        Where all begin along x.
    width
        Of the longest; all positions are equally wide.
    height
        Of two bits; negative if the y axis points down.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path
    from matplotlib.transforms import Affine2D

    step = width / max(motif.length for motif in motifs)
    letters: dict[str, list[Path]] = {base: [] for base in BASES}
    for motif, bottom in zip(motifs, bottoms, strict=True):
        for position, bits in enumerate(motif.information().T):
            foot = bottom
            for i in bits.argsort():
                if bits[i] >= _LEAST:
                    tall = height * bits[i] / _BITS
                    place = Affine2D().scale(0.92 * step, tall).translate(left + position * step, foot)
                    letters[BASES[i]].append(place.transform_path(_letter(BASES[i])))
                    foot += tall
    # One shape of all letters of a kind is drawn much quicker than one of each.
    for base, paths in letters.items():
        if paths:
            shape = Path.make_compound_path(*paths)
            ax.add_patch(PathPatch(shape, facecolor=_COLORS[base], linewidth=0, label=f"_{base}"))


@cache
def _letter(base: str) -> Path:
    """Return a letter that fills the unit square."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    outline = TextPath((0, 0), base, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    box = outline.get_extents()
    return Affine2D().translate(-box.x0, -box.y0).scale(1 / box.width, 1 / box.height).transform_path(outline)
