"""Bring a query onto the peaks of a reference."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData

from .. import _logging as logg
from .._anndata import read, write_slots
from .._checks import checked
from .._counts import counts
from .._peak_pairs import Mode, pair_peaks

if TYPE_CHECKING:
    from os import PathLike

    from mudata import MuData


@checked
def match_peaks(
    query: AnnData | MuData | str | PathLike[str],
    reference: AnnData | MuData | str | PathLike[str],
    *,
    min_overlap: float = 0.5,
    mode: Mode = "sum",
    chain: str | PathLike[str] | None = None,
    layer: str | None = None,
    mod: str = "atac",
) -> AnnData:
    """Match the query's peaks to the reference's and sum its counts on them.

    If every reference peak is in the query by name, the query is reindexed. Else each query peak goes to the reference
    peak that it overlaps best (see :func:`scllmda.genomics.best_overlaps`), whatever the form of the names
    (``chr1:1-2``, ``chr1-1-2``, ``1_1_2``). Features that are no intervals are matched by name, with a warning.

    Peaks of different genome builds also overlap here and there. They are refused where ``.uns["genome"]`` of both
    objects names the builds, and else where the peaks overlap no more than they do after shifting them along the genome
    (see :func:`scllmda.genomics.compare_with_chance`). Labels are never looked at.

    Parameters
    ----------
    query
        Cells × peaks with raw or binary counts; object or path. Not changed.
    reference
        Whose peaks to use; only its ``.var`` and ``.uns["genome"]`` are read. Object or path. Not changed.
    min_overlap
        Smallest overlap, as a fraction (0-1) of the narrower of the two peaks. At 0 one base is enough.
    mode
        What to do with peaks that overlap several: ``"sum"`` adds up the query peaks that go to the same reference
        peak; ``"best"`` matches one to one, a query and a reference peak only if each is the other's best overlap.
    chain
        UCSC chain file (plain or gzipped) from the query's genome build to the reference's, such as
        ``hg19ToHg38.over.chain.gz``, to lift the query's peaks over with. Peaks that are torn apart, or change their
        width by more than a factor of two, are left out (see :func:`scllmda.genomics.lift_over`). Peaks are then
        matched by position only, since equal names mean different places. None where both are of the same build.
    layer
        Layer of the query with its counts, ``.X`` if None.
    mod
        Modality that holds the peaks, where a MuData is given.

    Returns
    -------
    New AnnData of the query's cells on the reference's peaks: ``.obs``, ``.obsm``, ``.obsp`` and ``.uns`` are copies of
    the query's, ``.var`` of the reference's, and with ``chain`` also ``.uns["genome"]``. With

    `.X` : :class:`scipy.sparse.csr_matrix`
        Counts, float32, 0 where the query has no matching peak.
    `.var["matched"]` : :class:`bool`
        Whether the query has a peak for this one.
    `.uns["match_peaks"]` : :class:`dict`
        ``n_reference``, ``n_query``, ``n_matched_reference``, ``n_matched_query`` (numbers of peaks),
        ``fraction_of_query_counts`` (share of the query's counts that is kept), ``min_overlap`` and ``mode``. Where
        peaks were matched by position also ``expected_by_chance``, the fraction of query peaks (of those lifted over)
        that overlap a reference peak after shifting them. With ``chain`` also ``n_lifted``, the number of query peaks
        that could be lifted over.

    Raises
    ------
    ValueError
        Different genome builds, no peak matches or no more than by chance, a ``chain`` that is no chain file or lifts
        none of the peaks, repeated peak names, invalid counts, ``min_overlap`` not between 0 and 1, or an unknown
        ``mode``.
    FileNotFoundError
        There is no file ``chain``, or none at the path of an object.
    TypeError
        An object that is neither AnnData nor MuData.
    KeyError
        A MuData without the modality ``mod``.

    See Also
    --------
    scllmda.pp.count_fragments : Counts fragments on the reference's peaks instead.
    scllmda.tl.annotate : Pairs peaks by itself.

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
    >>> match_peaks(query, reference, mode="best").X.toarray().tolist()
    [[2.0, 0.0]]
    """
    query, reference = read(query, mod=mod), read(reference, mod=mod)
    start = logg.info("matching the query's peaks to the reference's")
    pairs = pair_peaks(query, reference, min_overlap=min_overlap, mode=mode, chain=chain)
    X = counts(query, layer, what="query")
    per_peak = np.asarray(X.sum(axis=0, dtype=np.float64)).ravel()
    found = pairs.target >= 0
    summary = {
        **pairs.report,
        "fraction_of_query_counts": float(per_peak[found].sum() / per_peak.sum()) if per_peak.any() else 0.0,
    }
    X = X @ pairs.assignment
    X.sort_indices()
    matched = AnnData(
        X,
        obs=query.obs.copy(),
        var=reference.var.copy(),
        obsm={key: value.copy() for key, value in query.obsm.items()},
        obsp={key: value.copy() for key, value in query.obsp.items()},
        uns=deepcopy(dict(query.uns)),
    )
    if chain is not None:
        # What the query notes of its genome is of the build that it was lifted from.
        for note in ("genome", "reference_sequences", "files"):
            matched.uns.pop(note, None)
            if note in reference.uns:
                matched.uns[note] = deepcopy(reference.uns[note])
    logg.info(
        f"    {summary['n_matched_query']} of {query.n_vars} query peaks match {summary['n_matched_reference']} of "
        f"{reference.n_vars} reference peaks, with {summary['fraction_of_query_counts']:.1%} of the query's counts"
    )
    write_slots(matched, {("var", "matched"): pairs.matched, ("uns", "match_peaks"): summary}, start=start)
    return matched
