"""Figures of a report: those of this package, and boxes of a number by label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._keys import UNASSIGNED
from ._both_domains import on_basis
from ._class_proportions import class_proportions
from ._colors import colors_in_objects, label_colors
from ._confusion import confusion
from ._figure import figure_of, grow, hand_over, new_axes
from ._label_flow import label_flow
from ._novelty import novelty
from ._reliability import reliability
from ._training_history import training_history
from ._transfer_umap import OF_REFERENCE, PANEL, PANELS, transfer_umap

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

Shown = list[tuple[Any, str]]
"""Figures, each with what it shows."""
_WIDTH, _ROW = 3.6, 0.3
"""Of boxes, and of a row of them, in inches."""
_BOX = {"whisker": (0.05, 0.95), "box": (0.25, 0.75)}
"""Quantiles."""
_MAPS = {
    "domain": "Cells of the reference and of the query in one map.",
    "reference labels": "Labels of the reference's cells.",
    "predicted labels": "Labels that the query's cells were given, in the same colors.",
    "true labels": "Known labels of the query's cells.",
    "confidence": "Score: calibrated probability of each cell's likeliest label.",
    "novelty": "Novelty: how unlike the reference each cell is.",
}


@contextmanager
def page_style() -> Iterator[None]:
    """Draw as for a white page, whatever the user's style is, the same each time; names of types are no formulas."""
    from matplotlib import pyplot as plt

    ours: dict[Any, Any] = {"text.parse_math": False, "svg.hashsalt": "scllmda"}
    with plt.ioff(), plt.style.context("default"), plt.rc_context(ours):
        yield


class ReportFigures:
    """Figures of one annotation, which are drawn when they are asked for."""

    def __init__(
        self,
        data: AnnData | MuData,
        adata: AnnData,
        key: str,
        reference: AnnData | MuData | None,
        of_reference: AnnData | None,
        truth: str | None,
        basis: str | None,
        mod: str,
    ) -> None:
        self._data, self._truth, self._reference, self._basis = data, truth, reference, basis
        has_reference = basis is None or len(on_basis(data, adata, key, basis, reference, mod)[0]) > 0
        absent = {*(() if has_reference else OF_REFERENCE), *(() if truth is not None else ("true labels",))}
        self._panels = [name for name in PANELS if name not in absent]
        self._common: dict[str, Any] = {"key": key, "mod": mod}
        self._return: dict[str, Any] = {**self._common, "return_fig": True}
        classes = [str(label) for label in adata.uns[key]["classes"]]
        both = None if reference is None or of_reference is None else (reference, of_reference)
        self._classes, self._written = classes, colors_in_objects(data, adata, key, reference=both)

    def maps(self) -> tuple[Shown, dict[str, str]]:
        """Return each panel of the map as a figure of its own, and the colors of labels.

        A narrow page puts them below one another, where the legend of one would be far from the others.
        """
        from matplotlib import pyplot as plt

        names = self._panels
        given: dict[str, Any] = {"reference": self._reference, "truth": self._truth, "basis": self._basis}
        axes = [plt.subplots(figsize=PANEL, layout="constrained")[1] for _ in names]
        # One call for all: the map is computed once, also where it cannot be kept.
        transfer_umap(self._data, panels=names, axes=axes, **given, **self._common)
        colors: dict[str, str] = {}
        for ax, name in zip(axes, names, strict=True):
            plt.close(figure_of(ax))
            legend: Any = ax.get_legend()
            if name != "domain" and legend is not None:
                texts = [text.get_text() for text in legend.get_texts()]
                colors = dict(zip(texts, (entry.get_color() for entry in legend.legend_handles), strict=True))
                legend.remove()
        return [(figure_of(ax), _MAPS[name]) for ax, name in zip(axes, names, strict=True)], colors

    def proportions(self) -> Shown:
        """Return shares of labels in reference and query."""
        figure = class_proportions(self._data, reference=self._reference, **self._return)
        return [(figure, "Share of each label among the cells of reference and query.")]

    def novelty(self) -> Shown:
        """Return novelty by raw label."""
        return [(novelty(self._data, **self._return), "Novelty of each cell, by its likeliest label.")]

    def against_truth(self, *, has_scores: bool) -> Shown:
        """Return how predicted labels compare with known ones; and scores, if cells with a known label have them."""
        options = {**self._return, "truth": self._truth}
        found: Shown = [
            (
                confusion(self._data, **options),
                "Predicted against known labels, as shares of each known label's cells.",
            ),
            (label_flow(self._data, **options), "Where the cells of each known label went."),
        ]
        if has_scores:
            found.append(
                (reliability(self._data, **options), "Whether cells of a score are as often right as it says.")
            )
        return found

    def training(self) -> Shown:
        """Return the losses of a network's training."""
        return [(training_history(self._data, **self._return), "Training of the network, by epoch.")]

    def boxes(self, values: pd.Series, labels: pd.Series, name: str, caption: str, *, log: bool = False) -> Shown:
        """Return a box per label of what cells have: quartiles and median, lines from the 5 % to the 95 % quantile.

        Parameters
        ----------
        values, labels
            (n_cells,).
        name
            Of the values.
        caption
            What is shown.
        log
            Whether they are numbers of something, on a logarithmic scale; else they are shares.
        """
        found = set(labels)
        classes = [label for label in self._classes if label in found]
        others = sorted(found - {*classes, UNASSIGNED})
        rows = [*classes, *others, *({UNASSIGNED} & found)]
        colors = label_colors(self._classes, others, None, self._written)
        return [(_boxes(values, labels, rows, colors, name, log=log), caption)]


def _boxes(
    values: pd.Series, labels: pd.Series, rows: list[str], colors: Mapping[str, str], name: str, *, log: bool
) -> Any:
    from matplotlib.ticker import LogLocator, NullFormatter

    inches = (_WIDTH, _ROW * max(3, len(rows)))
    ax = new_axes(*inches, rows)
    for i, row in enumerate(rows):
        of_row = values[(labels == row).to_numpy()]
        low, high = np.quantile(of_row, _BOX["whisker"])
        left, right = np.quantile(of_row, _BOX["box"])
        ax.hlines(i, low, high, color=colors[row], linewidth=1.5)
        ax.barh(i, right - left, 0.6, left=left, color=colors[row])
        ax.plot([of_row.median()] * 2, [i - 0.38, i + 0.38], color="black", linewidth=1.8)
    n_cells = labels.value_counts()
    ax.set_yticks(range(len(rows)), [f"{row} ({n_cells[row]:,})" for row in rows])
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlabel=name)
    ax.spines[["top", "right"]].set_visible(False)
    if log:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:,.0f}")
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_xlim(-0.02, 1.02)
    grow(ax, *inches)
    return hand_over([ax], is_own=True, save=None, show=False, return_fig=True)
