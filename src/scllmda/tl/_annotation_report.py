"""What an annotation says of itself: one line on what was found, and warnings where it could be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _cautions
from .. import _logging as logg
from .._keys import UNASSIGNED
from ..calibration import CONTRADICTED, wrong_labels
from ..methods import Annotation
from ._choices import Choices


def contradicted(
    annotation: Annotation, codes: NDArray[np.integer], cells: NDArray[np.intp], names: pd.Index
) -> NDArray[np.object_]:
    """Return the names of reference cells whose label the rest of the reference contradicts.

    As :func:`scllmda.tl.check_reference` does, by predictions of the cells as they are seen in this annotation: by the
    peaks and as few counts as the query has.

    Parameters
    ----------
    annotation
        Annotation of all cells.
    codes
        (n_cells,) class codes in the annotation's order; -1 marks the query.
    cells
        Positions of the reference cells among these, in the order of ``names``.
    names
        Names of the reference cells.
    """
    if annotation.held_out is None:
        return np.zeros(0, dtype=object)
    reference = np.flatnonzero(codes >= 0)
    at = np.empty(len(codes), dtype=np.intp)
    at[reference] = np.arange(len(reference))
    chance, _ = wrong_labels(annotation.held_out[at[cells]], codes[cells])
    return names.to_numpy(dtype=object)[chance > CONTRADICTED]


def report(
    label: pd.Series,
    score: NDArray[np.floating],
    annotation: Annotation,
    coverage: Mapping[str, Any],
    choices: Choices,
    classes: NDArray[np.object_],
    *,
    n_contradicted: int,
    n_looked_at: tuple[int, int],
    has_sequence: bool,
    frozen: bool,
) -> None:
    """Say what was found, at scanpy's default verbosity, and warn of what could be wrong.

    Parameters
    ----------
    label
        (n_query,) labels after rejection.
    score
        (n_query,) calibrated probabilities of the raw labels.
    annotation
        Annotation of all cells.
    coverage
        Numbers of peaks, and where sequence came from; where cells were embedded before, neither is known.
    choices
        Method, and what else was chosen.
    classes
        Names of the classes.
    n_contradicted
        Number of reference cells whose label the other reference cells contradict.
    n_looked_at
        Number of reference cells that were looked at, and of all.
    has_sequence
        Whether there are sequences, or a genome, that the method could have used.
    frozen
        Whether the query was mapped to a reference that was fitted before.
    """
    key = choices.key_added
    names = label.astype(str)
    unassigned = (names == UNASSIGNED).mean()
    n_types = len(set(names) - {UNASSIGNED})
    parts = [
        f"{len(names):,} {'cell' if len(names) == 1 else 'cells'} labeled by {choices.method.name!r}",
        f"{n_types} {'type' if n_types == 1 else 'types'}",
        f"{unassigned:.1%} unassigned",
        f"median score {np.median(score):.2f}",
        *_sets(annotation),
        *_peaks(coverage),
        *_islands(annotation.history),
        *_sequence(coverage),
        *_looked_at(*n_looked_at),
    ]
    logg.result("; ".join(parts))
    if said := _cautions.of_contradicted(n_contradicted, key):
        logg.info(f"    {said}")
    if annotation.sets is not None and annotation.sets.always.any():
        logg.warning(
            f"In every prediction set are {classes[annotation.sets.always].tolist()}: too few of their cells were held "
            "out to exclude them. Pass a lower set_coverage=, or labels_key= a column of coarser types."
        )
    if said := _cautions.of_few_peaks(coverage):
        logg.warning(said)
    if has_sequence and coverage.get("sequence") == "none":
        mend = (
            "their embeddings do not tell the peaks apart. Embed the peaks of both objects by an encoder that does: "
            "sl.tl.embed_peaks(adata, encoder='kmer')."
        )
        if frozen:
            mend = (
                "the reference was fitted without. Run sl.tl.embed_peaks(reference), then "
                "sl.tl.cell_embeddings(reference)."
            )
        logg.warning(f"There are sequences, and none was used: {mend}")
    warn_of_shift(annotation.shift, len(names), choices)


def warn_of_shift(shift: float | None, n_query: int, choices: Choices) -> None:
    """Warn where novelty cannot tell novel cells, because domains are far apart or it is not known how far.

    Parameters
    ----------
    shift
        How many times as far from the reference's cells the query's are as those from one another; None if unknown.
    n_query
        Number of query cells.
    choices
        Whether novel cells were to be rejected, and above which shift a warning is given.
    """
    rejects, large = choices.max_false_rejection is not None, choices.novelty.large_shift
    if said := _cautions.of_shift(shift, n_query, key=choices.key_added, rejects=rejects, large_shift=large):
        logg.warning(said)


def _sets(annotation: Annotation) -> list[str]:
    """Return how many types the prediction sets of the query have; nothing without sets."""
    if annotation.sets is None:
        return []
    return [f"{annotation.sets.members[annotation.query].sum(axis=1).mean():.2f} types in a prediction set"]


def _peaks(coverage: Mapping[str, Any]) -> list[str]:
    """Return how many peaks the two objects share; nothing for one object."""
    if "n_query" not in coverage:
        return []
    n, m, n_all, m_all = (coverage[k] for k in ("n_matched_query", "n_matched_reference", "n_query", "n_reference"))
    if n == n_all and m == m_all:
        return [f"all {n:,} peaks shared"]
    return [f"{n:,} of {n_all:,} of the query's peaks are {m:,} of the reference's {m_all:,}"]


def _islands(history: Mapping[str, Any]) -> list[str]:
    """Return how many bins of the genome cells were compared by; nothing for methods that compare them by peaks."""
    return [f"{history['n_islands']:,} peak islands of both"] if "n_islands" in history else []


def _looked_at(n_looked_at: int, n_reference: int) -> list[str]:
    """Return how much of a very large reference was looked at; nothing of others."""
    return [f"{n_looked_at:,} of {n_reference:,} reference cells looked at"] if n_looked_at < n_reference else []


def _sequence(coverage: Mapping[str, Any]) -> list[str]:
    """Return which sequences were used; nothing for cells that were embedded before."""
    if "sequence" not in coverage:
        return []
    if coverage["sequence"] == "none":
        return ["no sequence"]
    return [f"sequence of {coverage.get('sequence_side', 'both')}: {coverage['sequence']}"]
