"""Marker motifs as one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._anndata import read
from .._checks import checked
from ._marker_rows import chosen_groups, marker_rows

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

_STATISTICS = ("log2fc", "fraction", "background", "score", "pvalue", "fdr")


@checked
def marker_motifs(
    adata: AnnData | MuData,
    key: str = "scllmda_marker_motifs",
    *,
    group: str | Sequence[str] | None = None,
    fdr: float = 0.05,
    min_log2fc: float | None = 0,
    n_motifs: int | None = None,
    best_of_cluster: bool = True,
    mod: str = "atac",
) -> pd.DataFrame:
    """Return marker motifs as one table, the most significant ones of each label first.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.marker_motifs` wrote to.
    key
        Its ``key_added``: ``f"{groupby}_marker_motifs"`` by default.
    group
        Label, or labels in the order in which they are to come. None: all.
    fdr
        Largest false discovery rate. 1 for all motifs.
    min_log2fc
        Least log2 fold change. 0 for motifs that are more frequent than in other peaks; None for those that are less
        frequent too.
    n_motifs
        Most motifs of a label. None: all that there are.
    best_of_cluster
        Show the most significant motif of each cluster of similar ones alone.
    mod
        Modality of a MuData that holds the peaks.

    Returns
    -------
    A row per label and motif: ``group``, ``motif`` (its id), ``name``, ``family``, ``cluster``, and, as
    :func:`scllmda.tl.marker_motifs` describes them, ``log2fc``, ``fraction``, ``background``, ``score``, ``pvalue`` and
    ``fdr``. By p-values, and by scores where these are equal.

    Raises
    ------
    KeyError
        There are no marker motifs under this key.
    ValueError
        There is no such label.

    See Also
    --------
    scllmda.tl.marker_motifs : Writes what is read here, and has an example.
    """
    atac = read(adata, mod=mod)
    result = atac.uns.get(key, {})
    if missing := {"groups", "motifs", *_STATISTICS} - set(result):
        msg = f"Did not find marker motifs {key!r} (no {sorted(missing)} in .uns). Run sl.tl.marker_motifs first."
        raise KeyError(msg)
    groups = [str(name) for name in result["groups"]]
    motifs = result["motifs"]
    parts = []
    for name in chosen_groups(groups, group):
        column = {statistic: np.asarray(result[statistic])[:, groups.index(name)] for statistic in _STATISTICS}
        rows = marker_rows(column, fdr=fdr, min_log2fc=min_log2fc)
        if best_of_cluster:
            cluster = motifs["cluster"].to_numpy()[rows]
            rows = rows[np.sort(np.unique(cluster, return_index=True)[1])]
        rows = rows[:n_motifs]
        about = {"motif": motifs.index[rows], **{c: motifs[c].to_numpy()[rows] for c in ("name", "family", "cluster")}}
        parts.append(pd.DataFrame({"group": name, **about, **{s: c[rows] for s, c in column.items()}}))
    return pd.concat(parts, ignore_index=True)
