"""Reference and query side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from .._anndata import obs_column, resolve
from .._checks import checked
from .._keys import AnnotationKeys
from .._label_text import as_text
from ..get import annotation
from ._colors import class_colors
from ._figure import hand_over
from ._query_cells import query_cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

PANEL = (4.2, 4.0)
"""Inches."""


@checked
def transfer_umap(
    adata: AnnData | MuData,
    *,
    key: str = "scllmda",
    reference: AnnData | MuData | None = None,
    truth: str | None = None,
    show: bool | None = None,
    return_fig: bool = False,
    mod: str = "atac",
) -> Figure | list[Axes] | None:
    """Plot reference and query in one UMAP: domain, known beside predicted labels in the same colors, confidence.

    The UMAP is computed on the aligned representation of both, with scanpy and a fixed seed; nothing is written.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.annotate` or :func:`scllmda.tl.graph_da_annotate` wrote to.
    key
        Its ``key_added``.
    reference
        The reference that was given to ``annotate``, for its colors (``.uns[f"{labels_key}_colors"]``). Its cells are
        drawn either way, from ``.uns[key]["reference"]``.
    truth
        Column of ``.obs`` with known labels of the query, drawn in one more panel.
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

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> figure = sl.pl.transfer_umap(query, return_fig=True)
    """
    import scanpy as sc
    from matplotlib import pyplot as plt

    atac = resolve(adata, mod=mod)[1]
    table = annotation(atac, key)
    cells = _joint_cells(adata, atac, table, key)
    if truth is not None:
        known = as_text(obs_column(adata, atac, truth, parameter="truth"))
        cells.obs["truth"] = pd.Categorical([None] * (cells.n_obs - len(known)) + known.tolist())
    # Beyond some thousand cells scanpy would take pynndescent, whose release 0.7 it cannot read (scanpy 1.11).
    sc.pp.neighbors(cells, use_rep="X", transformer="sklearn", random_state=0)
    sc.tl.umap(cells, random_state=0)
    # In file order the query would hide the reference.
    cells = cells[np.random.default_rng(0).permutation(cells.n_obs)].copy()

    uns = atac.uns[key]
    colors = class_colors(
        list(uns["classes"]),
        None if reference is None else resolve(reference, mod=mod)[1],
        uns["reference"]["labels_key"],
    )
    colors |= _further(cells.obs["predicted"], colors)
    panels = {
        "domain": ("domain", {"reference": "#999999", "query": "#d95f02"}),
        "reference labels": ("reference", colors),
        "predicted labels": ("predicted", colors),
        **({"true labels": ("truth", colors | _further(cells.obs["truth"], colors))} if truth is not None else {}),
        "confidence": ("score", None),
    }
    figure, axes = plt.subplots(
        1, len(panels), figsize=(PANEL[0] * len(panels), PANEL[1]), squeeze=False, layout="constrained"
    )
    legend_on = "predicted labels" if truth is None else "true labels"
    for ax, (title, (column, palette)) in zip(axes[0], panels.items(), strict=True):
        sc.pl.umap(
            cells,
            color=column,
            palette=palette,
            ax=ax,
            title=title,
            show=False,
            frameon=False,
            size=float(np.clip(60_000 / cells.n_obs, 3, 40)),
            na_color="#e6e6e6",
            na_in_legend=False,
            legend_loc="right margin" if title in ("domain", legend_on) else "none",
            **({"vmin": 0, "vmax": 1, "color_map": "viridis"} if palette is None else {}),
        )
    return hand_over(figure, show=show, return_fig=return_fig)


def _joint_cells(data: AnnData | MuData, adata: AnnData, table: pd.DataFrame, key: str) -> AnnData:
    """Return reference then query cells: X is the aligned representation, obs what is drawn."""
    keys, uns = AnnotationKeys(key), adata.uns[key]
    aligned = np.asarray(adata.obsm[keys.aligned])
    query = query_cells(data, adata, key)
    if "X_da" in uns["reference"]:
        known, labels = uns["reference"]["X_da"], uns["classes"][uns["reference"]["codes"]]
    else:
        known, labels = aligned[~query], table["raw"][~query].astype(str).to_numpy()
    n_known, n_query = len(known), int(query.sum())
    nothing = [None] * n_known
    obs = pd.DataFrame(
        {
            "domain": pd.Categorical(["reference"] * n_known + ["query"] * n_query),
            "reference": pd.Categorical([*labels, *([None] * n_query)]),
            "predicted": pd.Categorical([*nothing, *table["label"][query].astype(str)]),
            "score": np.concatenate([np.full(n_known, np.nan), table["score"][query]]),
        },
        index=[f"reference {i}" for i in range(n_known)] + list(table.index[query].astype(str)),
    )
    return AnnData(np.vstack([known, aligned[query]]).astype(np.float32), obs=obs)


def _further(labels: pd.Series, colors: dict[str, str]) -> dict[str, str]:
    """Return shades of brown for labels without a color: coarser ones, and true ones that the reference lacks."""
    from matplotlib.colors import to_hex

    further = [c for c in labels.cat.categories if c not in colors]
    place = np.linspace(0, 1, len(further))
    return {c: to_hex((0.35 + 0.5 * x, 0.25 + 0.3 * x, 0.1)) for c, x in zip(further, place, strict=True)}
