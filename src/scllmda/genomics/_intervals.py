"""Genomic intervals, from peak names or columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

ACCEPTED_FORMS = "chr1:100-200, chr1-100-200 or chr1_100_200"
"""Forms of peak names that are understood, for messages."""

# R writes 100000 as 1e+05.
_POSITION = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,3}|[0-9](?:\.[0-9]{1,11})?[eE]\+?[0-9]{1,2}|[0-9]{1,12})"
# The last colon ends the contig: those of HLA genes hold some themselves.
_NAME = re.compile(
    r"(\S*[^:\s_-])(?:"
    + "|".join(rf"{sign}({_POSITION}){then}({_POSITION})" for sign, then in (":-", "--", "__"))
    + ")"
)


@dataclass(frozen=True, eq=False)
class Intervals:
    """Genomic intervals, 0-based and half-open like BED.

    Parameters
    ----------
    chrom
        Contig of each interval, shape (n,).
    start
        First base, counted from 0, shape (n,).
    end
        Base after the last one, shape (n,).

    Raises
    ------
    ValueError
        Arrays of different lengths, a start below 0, or an end that is not after its start.

    Examples
    --------
    >>> from scllmda.genomics import Intervals
    >>> Intervals.from_names(["chr1:1,000-1,500", "chrX_5_9"]).width.tolist()
    [500, 4]
    """

    chrom: npt.NDArray[np.str_]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        """Check the intervals once, so that nothing after has to."""
        if not len(self.chrom) == len(self.start) == len(self.end):
            msg = (
                f"Found {len(self.chrom)} contigs, {len(self.start)} starts and {len(self.end)} ends; "
                "expected as many of each."
            )
            raise ValueError(msg)
        self._refuse(self.start < 0, "start before their contig", "start >= 0 (positions count from 0)")
        self._refuse(self.end <= self.start, "are empty or reversed", "end > start (0-based, half-open)")

    def __len__(self) -> int:
        """Return the number of intervals."""
        return len(self.start)

    @property
    def width(self) -> npt.NDArray[np.int64]:
        """Width of each interval in base pairs, shape (n,)."""
        return self.end - self.start

    @classmethod
    def from_names(cls, names: Sequence[str] | npt.ArrayLike | pd.Index) -> Self:
        """Read intervals from their names.

        Parameters
        ----------
        names
            ``chr1:100-200``, ``chr1-100-200`` or ``chr1_100_200``; the contig may itself hold ``_``, ``-``, ``.`` or
            ``:``, the numbers may be grouped by commas, or be written as R does (``1e+05``).

        Raises
        ------
        ValueError
            Some names are no intervals.
        """
        given = pd.Series(np.asarray(names), dtype="string")
        chrom, start, end = positions_in_names(given)
        bad = chrom.isna().to_numpy()
        if bad.any():
            msg = (
                f"{bad.sum()} of {len(given)} peak names are no intervals (first: {first_of(given[bad])}); "
                f"expected {ACCEPTED_FORMS}. Rename the peaks, or put their positions in .var['chrom'], "
                ".var['start'] and .var['end']."
            )
            raise ValueError(msg)
        return cls(as_text(chrom), start.astype(np.int64), end.astype(np.int64))

    @classmethod
    def from_columns(cls, chrom: npt.ArrayLike, start: npt.ArrayLike, end: npt.ArrayLike) -> Self:
        """Build intervals from three columns, 0-based and half-open.

        Parameters
        ----------
        chrom
            Contigs, shape (n,).
        start
            Whole numbers, or text that holds them, shape (n,).
        end
            As ``start``.

        Raises
        ------
        ValueError
            A missing contig, or a position that is not a whole number.
        """
        missing = pd.isna(pd.Series(np.asarray(chrom)))
        if missing.any():
            msg = f"{missing.sum()} of {len(missing)} peaks have no contig; expected one for each, such as 'chr1'."
            raise ValueError(msg)
        return cls(as_text(chrom), _whole_numbers(start, "start"), _whole_numbers(end, "end"))

    def names(self) -> npt.NDArray[np.str_]:
        """Return the names ``chrom:start-end``, shape (n,)."""
        positions = np.char.add(np.char.add(self.start.astype(np.str_), "-"), self.end.astype(np.str_))
        return np.char.add(np.char.add(self.chrom, ":"), positions)

    def _refuse(self, bad: npt.NDArray[np.bool_], found: str, expected: str) -> None:
        if bad.any():
            msg = f"{bad.sum()} of {len(self)} intervals {found} (first: {self.names()[bad][0]}); expected {expected}."
            raise ValueError(msg)


def bare_contig(name: str) -> str:
    """Return a contig's name in the form that UCSC (chr1, chrM) and Ensembl (1, MT) share.

    >>> from scllmda.genomics import bare_contig
    >>> bare_contig("chr1"), bare_contig("1"), bare_contig("chrM")
    ('1', '1', 'MT')
    """
    bare = name.removeprefix("chr")
    return "MT" if bare == "M" else bare


def positions_in_names(names: pd.Series) -> tuple[pd.Series, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return contig, start and end of each name; missing where a name holds none, or positions that are not whole.

    Parameters
    ----------
    names
        (n,) of dtype "string".
    """
    # A loop over names is five times as quick as pandas' .str.extract.
    found = (None if name is pd.NA else _NAME.fullmatch(name) for name in names)
    parts = [("", "", "") if match is None else [group for group in match.groups() if group] for match in found]
    chrom = pd.Series([part[0] or None for part in parts], index=names.index, dtype="string")
    start, end = (whole_or_nan(pd.Series([part[at].replace(",", "") for part in parts])) for at in (1, 2))
    return chrom.where(~np.isnan(start) & ~np.isnan(end)), start, end


def whole_or_nan(values: pd.Series) -> npt.NDArray[np.float64]:
    """Return values as numbers, NaN where a value is no whole number."""
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isfinite(numbers) & (numbers == np.floor(numbers)), numbers, np.nan)


def as_text(values: npt.ArrayLike) -> npt.NDArray[np.str_]:
    """Return values as text."""
    return np.asarray(np.asarray(values, dtype=object), dtype=np.str_)


def first_of(values: pd.Series[Any], n: int = 3) -> str:
    """Return the first few values, for a message."""
    return ", ".join(repr(value) for value in values.iloc[:n])


def _whole_numbers(values: npt.ArrayLike, column: str) -> npt.NDArray[np.int64]:
    given = pd.Series(np.asarray(values))
    numbers = whole_or_nan(given)
    bad = np.isnan(numbers)
    if bad.any():
        msg = (
            f"{bad.sum()} of {len(given)} values of {column!r} are no whole numbers (first: {first_of(given[bad])}); "
            "expected positions in base pairs. Convert the column."
        )
        raise ValueError(msg)
    return numbers.astype(np.int64)
