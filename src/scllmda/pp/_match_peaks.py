"""Bring a query onto the peaks of a reference."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from .. import _logging as logg
from .._anndata import counts, read, require_unique_peaks, write_slots
from ..genomics import best_overlaps, peak_intervals

if TYPE_CHECKING:
    from os import PathLike

    import numpy.typing as npt
    import pandas as pd
    from mudata import MuData


def match_peaks(
    query: AnnData | MuData | str | PathLike[str],
    reference: AnnData | MuData | str | PathLike[str],
    *,
    min_overlap: float = 0.5,
    layer: str | None = None,
    mod: str = "atac",
) -> AnnData:
    """Match the query's peaks to the reference's and sum its counts on them.

    If every reference peak is in the query by name, the query is reindexed. Else each query peak goes to the reference
    peak that it overlaps best (see :func:`scllmda.genomics.best_overlaps`), whatever the form of the names
    (``chr1:1-2``, ``chr1-1-2``, ``1_1_2``), and query peaks that go to the same one are summed. Features that are no
    intervals are matched by name, with a warning.

    Parameters
    ----------
    query
        Cells × peaks with raw or binary counts; object or path. Not changed.
    reference
        Whose peaks to use; only its ``.var`` is read. Object or path. Not changed. Peaks of both on the same genome
        build.
    min_overlap
        Smallest overlap, as a fraction (0-1) of the narrower of the two peaks. At 0 one base is enough.
    layer
        Layer of the query with its counts, ``.X`` if None.
    mod
        Modality that holds the peaks, where a MuData is given.

    Returns
    -------
    New AnnData of the query's cells on the reference's peaks: ``.obs``, ``.obsm``, ``.obsp`` and ``.uns`` are copies of
    the query's, ``.var`` of the reference's. With

    `.X` : :class:`scipy.sparse.csr_matrix`
        Counts, float32, 0 where the query has no matching peak.
    `.var["matched"]` : :class:`bool`
        Whether the query has a peak for this one.
    `.uns["match_peaks"]` : :class:`dict`
        ``n_reference``, ``n_query``, ``n_matched_reference``, ``n_matched_query`` (numbers of peaks),
        ``fraction_of_query_counts`` (share of the query's counts that is kept) and ``min_overlap``.

    Raises
    ------
    ValueError
        No peak matches, repeated peak names, invalid counts, or ``min_overlap`` not between 0 and 1.
    TypeError
        An object that is neither AnnData nor MuData.
    KeyError
        A MuData without the modality ``mod``.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> from scllmda.pp import match_peaks
    >>> query = AnnData(np.float32([[1, 2, 4]]), var=pd.DataFrame(index=["1:0-100", "1:90-200", "1:500-600"]))
    >>> reference = AnnData(var=pd.DataFrame(index=["chr1:0-200", "chr2:0-200"]))
    >>> matched = match_peaks(query, reference)
    >>> matched.X.toarray().tolist(), matched.var["matched"].tolist()
    ([[3.0, 0.0]], [True, False])
    """
    if not 0 <= min_overlap <= 1:
        msg = f"Found min_overlap={min_overlap!r}; expected a fraction between 0 and 1."
        raise ValueError(msg)
    query, reference = read(query, mod=mod), read(reference, mod=mod)
    require_unique_peaks(query, "query")
    require_unique_peaks(reference, "reference")
    start = logg.info("matching the query's peaks to the reference's")
    target = _target_peaks(query.var, reference.var, min_overlap)
    found = np.flatnonzero(target >= 0)

    X = counts(query, layer)
    assignment = sp.csr_matrix(
        (np.ones(len(found), dtype=np.float32), (found, target[found])), shape=(query.n_vars, reference.n_vars)
    )
    per_peak = np.asarray(X.sum(axis=0, dtype=np.float64)).ravel()
    summary = {
        "n_reference": reference.n_vars,
        "n_query": query.n_vars,
        "n_matched_reference": len(np.unique(target[found])),
        "n_matched_query": len(found),
        "fraction_of_query_counts": float(per_peak[found].sum() / per_peak.sum()) if per_peak.any() else 0.0,
        "min_overlap": float(min_overlap),
    }
    X = X @ assignment
    X.sort_indices()
    matched = AnnData(
        X,
        obs=query.obs.copy(),
        var=reference.var.copy(),
        obsm={key: value.copy() for key, value in query.obsm.items()},
        obsp={key: value.copy() for key, value in query.obsp.items()},
        uns=deepcopy(dict(query.uns)),
    )
    logg.info(
        f"    {summary['n_matched_query']} of {query.n_vars} query peaks match {summary['n_matched_reference']} of "
        f"{reference.n_vars} reference peaks, with {summary['fraction_of_query_counts']:.1%} of the query's counts"
    )
    is_matched = np.isin(np.arange(reference.n_vars), target)
    write_slots(matched, {("var", "matched"): is_matched, ("uns", "match_peaks"): summary}, start=start)
    return matched


def _target_peaks(query: pd.DataFrame, reference: pd.DataFrame, min_overlap: float) -> npt.NDArray[np.int64]:
    """Return the index of the reference peak of each query peak, -1 for none, shape (query peaks,)."""
    by_name = reference.index.get_indexer(query.index).astype(np.int64)
    n_shared = (by_name >= 0).sum()
    if n_shared == len(reference) > 0:
        return by_name
    try:
        intervals = peak_intervals(query), peak_intervals(reference)
    except ValueError as error:
        if n_shared == 0:
            msg = f"The query's and the reference's peaks share no name, and cannot be compared by position. {error}"
            raise ValueError(msg) from error
        logg.warning(f"Matched by name only ({n_shared} names are shared), not by position. {error}")
        return by_name
    target = best_overlaps(*intervals, min_overlap=min_overlap)
    if (target < 0).all():
        msg = (
            f"No query peak overlaps a reference peak by min_overlap={min_overlap}; expected peaks of the same genome. "
            f"The query has {_look(query)}, the reference {_look(reference)}. If they were called on different genome "
            "builds (hg19 and hg38, say), lift one of them over, or count the query's fragments in the reference's "
            "peaks."
        )
        raise ValueError(msg)
    return target


def _look(var: pd.DataFrame) -> str:
    return f"{len(var)} peaks such as {', '.join(var.index[:3])}"
