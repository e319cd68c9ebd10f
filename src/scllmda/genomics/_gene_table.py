"""Genes as intervals: of a BED, a GTF or GFF, or a data frame."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from dataclasses import dataclass
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ._intervals import as_text, whole_or_nan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

_GZIP_MAGIC = b"\x1f\x8b"
_NO_DATA = ("#", "track ", "track\t", "browser ", "browser\t")
"""How lines begin that hold no interval."""
_FEATURES = ("gene", "transcript", "mRNA")
"""Features of a GTF or GFF that are read, the first of them that the file has."""
_COLUMNS: dict[str, tuple[str, ...]] = {
    "chrom": ("chrom", "chr", "seqnames", "seqname", "chromosome"),
    "start": ("start",),
    "end": ("end",),
    "strand": ("strand",),
    "name": ("name", "gene_name", "gene_id", "gene"),
}
"""Columns of a data frame, in lower case; the first that is there is read."""
_STRANDS = {"+": "+", "-": "-", "1": "+", "-1": "-"}
"""How strands are written; BioMart has numbers."""
_MOST_LEFT_OUT = 0.1
"""Largest share of the intervals that may be left out because their strand or name is not known. Annotations have a few
genes on both strands (trans-spliced ones); a list without strands is of something else."""


@dataclass(frozen=True, eq=False)
class GeneTable:
    """The n intervals of a source, all valid: 0-based and half-open.

    Parameters
    ----------
    chrom
        Contig of each, shape (n,).
    start
        First base, counted from 0, shape (n,).
    end
        Base after the last one, shape (n,).
    strand
        ``"+"``, ``"-"``, or ``"."`` where it is not known, shape (n,).
    name
        Gene or transcript, empty where the source has none, shape (n,).
    source
        What the source is called in messages.
    unit
        What its intervals are called in messages: "lines" or "rows".
    """

    chrom: npt.NDArray[np.str_]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    strand: npt.NDArray[np.str_]
    name: npt.NDArray[np.str_]
    source: str
    unit: str

    def left_out(self, is_kept: npt.NDArray[np.bool_], lack: str, why: str, *, advice: str) -> tuple[str, ...]:
        """Return a remark on the intervals that are not kept; none if all are.

        Parameters
        ----------
        is_kept
            Whether each interval is kept, shape (n,).
        lack
            What the others are or have: "have no strand".
        why
            What follows from it: ", so that …".
        advice
            What was expected, and how to mend it, for the error.

        Raises
        ------
        ValueError
            They are more than a tenth.
        """
        if is_kept.all():
            return ()
        lost = [self.chrom[~is_kept][0], str(self.start[~is_kept][0]), str(self.end[~is_kept][0])]
        found = (
            f"{(~is_kept).sum()} of {len(is_kept)} {self.unit} of {self.source} {lack} (first: {' '.join(lost)!r}){why}"
        )
        if (~is_kept).mean() > _MOST_LEFT_OUT:
            msg = f"{found}; {advice}"
            raise ValueError(msg)
        return (f"{found}. They are left out.",)


def read_gene_table(source: str | PathLike[str] | pd.DataFrame, what: str) -> GeneTable:
    """Read genes, transcripts or starts from a BED, a GTF or GFF, plain or gzipped, or a data frame.

    Files are told apart by what is in them, whatever they are called. Of a GTF or GFF the genes are read, else, where
    it has none, the transcripts (``transcript``, ``mRNA``), by the attribute ``gene_name`` (``Name``, ``gene``), else
    ``gene_id`` (``ID``).

    Parameters
    ----------
    source
        Path or data frame, as :func:`read_tss` and :func:`read_genes` describe them.
    what
        What is read, for messages: "genes".

    Returns
    -------
    The intervals, in the order of the source.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        No interval, other columns, a position that is no whole number, an interval that is empty or reversed, or a
        damaged file.
    TypeError
        ``source`` is neither a path nor a data frame.
    """
    if isinstance(source, pd.DataFrame):
        return _checked(_of_columns(source, what), "the data frame", "rows", what)
    if not isinstance(source, str | PathLike):
        msg = f"Found {source!r} ({type(source).__name__}) for {what}; expected a path or a pandas.DataFrame."
        raise TypeError(msg)
    path = Path(source).expanduser()
    if not path.is_file():
        msg = f"Found no file {str(path)!r}; expected a BED, GTF or GFF with {what}."
        raise FileNotFoundError(msg)
    try:
        table = _of_file(path, what)
    except (OSError, EOFError, zlib.error) as error:
        msg = f"Cannot read {str(path)!r} ({error}); expected a BED, GTF or GFF, plain or gzipped. Download it again."
        raise ValueError(msg) from error
    return _checked(table, repr(str(path)), "lines", what)


def _of_columns(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """Return the columns of a user's table that are read."""
    given: dict[str, int] = {}
    for i, column in enumerate(table.columns):
        given.setdefault(str(column).lower(), i)
    found = {
        name: next((given[alias] for alias in aliases if alias in given), None) for name, aliases in _COLUMNS.items()
    }
    absent = [name for name in ("chrom", "start", "end") if found[name] is None]
    if absent:
        msg = (
            f"The data frame of {what} has no column {' and no '.join(map(repr, absent))}, only "
            f"{list(table.columns)}; expected 'chrom', 'start' and 'end' (0-based, half-open), and 'strand' for "
            "intervals longer than a base. Rename its columns."
        )
        raise ValueError(msg)
    return pd.DataFrame({name: np.asarray(table.iloc[:, i]) for name, i in found.items() if i is not None})


