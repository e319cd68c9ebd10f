"""Predicted against known labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._anndata import obs_column, resolve
from .._checks import checked
from .._label_text import as_text
from ..get import annotation
from ._figure import hand_over

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData


@checked
def confusion(
    adata: AnnData | MuData,
    *,
    truth: str,
    key: str = "scllmda",
    show: bool | None = None,
    return_fig: bool = False,
    mod: str = "atac",
) -> Figure | list[Axes] | None:
    """Plot predicted against known labels, as shares of each known label's cells.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.annotate` or :func:`scllmda.tl.graph_da_annotate` wrote to.
    truth
        Column of ``.obs`` with known labels. Cells without one are left out.
    key
        ``key_added`` of the annotation.
    show
        Show the figure; None as ``scanpy.settings.autoshow``.
    return_fig
        Return the figure instead.
    mod
        Modality of a MuData that holds the peaks.

    Returns
    -------
    The figure if ``return_fig``; the list of axes if ``show=False``; else None.

    Raises
    ------
    KeyError
        There is no such annotation, or no column ``truth``.
    ValueError
        No cell has a known label.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> figure = sl.pl.confusion(query, truth="cell_type", return_fig=True)
    """
    from matplotlib import pyplot as plt

    atac = resolve(adata, mod=mod)[1]
    predicted = annotation(atac, key)["label"].astype(str)
    # By position: barcodes may repeat.
    known = as_text(obs_column(adata, atac, truth, parameter="truth"))
    has_label = known.notna().to_numpy()
    if not has_label.any():
        msg = f"No cell has a label in .obs[{truth!r}]; expected known labels to compare with."
        raise ValueError(msg)
    table = pd.crosstab(known.to_numpy()[has_label], predicted.to_numpy()[has_label])
    rows = list(table.index)
    columns = [c for c in rows if c in table.columns] + [c for c in table.columns if c not in rows]
    counts = table[columns].to_numpy()
    share = counts / counts.sum(axis=1, keepdims=True)

    size = (2.6 + 0.5 * len(columns), 1.8 + 0.42 * len(rows))
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(rows)), [f"{r} ({n:,})" for r, n in zip(rows, counts.sum(axis=1), strict=True)])
    ax.set_xlabel("predicted")
    ax.set_ylabel(f"{truth} (cells)")
    for i, j in np.argwhere(share >= 0.005):
        ax.text(
            j, i, f"{share[i, j]:.2f}", ha="center", va="center", fontsize=8, color="w" if share[i, j] > 0.5 else "k"
        )
    figure.colorbar(image, ax=ax, label="share of the known label", shrink=0.8)
    return hand_over(figure, show=show, return_fig=return_fig)
