"""Which peak of a reference each peak of a query is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from . import _logging as logg
from ._anndata import require_peaks
from ._genome_notes import contig_lengths, noted_build
from .genomics import (
    ACCEPTED_FORMS,
    CHROM_COLUMNS,
    PeakPositions,
    bare_contig,
    best_overlaps,
    compare_with_chance,
    lift_over,
    peak_positions,
    read_chains,
)

if TYPE_CHECKING:
    from os import PathLike

    import numpy.typing as npt
    import pandas as pd

    from .genomics import Chains, Intervals

Mode = Literal["sum", "best"]


def _chain(of_query: str | None = None, of_reference: str | None = None) -> str:
    """Return what to pass to lift the query over; UCSC's name of the file, if both builds are known."""
    name = "hg19ToHg38.over.chain.gz, say"
    if of_query is not None and of_reference is not None:
        name = f"{of_query}To{of_reference[:1].upper()}{of_reference[1:]}.over.chain.gz"
    return f"pass the UCSC chain file that leads from the query's build to the reference's, as chain= ({name})"


class NotComparableError(ValueError):
    """The peaks of two objects have nothing to do with each other."""


class OtherBuildError(NotComparableError):
    """The peaks of two objects are of different genome builds, by what the objects say themselves."""


@dataclass(frozen=True)
class PeakPairs:
    """The reference peak of each query peak."""

    target: npt.NDArray[np.int64]
    """(query peaks,): row of the reference peak that a query peak is paired with, -1 if there is none."""
    n_reference: int
    """Number of reference peaks."""
    report: dict[str, Any]
    """What is kept in ``.uns``: numbers of peaks, and how they were compared."""
    positions: tuple[PeakPositions, PeakPositions] | None = None
    """Positions of the peaks of query and reference; None if they were paired by name alone."""

    @property
    def assignment(self) -> sp.csr_matrix:
        """(query peaks, reference peaks): 1 where two peaks are paired."""
        found = np.flatnonzero(self.target >= 0)
        ones = np.ones(len(found), dtype=np.float32)
        return sp.csr_matrix((ones, (found, self.target[found])), shape=(len(self.target), self.n_reference))

    @property
    def matched(self) -> npt.NDArray[np.bool_]:
        """(reference peaks,): whether a query peak is paired with a reference peak."""
        return np.isin(np.arange(self.n_reference), self.target)


@dataclass(frozen=True)
class JointPeaks:
    """The reference's peaks, followed by peaks that only the query has."""

    pairs: PeakPairs
    """Which query peaks are paired with reference peaks."""
    query_only: npt.NDArray[np.intp]
    """(n_own,): rows, in the query, of the peaks that only the query has."""

    @property
    def assignment(self) -> sp.csr_matrix:
        """(query peaks, joint peaks): 1 where a query peak is, or is paired with, a joint peak."""
        n_query, n_own = len(self.pairs.target), len(self.query_only)
        own = sp.csr_matrix(
            (np.ones(n_own, dtype=np.float32), (self.query_only, np.arange(n_own))), shape=(n_query, n_own)
        )
        return sp.csr_matrix(sp.hstack([self.pairs.assignment, own]))

    @property
    def in_query(self) -> npt.NDArray[np.bool_]:
        """(joint peaks,): whether the query has a peak."""
        return np.concatenate([self.pairs.matched, np.ones(len(self.query_only), dtype=bool)])


def query_only_peaks(pairs: PeakPairs, embeddings: npt.NDArray[np.floating] | None) -> npt.NDArray[np.intp]:
    """Return the rows of the unpaired query peaks that have a row without NaN in ``embeddings`` (query peaks, d)."""
    if embeddings is None:
        return np.zeros(0, dtype=np.intp)
    return np.flatnonzero((pairs.target < 0) & np.isfinite(embeddings).all(axis=1))


def pair_peaks(
    query: AnnData,
    reference: AnnData,
    *,
    min_overlap: float,
    mode: str = "sum",
    chain: str | PathLike[str] | None = None,
    none_allowed: bool = False,
    one_build: bool = False,
) -> PeakPairs:
    """Pair peaks by name or position; :func:`scllmda.pp.match_peaks` says how, and what it raises.

    With ``none_allowed``, for callers that can do without shared peaks, peaks that have nothing to do with each other
    are left unpaired with a warning, where otherwise there is an error. Not if a chain file was given to bring them
    together; nor, with ``one_build``, for callers that compare positions, if both name genome builds that differ.
    """
    if mode not in get_args(Mode):
        msg = f"Found mode={mode!r}; expected one of {', '.join(map(repr, get_args(Mode)))}."
        raise ValueError(msg)
    chains = None if chain is None else read_chains(chain)
    require_peaks(query, "query")
    require_peaks(reference, "reference")
    try:
        if chains is None:
            _refuse_other_build(query, reference)
        else:
            _refuse_other_chain(query, reference, chains)
        target, by_position, positions = _target_peaks(query.var, reference.var, min_overlap, mode, chains)
    except NotComparableError as error:
        if chain is not None or not none_allowed or (one_build and isinstance(error, OtherBuildError)):
            raise
        connects = "their places in the genome connect" if one_build else "sequence connects"
        logg.warning(f"No peak is shared, only {connects} query and reference. {error}")
        target, by_position, positions = np.full(query.n_vars, -1, dtype=np.int64), {}, None
    found = target[target >= 0]
    report = {
        "n_reference": reference.n_vars,
        "n_query": query.n_vars,
        "n_matched_reference": len(np.unique(found)),
        "n_matched_query": len(found),
        "min_overlap": float(min_overlap),
        "mode": mode,
        **by_position,
    }
    return PeakPairs(target, reference.n_vars, report, positions)


