"""Bring a query onto the peaks of a reference."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from .. import _logging as logg
from .._anndata import counts, read, require_unique_peaks, write_slots
from ..genomics import best_overlaps, compare_with_chance, lift_over, peak_intervals, read_chains

if TYPE_CHECKING:
    from os import PathLike

    import numpy.typing as npt
    import pandas as pd
    from mudata import MuData

    from ..genomics import Chains, Intervals

Mode = Literal["sum", "best"]

_BUILDS = {
    "ncbi36": "hg18",
    "grch37": "hg19",
    "hs37d5": "hg19",
    "grch38": "hg38",
    "ncbim37": "mm9",
    "mgscv37": "mm9",
    "grcm38": "mm10",
    "grcm39": "mm39",
}
_KNOWN_BUILD = re.compile("|".join([*_BUILDS, *sorted(set(_BUILDS.values()))]))
_CHAIN = (
    "give pp.match_peaks the UCSC chain file that leads from the query's build to the reference's, as chain= "
    "(hg19ToHg38.over.chain.gz, say)"
)


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
    if not 0 <= min_overlap <= 1:
        msg = f"Found min_overlap={min_overlap!r}; expected a fraction between 0 and 1."
        raise ValueError(msg)
    if mode not in get_args(Mode):
        msg = f"Found mode={mode!r}; expected one of {', '.join(map(repr, get_args(Mode)))}."
        raise ValueError(msg)
    chains = None if chain is None else read_chains(chain)
    query, reference = read(query, mod=mod), read(reference, mod=mod)
    if chains is None:
        _refuse_other_build(query, reference)
    require_unique_peaks(query, "query")
    require_unique_peaks(reference, "reference")
    start = logg.info("matching the query's peaks to the reference's")
    target, by_position = _target_peaks(query.var, reference.var, min_overlap, mode, chains)
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
        "mode": mode,
        **by_position,
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
    if chains is not None:
        matched.uns.pop("genome", None)
        if "genome" in reference.uns:
            matched.uns["genome"] = deepcopy(reference.uns["genome"])
    logg.info(
        f"    {summary['n_matched_query']} of {query.n_vars} query peaks match {summary['n_matched_reference']} of "
        f"{reference.n_vars} reference peaks, with {summary['fraction_of_query_counts']:.1%} of the query's counts"
    )
    is_matched = np.isin(np.arange(reference.n_vars), target)
    write_slots(matched, {("var", "matched"): is_matched, ("uns", "match_peaks"): summary}, start=start)
    return matched


def _refuse_other_build(query: AnnData, reference: AnnData) -> None:
    genomes = query.uns.get("genome"), reference.uns.get("genome")
    if all(isinstance(genome, str) for genome in genomes) and _build(genomes[0]) != _build(genomes[1]):
        msg = (
            f"The query's peaks are of the genome build {genomes[0]!r} (.uns['genome']), the reference's of "
            f"{genomes[1]!r}; expected the same. To lift the query over, {_CHAIN}. If one of the names is wrong, "
            "correct it."
        )
        raise ValueError(msg)


def _build(genome: str) -> str:
    """Return the name UCSC gives to a build, also of one inside a longer name (GRCh38.p14), else the name itself."""
    name = genome.strip().lower()
    known = _KNOWN_BUILD.search(name)
    return _BUILDS.get(known.group(), known.group()) if known else name


def _target_peaks(
    query: pd.DataFrame, reference: pd.DataFrame, min_overlap: float, mode: Mode, chains: Chains | None
) -> tuple[npt.NDArray[np.int64], dict[str, float]]:
    """Return the index of the reference peak of each query peak, -1 for none, shape (query peaks,).

    If peaks were compared by position, also what is to be reported of that.
    """
    by_name = reference.index.get_indexer(query.index).astype(np.int64)
    n_shared = (by_name >= 0).sum()
    if chains is None and n_shared == len(reference) > 0:
        return by_name, {}
    try:
        intervals = peak_intervals(query), peak_intervals(reference)
    except ValueError as error:
        if chains is not None:
            raise
        if n_shared == 0:
            msg = f"The query's and the reference's peaks share no name, and cannot be compared by position. {error}"
            raise ValueError(msg) from error
        logg.warning(f"Matched by name only ({n_shared} names are shared), not by position. {error}")
        return by_name, {}
    looks = f"The query has {_look(query)}, the reference {_look(reference)}."
    if chains is None:
        return _by_position(*intervals, min_overlap, mode, f"{looks} If they are of different genome builds, {_CHAIN}.")
    advice = f"{looks} Check that the chain leads the right way: {_CHAIN}."
    lifted, rows = lift_over(intervals[0], chains)
    if len(rows) == 0:
        contigs = ", ".join(np.unique(chains.source.chrom)[:3])
        msg = f"None of the query's peaks can be lifted over, the chain leads from contigs such as {contigs}. {advice}"
        raise ValueError(msg)
    logg.info(f"    {len(rows)} of {len(query)} query peaks could be lifted over")
    of_lifted, report = _by_position(lifted, intervals[1], min_overlap, mode, advice)
    target = np.full(len(query), -1, dtype=np.int64)
    target[rows] = of_lifted
    return target, {**report, "n_lifted": len(rows)}


def _by_position(
    query: Intervals, reference: Intervals, min_overlap: float, mode: Mode, advice: str
) -> tuple[npt.NDArray[np.int64], dict[str, float]]:
    best = best_overlaps(query, reference, min_overlap=min_overlap)
    overlaps = best >= 0
    if not overlaps.any():
        msg = (
            f"No query peak overlaps a reference peak by min_overlap={min_overlap}; expected peaks of the same genome "
            f"build. {advice}"
        )
        raise ValueError(msg)
    by_chance, is_chance = compare_with_chance(query, reference, overlaps, min_overlap=min_overlap)
    if is_chance:
        msg = (
            f"{overlaps.mean():.2%} of {len(query)} query peaks overlap a reference peak, and {by_chance:.2%} do by "
            f"chance, after shifting them; expected at least twice as many in most regions of the genome, as peaks of "
            f"the same genome build have. {advice}"
        )
        raise ValueError(msg)
    if mode == "best":
        best_of_reference = best_overlaps(reference, query, min_overlap=min_overlap)
        best[best_of_reference[best] != np.arange(len(query))] = -1
    return best, {"expected_by_chance": by_chance}


def _look(var: pd.DataFrame) -> str:
    return f"{len(var)} peaks such as {', '.join(var.index[:3])}"
