"""Marker peaks as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._anndata import read
from .._checks import checked
from .._keys import MarkerKeys
from ._marker_rows import chosen_groups, marker_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from mudata import MuData


@checked
def marker_peaks(
    adata: AnnData | MuData,
    key: str = "scllmda_marker_peaks",
    *,
    group: str | Sequence[str] | None = None,
    fdr: float = 0.05,
    min_log2fc: float | None = 0,
    n_peaks: int | None = None,
    mod: str = "atac",
) -> pd.DataFrame:
    """Return marker peaks as one table, the most significant ones of each label first.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.marker_peaks` wrote to.
    key
        Its ``key_added``: ``f"{groupby}_marker_peaks"`` by default.
    group
        Label, or labels in the order in which they are to come. None: all.
    fdr
        Largest false discovery rate. 1 for all peaks.
    min_log2fc
        Least log2 fold change. 0 for peaks that are more open than in other cells; None for those that are less open
        too.
    n_peaks
        Most peaks of a label. None: all that there are.
    mod
        Modality of a MuData that holds the peaks.

    Returns
    -------
    A row per label and peak: ``group``, ``peak``, ``log2fc``, ``fraction``, ``background``, ``score``, ``pvalue``,
    ``fdr``, as :func:`scllmda.tl.marker_peaks` describes them; ``gene`` and ``distance`` if genes were given. By
    p-values, and by scores where these are equal.

    Raises
    ------
    KeyError
        There are no marker peaks under this key.
    ValueError
        There is no such label.

    See Also
    --------
    scllmda.tl.marker_peaks : Writes what is read here.

    Examples
    --------
    >>> import scllmda as sl
    >>> adata, _ = sl.datasets.simulate()
    >>> sl.tl.marker_peaks(adata, "cell_type")
    >>> table = sl.get.marker_peaks(adata, "cell_type_marker_peaks", group="B", n_peaks=5)
    >>> table.columns[:3].tolist(), len(table)
    (['group', 'peak', 'log2fc'], 5)
    """
    atac, keys = read(adata, mod=mod), MarkerKeys(key)
    if missing := [f".{attr}[{name!r}]" for attr, name in keys.slots if name not in getattr(atac, attr)]:
        there = [name for name in atac.uns if all(slot in atac.varm for slot in MarkerKeys(name).statistics.values())]
        mend = f"Pass key= one of those that are there: {there}." if there else "Run sl.tl.marker_peaks first."
        msg = f"Did not find marker peaks {key!r} ({', '.join(missing)}). {mend}"
        raise KeyError(msg)
    groups = [str(name) for name in atac.uns[key]["groups"]]
    arrays = {name: np.asarray(atac.varm[slot]) for name, slot in keys.statistics.items()}
    parts = []
    for name in chosen_groups(groups, group):
        column = {statistic: array[:, groups.index(name)] for statistic, array in arrays.items()}
        rows = marker_rows(column, fdr=fdr, min_log2fc=min_log2fc)[:n_peaks]
        part = pd.DataFrame({"group": name, "peak": atac.var_names[rows], **{s: c[rows] for s, c in column.items()}})
        if keys.gene in atac.var:
            part["gene"] = atac.var[keys.gene].astype(object).to_numpy()[rows]
            part["distance"] = atac.var[keys.distance].array[rows]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
