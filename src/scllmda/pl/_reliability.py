"""Accuracy against confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._anndata import obs_column, read
from .._checks import checked
from .._label_text import as_text, has_label
from ..get import annotation
from ..metrics._reliability_bins import reliability_bins
from ._figure import hand_over
from ._query_cells import query_cells

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData


@checked
def reliability(
    adata: AnnData | MuData,
    *,
    truth: str,
    key: str = "scllmda",
    n_bins: int = 15,
    show: bool | None = None,
    return_fig: bool = False,
    mod: str = "atac",
) -> Figure | list[Axes] | None:
    """Plot accuracy against confidence: the reliability diagram of Guo et al. 2017.

    Points below the diagonal are overconfident. Their size and the bars, which have a logarithmic scale, show how many
    cells they stand for. The title has the expected calibration error (eq. 3), the mean over cells of the distance
    between point and diagonal.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.annotate` or :func:`scllmda.tl.graph_da_annotate` wrote to.
    truth
        Column of ``.obs`` with known labels of query cells. One that the reference lacks counts as an error.
    key
        ``key_added`` of the annotation, whose scores are compared with how often the raw labels are right. Left out are
        reference cells, cells without any open peak, and cells whose known label is missing or the annotation's
        ``unlabeled``.
    n_bins
        Number of equal-width confidence bins; 15 as in Guo et al. 2017 and :func:`scllmda.metrics.annotation_report`,
        whose ``ece`` is the one shown.
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
        No query cell has a known label and an open peak; ``n_bins`` below 1.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> figure = sl.pl.reliability(query, truth="cell_type", return_fig=True)
    """
    from matplotlib import pyplot as plt

    atac = read(adata, mod=mod)
    table = annotation(atac, key)
    known = obs_column(adata, atac, truth, parameter="truth")
    score = table["score"].to_numpy()
    query = query_cells(adata, atac, key)
    shown = query & has_label(known, atac.uns[key]["params"]["unlabeled"]) & (score > 0)
    if not shown.any():
        msg = (
            f"None of the {query.sum()} query cells has a label in .obs[{truth!r}] and an open peak; expected some. "
            "Pass truth= a column with known labels of query cells."
        )
        raise ValueError(msg)
    correct = table["raw"].astype(str).to_numpy() == as_text(known).to_numpy()
    bins = reliability_bins(score[shown], correct[shown], n_bins)

    figure, (ax, below) = plt.subplots(
        2, 1, figsize=(4.0, 4.8), height_ratios=(4, 1), sharex=True, layout="constrained"
    )
    filled = bins.n_cells > 0
    confidence, accuracy, n_cells = bins.confidence[filled], bins.accuracy[filled], bins.n_cells[filled]
    ax.plot([0, 1], [0, 1], color="#999999", linestyle="--", linewidth=1, zorder=1)
    ax.vlines(confidence, confidence, accuracy, color="#d95f02", alpha=0.4, linewidth=1.5)
    ax.plot(confidence, accuracy, color="#d95f02", alpha=0.4, linewidth=1.5)
    ax.scatter(confidence, accuracy, s=15 + 150 * n_cells / n_cells.max(), color="#d95f02", zorder=3)
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), ylabel="accuracy")
    ax.set_title(f"expected calibration error {bins.ece:.3f}", fontsize="medium")
    below.bar(np.arange(n_bins) / n_bins, bins.n_cells, width=1 / n_bins, align="edge", color="#999999", edgecolor="w")
    # Confident bins may hold a thousand times as many cells as others; from below 1, a bar of one cell is seen.
    below.set(yscale="log", ylim=(0.5, 2 * n_cells.max()))
    below.minorticks_off()
    below.yaxis.set_major_formatter("{x:,.0f}")
    below.set(xlabel=f"confidence ({shown.sum():,} cells)", ylabel="cells")
    return hand_over(figure, show=show, return_fig=return_fig)
