"""Genomic intervals, from peak names or columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

ACCEPTED_FORMS = "chr1:100-200, chr1-100-200 or chr1_100_200"

_POSITION = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,3}|[0-9]{1,12})"
_COORDINATES = rf":{_POSITION}-{_POSITION}|-{_POSITION}-{_POSITION}|_{_POSITION}_{_POSITION}"
# A colon ends the contig, so that "atac:chr1:1-2" is no interval.
_NAME = rf"^(?P<chrom>[^:\s]*[^:\s_-])(?P<coordinates>{_COORDINATES})$"
_CHROM_COLUMNS = ("chrom", "chr", "seqnames")


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
            ``chr1:100-200``, ``chr1-100-200`` or ``chr1_100_200``; the contig may itself hold ``_``, ``-`` or ``.``,
            the numbers may be grouped by commas.

        Raises
        ------
        ValueError
            Some names are no intervals.
        """
        given = pd.Series(np.asarray(names), dtype="string")
        parts = given.str.extract(_NAME)
        bad = parts["chrom"].isna()
        if bad.any():
            msg = (
                f"{bad.sum()} of {len(given)} peak names are no intervals (first: {_first(given[bad])}); "
                f"expected {ACCEPTED_FORMS}. Rename the peaks, or put their positions in .var['chrom'], "
                ".var['start'] and .var['end']."
            )
            raise ValueError(msg)
        positions = parts["coordinates"].str.replace(",", "").str.extract(r"([0-9]+).([0-9]+)$").astype("int64")
        return cls(_text(parts["chrom"]), positions[0].to_numpy(np.int64), positions[1].to_numpy(np.int64))

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
        return cls(_text(chrom), _whole_numbers(start, "start"), _whole_numbers(end, "end"))

    def names(self) -> npt.NDArray[np.str_]:
        """Return the names ``chrom:start-end``, shape (n,)."""
        positions = np.char.add(np.char.add(self.start.astype(np.str_), "-"), self.end.astype(np.str_))
        return np.char.add(np.char.add(self.chrom, ":"), positions)

    def _refuse(self, bad: npt.NDArray[np.bool_], found: str, expected: str) -> None:
        if bad.any():
            msg = f"{bad.sum()} of {len(self)} intervals {found} (first: {self.names()[bad][0]}); expected {expected}."
            raise ValueError(msg)


def peak_intervals(var: pd.DataFrame) -> Intervals:
    """Return the intervals of the peaks of ``.var``.

    Parameters
    ----------
    var
        Peaks. Taken from the columns ``chrom`` (or ``chr``, ``seqnames``), ``start`` and ``end`` (0-based, half-open)
        if all are there, else from the index, see :meth:`Intervals.from_names`.

    Raises
    ------
    ValueError
        The columns hold no positions, or the index no interval names.
    """
    chrom = next((column for column in _CHROM_COLUMNS if column in var), None)
    if chrom is not None and "start" in var and "end" in var:
        return Intervals.from_columns(var[chrom], var["start"], var["end"])
    return Intervals.from_names(var.index)


def bare_contig(name: str) -> str:
    """Return a contig's name in the form that UCSC (chr1, chrM) and Ensembl (1, MT) share.

    >>> from scllmda.genomics import bare_contig
    >>> bare_contig("chr1"), bare_contig("1"), bare_contig("chrM")
    ('1', '1', 'MT')
    """
    bare = name.removeprefix("chr")
    return "MT" if bare == "M" else bare


def _text(values: npt.ArrayLike) -> npt.NDArray[np.str_]:
    return np.asarray(np.asarray(values, dtype=object), dtype=np.str_)


def _whole_numbers(values: npt.ArrayLike, column: str) -> npt.NDArray[np.int64]:
    given = pd.Series(np.asarray(values))
    numbers = pd.to_numeric(given, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    bad = ~np.isfinite(numbers) | (numbers != np.floor(numbers))
    if bad.any():
        msg = (
            f"{bad.sum()} of {len(given)} values of {column!r} are no whole numbers (first: {_first(given[bad])}); "
            "expected positions in base pairs. Convert the column, or drop it to use the peak names."
        )
        raise ValueError(msg)
    return numbers.astype(np.int64)


def _first(values: pd.Series[Any], n: int = 3) -> str:
    return ", ".join(repr(value) for value in values.iloc[:n])