def _refuse_other_build(query: AnnData, reference: AnnData) -> None:
    """Raise if the genome builds that both objects note differ; warn if it cannot be told whether they do."""
    lengths = contig_lengths(query), contig_lengths(reference)
    differ = [name for name in lengths[0] if lengths[1].get(name, lengths[0][name]) != lengths[0][name]]
    if differ:
        name = differ[0]
        msg = (
            f"Contigs of the query and of the reference differ in length (first: {name!r}, {lengths[0][name]} and "
            f"{lengths[1][name]} bp, by .uns['reference_sequences']); expected one genome build. To lift the query "
            f"over, {_chain()}."
        )
        raise OtherBuildError(msg)
    of_query, of_reference = noted_build(query, "query"), noted_build(reference, "reference")
    if of_query is None or of_reference is None:
        return
    if of_query.build is None or of_reference.build is None:
        if of_query.text != of_reference.text:
            logg.warning(
                f"The query's peaks are of the genome build {of_query.text!r} ({of_query.where}), the reference's of "
                f"{of_reference.text!r} ({of_reference.where}). Not both are known here, so that the peaks decide "
                "whether they are comparable. If they are of one build, write the same name to .uns['genome'] of both."
            )
        return
    if of_query.build != of_reference.build:
        msg = (
            f"The query's peaks are of the genome build {of_query.text!r} ({of_query.where}), the reference's of "
            f"{of_reference.text!r} ({of_reference.where}); expected the same. To lift the query over, "
            f"{_chain(of_query.build, of_reference.build)}. If "
            "one of the names is wrong, correct it."
        )
        raise OtherBuildError(msg)


def _refuse_other_chain(query: AnnData, reference: AnnData, chains: Chains) -> None:
    """Raise if a chain file leads from, or to, another genome build than the objects note."""
    notes = noted_build(query, "query"), noted_build(reference, "reference")
    builds = [None if note is None else note.build for note in notes]
    if all(None in pair or pair[0] == pair[1] for pair in zip(builds, chains.builds, strict=True)):
        return
    found = " and ".join(
        f"the {what}'s of {note.text!r} ({note.where})"
        for what, note in zip(("query", "reference"), notes, strict=True)
        if note is not None
    )
    source, target = (build or "an unknown build" for build in chains.builds)
    is_one = builds[0] is not None and builds[0] == builds[1]
    expected = "no chain: leave chain= out" if is_one else f"the other way, or another chain: {_chain(*builds)}"
    msg = (
        f"The chain leads from {source} to {target}, by the lengths of chromosome 1, and peaks are {found}; expected "
        f"{expected}. If one of the names is wrong, correct it."
    )
    raise ValueError(msg)