def _of_file(path: Path, what: str) -> pd.DataFrame:
    """Return the genes or starts of a file, with 0-based and half-open positions."""
    with path.open("rb") as file:
        is_gzipped = file.read(2) == _GZIP_MAGIC
    with gzip.open(path) if is_gzipped else path.open("rb") as raw:
        lines = _data_lines(io.TextIOWrapper(raw, "utf-8-sig", errors="replace"))
        first = next(lines, None)
        if first is None:
            msg = f"{str(path)!r} holds no line with an interval; expected a BED, GTF or GFF with {what}."
            raise ValueError(msg)
        by_tab, by_blank, both = first.rstrip("\r\n").split("\t"), first.split(), chain([first], lines)
        if _are_numbers(by_tab[3:5]):
            return _of_gtf(both, path, what)
        if _are_numbers(by_tab[1:3]):
            return _of_bed(both, "\t", len(by_tab), path)
        if _are_numbers(by_blank[1:3]):
            return _of_bed(both, r"\s+", len(by_blank), path)
    msg = (
        f"{str(path)!r} is no BED, GTF or GFF: its first line is {first[:80].rstrip()!r}; expected the start and the "
        "end in columns 2 and 3 (BED), or 4 and 5 (GTF, GFF). Of a table with names of columns, pass "
        "pandas.read_csv(path, …)."
    )
    raise ValueError(msg)


def _data_lines(lines: Iterable[str]) -> Iterator[str]:
    return (line for line in lines if not line.isspace() and not line.startswith(_NO_DATA))


def _are_numbers(fields: list[str]) -> bool:
    return len(fields) == 2 and all(field.isascii() and field.strip().isdigit() for field in fields)


def _of_bed(lines: Iterable[str], separator: str, n_columns: int, path: Path) -> pd.DataFrame:
    names = dict(zip(("chrom", "start", "end", "name", "score", "strand"), range(n_columns), strict=False))
    table = _table(lines, separator, n_columns, path)
    return pd.DataFrame({name: table[i] for name, i in names.items() if name != "score"})


def _of_gtf(lines: Iterable[str], path: Path, what: str) -> pd.DataFrame:
    kept: dict[str, list[str]] = {feature: [] for feature in _FEATURES}
    for line in lines:
        feature = line.split("\t", 3)[2:3]
        # Of what comes after the first gene, genes alone are needed, and there may be millions of lines.
        if feature and feature[0] in kept and (feature[0] == _FEATURES[0] or not kept[_FEATURES[0]]):
            kept[feature[0]].append(line)
    chosen = next((feature for feature in _FEATURES if kept[feature]), None)
    if chosen is None:
        msg = (
            f"{str(path)!r} looks like a GTF or GFF and has no feature {', '.join(map(repr, _FEATURES))} in its third "
            f"column; expected one of them. Pass the whole annotation, or a BED of {what}."
        )
        raise ValueError(msg)
    found = kept[chosen]
    table = _table(found, "\t", found[0].count("\t") + 1, path)
    attributes = table[8].astype("string") if 8 in table else pd.Series("", index=table.index, dtype="string")
    by_name, by_id = (
        attributes.str.extract(rf'(?:^|;)\s*(?:{keys})[ =]\s*"?([^";]+)', expand=False)
        for keys in ("gene_name|Name|gene", "gene_id|ID")
    )
    # Positions count from 1, and the end is the last base.
    start = pd.Series(whole_or_nan(table[3]) - 1).astype("Int64")
    strand = table[6] if 6 in table else pd.Series(".", index=table.index)
    return pd.DataFrame(
        {"chrom": table[0], "start": start, "end": table[4], "strand": strand, "name": by_name.fillna(by_id)}
    )


def _table(lines: Iterable[str], separator: str, n_columns: int, path: Path) -> pd.DataFrame:
    """Return the fields of lines as text; missing where a line has fewer."""
    try:
        return pd.read_csv(
            io.StringIO("".join(lines)),
            sep=separator,
            header=None,
            names=range(n_columns),
            index_col=False,
            dtype=str,
            na_filter=False,
            quoting=csv.QUOTE_NONE,
        )
    except pd.errors.ParserError as error:
        msg = (
            f"The lines of {str(path)!r} have different numbers of columns ({str(error).strip()}, comments not "
            "counted); expected as many in each. Correct the file."
        )
        raise ValueError(msg) from error


def _checked(table: pd.DataFrame, source: str, unit: str, what: str) -> GeneTable:
    """Return the intervals of a table of text or numbers; raise where they are none."""
    if not len(table):
        msg = f"Found no {unit} in {source}; expected {what}. Pass some."
        raise ValueError(msg)
    chrom = table["chrom"].astype("string").fillna("")
    start, end = (whole_or_nan(table[column]) for column in ("start", "end"))
    # A comparison with NaN is false.
    good = (start >= 0) & (end > start) & (chrom != "").to_numpy(bool)
    if not good.all():
        first = " ".join(map(str, table.loc[~good, ["chrom", "start", "end"]].iloc[0]))
        msg = (
            f"{(~good).sum()} of {len(table)} {unit} of {source} are no intervals (first: {first!r}); "
            "expected a contig, a start and an end that are whole numbers, with the end after the start: BED and data "
            "frames are 0-based and half-open, so that the base 100 of a GTF is 99 to 100. Correct or drop them."
        )
        raise ValueError(msg)
    strand = np.full(len(table), ".", dtype="U1")
    if "strand" in table:
        written = table["strand"].astype("string").str.strip().str.removesuffix(".0")
        strand[:] = written.map(_STRANDS).fillna(".")
    name = as_text(table["name"].astype("string").fillna("")) if "name" in table else np.zeros(len(table), dtype="U1")
    return GeneTable(as_text(chrom), start.astype(np.int64), end.astype(np.int64), strand, name, source, unit)
