"""Where the peaks of an object lie: by columns of ``.var``, or by their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ._intervals import (
    ACCEPTED_FORMS,
    Intervals,
    as_text,
    bare_contig,
    first_of,
    positions_in_names,
    whole_or_nan,
)

if TYPE_CHECKING:
    import numpy.typing as npt

CHROM_COLUMNS = ("chrom", "chr", "seqnames")
"""Columns of ``.var`` that may hold the contigs of peaks; the first that is there is read."""
MOST_UNREADABLE = 0.1
"""Largest share of the peaks that may be left out because their position cannot be read. A few odd names have slipped
into many peak lists. Where more than every tenth is no interval, the object holds something else beside peaks, such as
genes, and an error says so."""


LIKE_AN_INTERVAL = r"[:_-][0-9][0-9,.e+]*[-_][0-9][0-9,.e+]*$"
"""Regular expression that the names of peaks match, for the advice in messages."""


@dataclass(frozen=True, eq=False)
class PeakPositions:
    """Positions of the peaks whose position could be read."""

    intervals: Intervals
    """Position of each of these peaks."""
    rows: npt.NDArray[np.intp]
    """(n_known,): their rows in ``.var``, in increasing order."""
    n_peaks: int
    """Number of all peaks."""
    remarks: tuple[str, ...] = ()
    """Warnings for the user."""

    @property
    def is_known(self) -> npt.NDArray[np.bool_]:
        """(n_peaks,): whether the position of each peak could be read."""
        known = np.zeros(self.n_peaks, dtype=bool)
        known[self.rows] = True
        return known

    def among_all(self, assignment: sp.csr_matrix) -> sp.csr_matrix:
        """Return an assignment (n_known, m) of these peaks as one of all, (n_peaks, m): the others belong nowhere."""
        pairs = sp.coo_matrix(assignment)
        return sp.csr_matrix((pairs.data, (self.rows[pairs.row], pairs.col)), shape=(self.n_peaks, pairs.shape[1]))


def peak_positions(var: pd.DataFrame) -> PeakPositions:
    """Return where the peaks of ``.var`` lie.

    Taken from the columns ``chrom`` (or ``chr``, ``seqnames``), ``start`` and ``end`` (0-based, half-open) if all are
    there, else from the index, see :meth:`Intervals.from_names`. Columns that contradict names (another contig, or not
    a single base in common) are of something else, such as the nearest gene, or of before a lift-over: names are taken
    then, with a remark. Peaks whose position cannot be read, or which are empty or reversed, are left out with a
    remark; where no name is an interval at all, no position is known.

    Parameters
    ----------
    var
        Peaks.

    Raises
    ------
    ValueError
        It is known of some peaks where they lie, and not of more than a tenth of them.
    """
    names = _Positions.of_names(var.index)
    columns = _Positions.of_columns(var)
    found, remarks = names, []
    if columns is not None and not names.good.any():
        found = columns
    elif columns is not None:
        apart = columns.apart_from(names)
        if apart.any():
            where = columns.positions((), np.flatnonzero(apart)[:1]).intervals.names()[0]
            remarks.append(
                f"{apart.sum()} of {len(var)} peaks lie elsewhere by the columns {columns.source} than by their names "
                f"(first: {var.index[apart][0]!r}, at {where}); the names are taken. If the columns are right, rename "
                "the peaks by them; if they are of something else, such as the nearest gene, drop or rename them."
            )
        elif (columns.good >= names.good).all():
            found = columns
        else:
            remarks.append(
                f"The columns {columns.source} hold no position of {(names.good & ~columns.good).sum()} peaks whose "
                "names are intervals; the names are taken."
            )
    bad = ~found.good
    if bad.any() and found.good.any():
        lost = f"{bad.sum()} of {len(var)} peaks are no intervals by their {found.source} (first: "
        lost += f"{first_of(pd.Series(var.index[bad]))})"
        if bad.mean() > MOST_UNREADABLE:
            leave_out = "correct them"
            if (found.good == var.index.astype(str).str.contains(LIKE_AN_INTERVAL)).all():
                leave_out = (
                    "if they are something else, genes for example, leave them out: "
                    f"adata = adata[:, adata.var_names.str.contains(r'{LIKE_AN_INTERVAL}')].copy()"
                )
            msg = f"{lost}; expected {ACCEPTED_FORMS}, with the end after the start. Are they peaks? Then {leave_out}."
            raise ValueError(msg)
        remarks.append(f"{lost}; expected {ACCEPTED_FORMS}, with the end after the start. They are left out.")
    return found.positions(tuple(remarks))


def require_positions(var: pd.DataFrame, whose: str = "") -> PeakPositions:
    """Return :func:`peak_positions`; raise ValueError, also, if no position is known.

    ``whose`` peaks they are is said in the message: " of the query".
    """
    where = peak_positions(var)
    if not len(where.rows):
        msg = (
            f"None of the {len(var)} peaks{whose} is an interval by its name (first: {var.index[0]!r}); expected "
            f"{ACCEPTED_FORMS}, or positions in .var['chrom'], .var['start'] and .var['end']."
        )
        raise ValueError(msg)
    return where


@dataclass(frozen=True, eq=False)
class _Positions:
    """Positions of all peaks by one source: their names, or columns of ``.var``."""

    chrom: npt.NDArray[np.str_]
    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    good: npt.NDArray[np.bool_]
    """(n_peaks,): whether the source gives a valid position for a peak."""
    source: str
    """What the source is called in messages."""

    @classmethod
    def of_names(cls, index: pd.Index) -> _Positions:
        return cls._of(*positions_in_names(pd.Series(np.asarray(index), dtype="string")), "names")

    @classmethod
    def of_columns(cls, var: pd.DataFrame) -> _Positions | None:
        chrom = _chrom_column(var)
        if chrom is None:
            return None
        start, end = (whole_or_nan(pd.Series(np.asarray(var[column]))) for column in ("start", "end"))
        source = f".var[{chrom!r}], .var['start'] and .var['end']"
        return cls._of(pd.Series(np.asarray(var[chrom]), dtype="string"), start, end, source)

    @classmethod
    def _of(
        cls, chrom: pd.Series, start: npt.NDArray[np.float64], end: npt.NDArray[np.float64], source: str
    ) -> _Positions:
        # A comparison with NaN is false.
        good = chrom.notna().to_numpy(dtype=bool) & (start >= 0) & (end > start)
        return cls(as_text(chrom.fillna("")), start, end, good, source)

    def apart_from(self, other: _Positions) -> npt.NDArray[np.bool_]:
        """Return (n_peaks,) whether both sources give a position and these have no base in common."""
        code, contigs = pd.factorize(np.concatenate([self.chrom, other.chrom]))
        bare = pd.factorize(np.array([bare_contig(name) for name in contigs], dtype=object))[0]
        contig, other_contig = bare[code].reshape(2, -1) if len(code) else (code, code)
        disjoint = (self.end <= other.start) | (other.end <= self.start)
        return self.good & other.good & ((contig != other_contig) | disjoint)

    def positions(self, remarks: tuple[str, ...], rows: npt.NDArray[np.intp] | None = None) -> PeakPositions:
        rows = np.flatnonzero(self.good) if rows is None else rows
        start, end = (ends[rows].astype(np.int64) for ends in (self.start, self.end))
        return PeakPositions(Intervals(self.chrom[rows], start, end), rows, len(self.good), remarks)


def _chrom_column(var: pd.DataFrame) -> str | None:
    """Return the column with the contigs; None if ``.var`` has no columns with positions."""
    chrom = next((column for column in CHROM_COLUMNS if column in var), None)
    return chrom if chrom is not None and "start" in var and "end" in var else None
