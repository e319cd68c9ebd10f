"""Our own colors are distinct to all eyes and on all backgrounds; palettes of users are taken as they are."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from anndata import AnnData
from matplotlib.colors import to_rgb

from scllmda._keys import UNASSIGNED
from scllmda.pl._colors import chosen_colors, label_colors, written_colors
from scllmda.pl._palette import DISTINCT, UNASSIGNED_COLOR, own_palette

mpl.use("Agg")

XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]])
# Machado et al. 2009, severity 1.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
)
PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)


def linear(colors: Any) -> np.ndarray:
    rgb = np.array([to_rgb(color) for color in colors])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def luminance(colors: Any) -> np.ndarray:
    return linear(colors) @ XYZ[1]


def contrast(colors: Any, other: str) -> np.ndarray:
    """Return contrasts by WCAG 2."""
    one, two = luminance(colors), luminance([other])
    return (np.maximum(one, two) + 0.05) / (np.minimum(one, two) + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    t = np.clip(rgb, 0, 1) @ XYZ.T / XYZ.sum(axis=1)
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * 841 / 108 + 4 / 29)
    return np.column_stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])])


def distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return distances by CIEDE2000 (Sharma et al. 2005) of colors in CIELAB, row by row."""
    (L1, a1, b1), (L2, a2, b2) = one.T, other.T
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    G = (1 - np.sqrt(mean**7 / (mean**7 + 25**7))) / 2
    a1, a2 = (1 + G) * a1, (1 + G) * a2
    C1, C2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    dL, dC = L2 - L1, C2 - C1
    dH = 2 * np.sqrt(C1 * C2) * np.sin(np.radians((h2 - h1 + 180) % 360 - 180) / 2)
    L, C = (L1 + L2) / 2, (C1 + C2) / 2
    h = (h1 + h2) / 2 + np.where(abs(h1 - h2) <= 180, 0, np.where(h1 + h2 < 360, 180, -180))
    T = 1 - 0.17 * _cos(h - 30) + 0.24 * _cos(2 * h) + 0.32 * _cos(3 * h + 6) - 0.2 * _cos(4 * h - 63)
    SL = 1 + 0.015 * (L - 50) ** 2 / np.sqrt(20 + (L - 50) ** 2)
    SC, SH = 1 + 0.045 * C, 1 + 0.015 * C * T
    turn = 60 * np.exp(-(((h - 275) / 25) ** 2))
    RT = -2 * np.sqrt(C**7 / (C**7 + 25**7)) * np.sin(np.radians(turn))
    return np.sqrt((dL / SL) ** 2 + (dC / SC) ** 2 + (dH / SH) ** 2 + RT * dC / SC * dH / SH)


def _cos(degrees: np.ndarray) -> np.ndarray:
    return np.cos(np.radians(degrees))


def smallest(colors: Any, seen: np.ndarray | None = None) -> float:
    """Return the smallest distance between any two colors, as eyes see them that a matrix stands for."""
    found = lab(linear(colors) if seen is None else linear(colors) @ seen.T)
    i, j = np.triu_indices(len(found), 1)
    return float(distance(found[i], found[j]).min())


def test_distance_is_the_published_one() -> None:
    # Pairs 1, 7, 17 and 25 of Sharma et al. 2005.
    one = np.array([[50, 2.6772, -79.7751], [50, 0, 0], [50, 2.5, 0], [60.2574, -34.0099, 36.2677]])
    other = np.array([[50, 0, -82.7485], [50, -1, 2], [73, 25, -18], [60.4626, -34.1751, 39.4387]])
    np.testing.assert_allclose(distance(one, other), [2.0425, 2.3669, 27.1492, 1.2644], atol=1e-4)


def test_first_eight_are_distinct_to_all_eyes() -> None:
    okabe_ito = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#000000"]
    for seen, least in ((None, 29), (DEUTERANOPIA, 15), (PROTANOPIA, 14)):
        assert smallest(DISTINCT[:8], seen) > least > smallest(okabe_ito, seen)


def test_forty_are_distinct() -> None:
    assert len(set(DISTINCT)) == 40
    assert smallest(DISTINCT) > 15
    assert smallest([*DISTINCT, UNASSIGNED_COLOR]) > 15, "no label looks like none"
    assert smallest([*DISTINCT[:8], UNASSIGNED_COLOR], DEUTERANOPIA) > 14


