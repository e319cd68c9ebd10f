"""What to be cautious of in an annotation, in words: said by the tool that makes it, and in its report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FEW_PEAKS = 0.2
"""Share of its peaks that query and reference have in common, below which (on both sides) the user is warned. From
donor to donor of bone marrow, .69, .77 and .81 of the cells got the right coarse type where 10, 33 and 67 % of the
peaks were shared, and .87 with all peaks (and all cells of the reference)."""

MOST_TOLD = 100
"""Shift up to which a number is told: where all cells lie nearly at one point, larger ones are rounding."""


def of_few_peaks(coverage: Mapping[str, Any]) -> str | None:
    """Return what to say where reference and query have little in common to be compared by.

    Parameters
    ----------
    coverage
        Numbers of peaks, as ``.uns[key]["coverage"]`` has them.
    """
    if "n_query" not in coverage or coverage.get("n_own"):
        return None
    n_query, n_matched = coverage["n_query"], coverage["n_matched_query"]
    of_query, of_reference = n_matched / max(n_query, 1), coverage["n_matched_reference"] / coverage["n_reference"]
    if max(of_query, of_reference) >= FEW_PEAKS:
        return None
    said = (
        f"The query shares {n_matched:,} of its {n_query:,} peaks with the reference ({of_query:.1%}, and "
        f"{of_reference:.1%} of the reference's): labels rest on few counts per cell, and on which cells of the "
        "query are alike."
    )
    if "n_lifted" in coverage:
        # Its fragments are of another genome build than the reference's peaks.
        return said
    return (
        f"{said} Where there are fragments of its whole genome, count them on the reference's peaks: "
        "scllmda.pp.count_fragments(fragments, reference)."
    )


def of_shift(shift: float | None, n_query: int, *, key: str, rejects: bool, large_shift: float) -> str | None:
    """Return what to say where novelty cannot tell novel cells: domains are far apart, or it is not known how far.

    Parameters
    ----------
    shift
        How many times as far from the reference's cells the query's are as those from one another; None if unknown.
    n_query
        Number of query cells.
    key
        ``key_added`` of the annotation.
    rejects
        Whether novel cells were to be rejected.
    large_shift
        Shift above which to say something.
    """
    if rejects and shift is None:
        return (
            f"No cell was rejected as novel: among {n_query} query cells no type has enough to tell how far the "
            f"query lies from the reference. Look at novelty yourself: sl.get.annotation(adata, {key!r})['novelty']."
        )
    if shift is None or shift <= large_shift:
        return None
    times = f"{shift:.1f}" if shift < MOST_TOLD else f"more than {MOST_TOLD}"
    return (
        f"Most predicted types lie {times} times as far from the reference's cells as those from "
        "one another. Either the platforms differ much, or the query has none of the reference's types: novelty "
        "does not count what all have in common, and cannot tell the two apart. Look at "
        f"sl.pl.transfer_umap(adata, key={key!r}) and at marker peaks."
    )


def of_contradicted(n: int, key: str) -> str | None:
    """Return what to say of ``n`` reference cells whose label the other reference cells contradict."""
    if n == 0:
        return None
    return (
        f"{n} reference cells have a label that the other reference cells contradict; their names "
        f"are in .uns[{key!r}]['reference']['contradicted']"
    )
