"""Colors that can be told apart."""

from __future__ import annotations

import colorsys

from .. import _logging as logg

UNASSIGNED_COLOR = "#808080"
"""Of cells without a label; it is seen on white and on black."""

# Found by exchanging colors for as long as the smallest distance grew (CIEDE2000), among those whose contrast is at
# least 2 to white and to the #1e1e1e of dark notebooks. The smallest distance among all 40 is 15.2, to the gray above
# 17.2; scanpy's first 40 of 102 have 10.9. Among the first 8 it is 29.4, and as deuteranopes and protanopes see them
# (Machado et al. 2009) 15.6 and 14.0; Okabe and Ito's eight have 21.7, 11.6 and 12.2, and a black and a yellow that
# vanish on dark and on white. tests/pl/test_colors.py measures it.
DISTINCT = (
    *("#2266aa", "#ddaa11", "#33bb88", "#ff66bb", "#cc5511", "#22bbff", "#774466", "#006644"),
    *("#aa44dd", "#ff2255", "#aabb66", "#ff9999", "#008800", "#445555", "#445500", "#99aacc"),
    *("#aa7788", "#4433cc", "#55aaaa", "#aabbaa", "#668866", "#aa0044", "#6677ff", "#776644"),
    *("#dd0088", "#8877aa", "#227777", "#555577", "#bb0011", "#996655", "#665555", "#ccaacc"),
    *("#3388aa", "#ff8800", "#888800", "#884400", "#ccaa88", "#22bb00", "#cc88ff", "#aa7711"),
)
"""The first 8 are distinct to color-blind eyes too, all of them on white and on dark."""

_GOLDEN_RATIO = (5**0.5 - 1) / 2
_LUMINANCES = (0.12, 0.22, 0.36)
"""Relative to white: contrasts of 6.2, 3.9 and 2.6 to white, 3.4, 5.4 and 8.2 to black."""


def own_palette(n: int) -> list[str]:
    """Return ``n`` colors; beyond 40, which are all that can be told apart, hues follow one another by golden ratio."""
    if n > len(DISTINCT):
        logg.warning(
            f"{n} labels need as many colors, of which {len(DISTINCT)} can be told apart; further ones look alike. "
            "Pass palette= the colors of labels that matter, or panels of fewer labels."
        )
    return [*DISTINCT[:n], *(_further(i) for i in range(n - len(DISTINCT)))]


def _further(i: int) -> str:
    """Return the i-th color beyond the distinct ones: a hue, made as light as luminances say in turn."""
    hue = colorsys.hsv_to_rgb(i * _GOLDEN_RATIO % 1, 0.85, 1)
    linear = [_to_linear(channel) for channel in hue]
    found, wanted = luminance(hue), _LUMINANCES[i % len(_LUMINANCES)]
    if found > wanted:
        mixed = [channel * wanted / found for channel in linear]
    else:
        mixed = [channel + (1 - channel) * (wanted - found) / (1 - found) for channel in linear]
    return "#" + "".join(f"{round(255 * _from_linear(channel)):02x}" for channel in mixed)


def luminance(rgb: tuple[float, float, float]) -> float:
    """Return the relative luminance of a color of sRGB (WCAG 2): 0 of black, 1 of white."""
    red, green, blue = (_to_linear(channel) for channel in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _to_linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _from_linear(channel: float) -> float:
    return channel * 12.92 if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055