def _target_peaks(
    query: pd.DataFrame, reference: pd.DataFrame, min_overlap: float, mode: str, chains: Chains | None
) -> tuple[npt.NDArray[np.int64], dict[str, float], tuple[PeakPositions, PeakPositions] | None]:
    """Return the row of the reference peak of each query peak, -1 for none, shape (query peaks,).

    Also numbers for the report, if peaks were compared by position; and their positions, if these were read.
    """
    by_name = reference.index.get_indexer(query.index).astype(np.int64)
    n_shared = (by_name >= 0).sum()
    if chains is None and n_shared == len(reference) > 0:
        return by_name, {}, None
    where = _positions(query, "query"), _positions(reference, "reference")
    unknown = [what for what, found in zip(("query", "reference"), where, strict=True) if not len(found.rows)]
    if unknown:
        names = " and ".join(f"the {what}'s peaks" for what in unknown)
        lost = f"{names} are no intervals. The query has {_look(query)}, the reference {_look(reference)}; expected "
        lost += f"{ACCEPTED_FORMS}, or their positions in .var['chrom'], .var['start'] and .var['end']."
        if chains is not None:
            msg = f"Nothing can be lifted over: {lost}"
            raise ValueError(msg)
        if n_shared == 0:
            msg = f"The query's and the reference's peaks share no name, and cannot be compared by position: {lost}"
            raise NotComparableError(msg)
        logg.warning(f"Matched by name only ({n_shared} names are shared), not by position: {lost}")
        return by_name, {}, where
    intervals, rows = (where[0].intervals, where[1].intervals), where[0].rows
    looks = f"The query has {_look(query)}, the reference {_look(reference)}."
    if chains is None:
        advice = _on_renaming(query, *intervals) or f"If they are of different genome builds, {_chain()}."
        of_known, report = _by_position(*intervals, min_overlap, mode, f"{looks} {advice}")
    else:
        advice = f"{looks} Check that the chain leads the right way: {_chain()}."
        lifted, there = lift_over(intervals[0], chains)
        if len(there) == 0:
            contigs = ", ".join(np.unique(chains.source.chrom)[:3])
            msg = (
                f"None of the query's peaks can be lifted over, the chain leads from contigs such as {contigs}. "
                f"{advice}"
            )
            raise ValueError(msg)
        logg.info(f"    {len(there)} of {len(query)} query peaks could be lifted over")
        of_known, report = _by_position(lifted, intervals[1], min_overlap, mode, advice)
        rows, report = rows[there], {**report, "n_lifted": len(there)}
    target = np.full(len(query), -1, dtype=np.int64)
    target[rows] = np.where(of_known >= 0, where[1].rows[of_known], -1)
    return target, report, where


def _positions(var: pd.DataFrame, what: str) -> PeakPositions:
    """Return the positions of an object's peaks; warn of those that cannot be read."""
    try:
        found = peak_positions(var)
    except ValueError as error:
        msg = f"The {what}: {error}"
        raise ValueError(msg) from error
    for remark in found.remarks:
        logg.warning(f"The {what}: {remark}")
    return found


def _on_renaming(query: pd.DataFrame, query_peaks: Intervals, reference_peaks: Intervals) -> str | None:
    """Return advice if no contig of the query has a name that the reference knows; None if one has."""
    mine, others = (sorted(set(np.unique(side.chrom).tolist())) for side in (query_peaks, reference_peaks))
    if {bare_contig(name) for name in mine} & {bare_contig(name) for name in others}:
        return None
    found = f"No contig of the query ({', '.join(mine[:3])}) has the name of one of the reference's "
    found += f"({', '.join(others[:3])})."
    prefixes = _prefixes(mine, others)
    if prefixes is None:
        return f"{found} If they are of different genome builds, {_chain()}; if they are the same contigs, rename them."
    column = next((name for name in CHROM_COLUMNS if name in query), None)
    in_names = query.index.str.startswith(mine[0]).any() or column is None
    holder = "query.var_names" if in_names else f"query.var[{column!r}]"
    return (
        f"{found} If they are the same contigs, rename them: "
        f"{holder} = {holder}.str.replace({'^' + prefixes[0]!r}, {prefixes[1]!r}, regex=True)."
    )


def _prefixes(mine: list[str], others: list[str]) -> tuple[str, str] | None:
    """Return the prefixes by which names of contigs in two lists differ ("", "chr"); None if no two names end alike."""
    for name in mine:
        for other in others:
            short, long = sorted((name.lower(), other.lower()), key=len)
            if long.endswith(short) and not long.removesuffix(short)[-1:].isdigit():
                pairs = zip(reversed(name), reversed(other), strict=False)
                n_same = next((i for i, (a, b) in enumerate(pairs) if a != b), len(short))
                return name[: len(name) - n_same], other[: len(other) - n_same]
    return None


def _by_position(
    query: Intervals, reference: Intervals, min_overlap: float, mode: str, advice: str
) -> tuple[npt.NDArray[np.int64], dict[str, float]]:
    best = best_overlaps(query, reference, min_overlap=min_overlap)
    overlaps = best >= 0
    if not overlaps.any():
        msg = (
            f"No query peak overlaps a reference peak by min_overlap={min_overlap}; expected peaks of the same genome "
            f"build. {advice}"
        )
        raise NotComparableError(msg)
    by_chance, is_chance = compare_with_chance(query, reference, overlaps, min_overlap=min_overlap)
    if is_chance:
        msg = (
            f"{overlaps.mean():.2%} of {len(query)} query peaks overlap a reference peak, and {by_chance:.2%} do by "
            f"chance, after shifting them; expected at least twice as many in most regions of the genome, as peaks of "
            f"the same genome build have. {advice}"
        )
        raise NotComparableError(msg)
    if mode == "best":
        best_of_reference = best_overlaps(reference, query, min_overlap=min_overlap)
        best[best_of_reference[best] != np.arange(len(query))] = -1
    return best, {"expected_by_chance": by_chance}


def _look(var: pd.DataFrame) -> str:
    return f"{len(var)} peaks such as {', '.join(var.index[:3])}"
