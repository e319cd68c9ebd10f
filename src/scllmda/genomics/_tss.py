"""Where transcription starts: by a BED, a GTF or GFF, or a data frame of genes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ._gene_table import read_gene_table

if TYPE_CHECKING:
    from os import PathLike

    import numpy.typing as npt
    import pandas as pd


@dataclass(frozen=True, eq=False)
class TranscriptionStarts:
    """The n places where transcription starts.

    Parameters
    ----------
    chrom
        Contig of each, shape (n,).
    position
        First transcribed base, counted from 0 on the forward strand, shape (n,).
    strand
        ``"+"``, ``"-"``, or ``"."`` where it is not known, shape (n,).
    name
        Gene or transcript, empty where the source has none, shape (n,).
    remarks
        Warnings for the user.
    """

    chrom: npt.NDArray[np.str_]
    position: npt.NDArray[np.int64]
    strand: npt.NDArray[np.str_]
    name: npt.NDArray[np.str_]
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of starts."""
        return len(self.position)


def read_tss(source: str | PathLike[str] | pd.DataFrame) -> TranscriptionStarts:
    r"""Read where transcription starts.

    An interval of a single base is a start itself. A longer one is a gene or a transcript, which starts at its first
    base on the forward strand, and at its last base on the reverse strand. Where the strand of a longer interval is not
    known, neither is where it starts: up to a tenth of the intervals are left out for that, with a remark.

    Files are told apart by what is in them, whatever they are called. Of a GTF or GFF the genes are read, else, where
    it has none, the transcripts (``transcript``, ``mRNA``): annATAC's number of islands is that of one start per gene.
    To have protein-coding genes alone, or the starts of all transcripts, pass a file or data frame that holds those.

    Parameters
    ----------
    source
        Path of a BED (3 or more columns; the strand is the sixth) or of a GTF or GFF, plain or gzipped; comments and
        lines of ``track`` and ``browser`` are skipped. Or a data frame with the columns ``chrom`` (or ``chr``,
        ``seqnames``, ``seqname``, ``chromosome``), ``start`` and ``end`` (0-based, half-open), and optionally
        ``strand`` (``+`` and ``-``, or 1 and -1) and ``name`` (or ``gene_name``, ``gene_id``, ``gene``), in upper or
        lower case, such as the ``.df`` of a pyranges object.

    Returns
    -------
    The starts, in the order of the source.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        No interval, other columns, a position that is no whole number, an interval that is empty or reversed, more than
        a tenth of the intervals longer than a base and without a strand, or a damaged file.
    TypeError
        ``source`` is neither a path nor a data frame.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from scllmda.genomics import read_tss
    >>> with TemporaryDirectory() as folder:
    ...     bed = Path(folder, "genes.bed")
    ...     _ = bed.write_text("chr1\t100\t900\tA\t0\t+\nchr1\t2000\t2500\tB\t0\t-\nchr2\t7\t8\tC\t0\t+\n")
    ...     tss = read_tss(bed)
    >>> tss.position.tolist(), tss.name.tolist()
    ([100, 2499, 7], ['A', 'B', 'C'])
    """
    table = read_gene_table(source, "genes or transcription start sites")
    known = (table.strand != ".") | (table.end - table.start == 1)
    remarks = table.left_out(
        known,
        "are longer than a base and have no strand",
        ", so that it is not known at which end transcription starts",
        advice="expected '+' or '-' in the sixth column of a BED, the seventh of a GTF or the column 'strand' of a "
        "data frame, or intervals of a single base. Add strands, or pass the starts themselves.",
    )
    position = np.where((table.strand == "-") & (table.end - table.start > 1), table.end - 1, table.start)
    return TranscriptionStarts(
        table.chrom[known], position[known].astype(np.int64), table.strand[known], table.name[known], remarks
    )
