"""The figures of the benchmark pages, to be read at a width of 700 pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from _report_tables import cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURES = Path("figures")
WIDTH = 7.0
"""Inches, of 100 pixels each where the page is 700 wide; type of 8 points is 11 pixels high then."""
DPI = 160
PER_ROW = 3
KINDS = {
    "ours": "ours",
    "published": "published methods",
    "variant": "second stages on our cells",
    "baseline": "baselines",
}
COLORS = {
    "ours": "#D55E00",
    "published": "#0072B2",
    "variant": "#56B4E9",
    "baseline": "#777777",
}  # Okabe and Ito's, told apart by all


def panels(
    docs: Path,
    name: str,
    scored: pd.DataFrame,
    methods: list[str],
    tasks: list[str],
    column: str,
    title: str,
    kinds: Mapping[str, str],
) -> str:
    """Draw a panel per task, with a dot per seed and a line at the best mean; return the link to it."""
    from matplotlib import pyplot as plt

    scored = scored[scored["task"].isin(tasks) & scored["method"].isin(methods) & scored[column].notna()]
    methods = [m for m in methods if m in set(scored["method"])]
    n_rows = -(-len(tasks) // PER_ROW)
    height = n_rows * (0.55 + 0.16 * len(methods)) + 0.6
    drawn, axes = plt.subplots(
        n_rows, PER_ROW, figsize=(WIDTH, height), sharey=True, squeeze=False, layout="constrained"
    )
    for ax in axes.flat[len(tasks) :]:
        ax.set_axis_off()
    for ax, task in zip(axes.flat, tasks, strict=False):
        of = scored[scored["task"] == task]
        ax.axvline(of.groupby("method")[column].mean().max(), color="#BBBBBB", lw=0.8, zorder=0)
        dots(ax, of[column], of["method"], methods, kinds)
        ax.set_title(fill(task, 26), fontsize=8)
        ax.locator_params(axis="x", nbins=4)
    return finished(docs, name, drawn, f"{title} of each method on each task")


def behind(
    docs: Path, name: str, scored: pd.DataFrame, methods: list[str], tasks: list[str], kinds: Mapping[str, str]
) -> str:
    """Draw how far each method's macro-F1 is below the best of each task, a dot per task; return the link to it."""
    from matplotlib import pyplot as plt

    table = cells(scored, methods, tasks, "macro_f1")
    gaps = (table - table.max()).melt(ignore_index=False).dropna()
    drawn, ax = plt.subplots(figsize=(WIDTH, 0.8 + 0.19 * len(methods)), layout="constrained")
    dots(ax, gaps["value"], gaps.index, methods, kinds, alpha=0.55)
    n_tasks = table.notna().sum(axis=1)
    ax.set_yticks(range(len(methods)), [f"{m} ({n_tasks[m]})" for m in methods], fontsize=8)
    ax.set_xlabel("macro-F1 minus the best of the task; in brackets the number of tasks", fontsize=8)
    return finished(docs, name, drawn, "How far each method is below the best of each task")


def dots(
    ax: Axes,
    values: pd.Series,
    names: pd.Series | pd.Index,
    methods: list[str],
    kinds: Mapping[str, str],
    alpha: float = 1,
) -> None:
    """Draw a row of dots for each method."""
    y = np.array([methods.index(m) for m in names])
    ax.scatter(values, y, s=18, color=[COLORS[kinds[m]] for m in names], linewidths=0, alpha=alpha)
    ax.set_yticks(range(len(methods)), methods, fontsize=8)
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.tick_params(axis="x", labelsize=8)
    ax.grid(axis="y", lw=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def finished(docs: Path, name: str, drawn: Figure, alternative: str) -> str:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], marker="o", ls="", ms=5, color=COLORS[kind], label=text) for kind, text in KINDS.items()]
    drawn.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8, frameon=False)
    save(docs, name, drawn)
    return f"![{alternative}](../{FIGURES}/{name})"


def save(docs: Path, name: str, drawn: Figure) -> None:
    from matplotlib import pyplot as plt

    folder = docs / FIGURES
    folder.mkdir(parents=True, exist_ok=True)
    drawn.savefig(folder / name, dpi=DPI, metadata={"Software": None}, pil_kwargs={"optimize": True})
    plt.close(drawn)