@pytest.mark.parametrize("ground", ["white", "black", "#1e1e1e"])
def test_all_are_seen_on_every_background(ground: str) -> None:
    assert contrast([*own_palette(40), UNASSIGNED_COLOR], ground).min() >= 2
    assert contrast(own_palette(200), ground).min() >= 2


def test_more_than_forty_are_warned_of(warnings: list[str]) -> None:
    assert own_palette(40) == list(DISTINCT)
    assert warnings == []
    found = own_palette(60)
    assert found[:40] == list(DISTINCT)
    assert len(set(found)) == 60
    assert len(warnings) == 1
    assert "60 labels" in warnings[0]
    assert "Pass palette=" in warnings[0]


def test_kinds_of_palettes() -> None:
    labels = ["B", "T", "NK"]
    assert list(label_colors(labels).values()) == [*DISTINCT[:3], UNASSIGNED_COLOR]
    assert label_colors(labels, palette=["red", (0, 1, 0), "C0"])["T"] == "#00ff00"
    assert label_colors(labels, palette=np.eye(3))["NK"] == "#0000ff"
    named = label_colors(labels, palette={"T": "red", UNASSIGNED: "k"})
    assert named == {"B": DISTINCT[0], "T": "#ff0000", "NK": DISTINCT[1], UNASSIGNED: "#000000"}
    assert label_colors(labels, palette="tab10")["B"] == "#1f77b4"
    assert label_colors(labels, palette="viridis")["NK"] == "#fde725", "its end"
    further = label_colors(labels, ["new"], ["red", "green", "blue"])
    assert further["new"] in DISTINCT, "a list has colors of classes"


def test_what_is_written_gives_way_to_the_palette() -> None:
    written = {"B": "#111111", "T": "#222222"}
    found = label_colors(["B", "T"], ["new"], {"B": "red"}, written)
    assert (found["B"], found["T"]) == ("#ff0000", "#222222")
    # Our color of the first label is taken, by another name.
    assert label_colors(["B", "T"], written={"B": DISTINCT[0]})["T"] != DISTINCT[0]
    alike = label_colors(["B", "T"], written={"T": "#2266ab"})
    assert alike["B"] == DISTINCT[1]
    # So many that all of ours look like one of them.
    many = {f"t{i}": color for i, color in enumerate(DISTINCT)}
    assert len(label_colors([*many, "new"], written=many)) == 42


@pytest.mark.parametrize(
    ("palette", "error", "message"),
    [
        (5, TypeError, r"Found palette=5 \(int\); expected colors by label, a list"),
        (
            "tab21",
            ValueError,
            r"Found palette='tab21'; expected the name of a matplotlib colormap.* Did you mean 'tab20'",
        ),
        (["red"], ValueError, r"with 1 colors for 2 names \('B', 'T'\); expected at least as many"),
        ("Pastel1", ValueError, None),
        (["red", "redd"], ValueError, r"Found 'redd' in palette=; expected a color of matplotlib"),
        ({"B": "redd"}, ValueError, r"Found 'redd' in palette="),
        ({"b": "red"}, ValueError, r"with colors of 'b'; expected some of 'B', 'T'"),
    ],
)
def test_palettes_that_are_none(palette: Any, error: type[Exception], message: str | None) -> None:
    if message is None:
        with pytest.raises(ValueError, match="with 9 colors for 12 names"):
            chosen_colors([f"t{i}" for i in range(12)], palette)
        return
    with pytest.raises(error, match=message):
        label_colors(["B", "T"], palette=palette)


def test_colors_of_an_object_are_those_of_its_categories() -> None:
    import pandas as pd

    adata = AnnData(obs=pd.DataFrame({"t": pd.Categorical(["B", "T"]), "n": [1.0, 2.0]}, index=["a", "b"]))
    assert written_colors(adata, adata, "t") == {}
    adata.uns["t_colors"] = np.array(["red", "#00f"])
    assert written_colors(adata, adata, "t") == {"B": "#ff0000", "T": "#0000ff"}
    adata.uns["n_colors"] = ["red", "blue"]
    assert written_colors(adata, adata, "n") == {"1": "#ff0000", "2": "#0000ff"}
    for stale in (["red"], ["red", "blue", "green"], ["red", "no color"]):
        adata.uns["t_colors"] = stale
        assert written_colors(adata, adata, "t") == {}
