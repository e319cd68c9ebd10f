"""Genes as stretches of the genome, and the peaks that belong to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ._gene_table import read_gene_table
from ._intervals import Intervals
from ._overlap import overlapping_pairs
from ._tss import TranscriptionStarts

if TYPE_CHECKING:
    from os import PathLike

    import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Genes:
    """The n intervals of named genes; a gene may have several.

    Parameters
    ----------
    body
        From the first to the last transcribed base of each.
    strand
        ``"+"`` or ``"-"``, shape (n,).
    name
        Gene, never empty, shape (n,).
    remarks
        Warnings for the user.
    """

    body: Intervals
    strand: npt.NDArray[np.str_]
    name: npt.NDArray[np.str_]
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of intervals."""
        return len(self.body)

    @property
    def starts(self) -> TranscriptionStarts:
        """Where transcription starts."""
        position = np.where(self.strand == "-", self.body.end - 1, self.body.start)
        return TranscriptionStarts(self.body.chrom, position, self.strand, self.name)

    def extended(self, upstream: int) -> Intervals:
        """Return the bodies with ``upstream`` base pairs more before the start of transcription, by the strand.

        Those that would begin before their contig begin with it; lengths of contigs are not known, so that some may
        end after it.
        """
        is_forward = self.strand == "+"
        start = np.maximum(self.body.start - np.where(is_forward, upstream, 0), 0)
        return Intervals(self.body.chrom, start, self.body.end + np.where(is_forward, 0, upstream))


@dataclass(frozen=True, eq=False)
class GenePeaks:
    """The m genes of different names, and the peaks of each."""

    table: pd.DataFrame
    """A row per gene, by name, in the order in which names first occur: ``chrom``, ``start``, ``end`` and ``strand`` of
    its interval (the longest, if it has several; the first among equals), ``n_intervals`` and ``n_peaks``."""
    assignment: sp.csr_matrix
    """(n_peaks, m) float32: 1 where a peak belongs to a gene; rows may hold several."""


def read_genes(source: str | PathLike[str] | pd.DataFrame) -> Genes:
    r"""Read genes with their names and strands.

    Files are told apart by what is in them, whatever they are called. Of a GTF or GFF the genes are read, else, where
    it has none, the transcripts, which have the names of their genes in a GTF.

    Up to a tenth of the intervals are left out, with a remark, because they have no strand, so that it is not known
    which side of them is upstream; as many because they have no name. If all intervals are of a single base, a remark
    says that they are starts, not genes.

    Parameters
    ----------
    source
        Path of a BED of six columns (the name is the fourth, the strand the sixth) or of a GTF or GFF (named by
        ``gene_name``, ``Name`` or ``gene``, else ``gene_id`` or ``ID``), plain or gzipped. Or a data frame with the
        columns ``chrom`` (or ``chr``, ``seqnames``, ``seqname``, ``chromosome``), ``start`` and ``end`` (0-based,
        half-open), ``strand`` (``+`` and ``-``, or 1 and -1) and ``name`` (or ``gene_name``, ``gene_id``, ``gene``), in
        upper or lower case, such as the ``.df`` of a pyranges object.

    Returns
    -------
    The genes, in the order of the source.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        No interval, other columns, a position that is no whole number, an interval that is empty or reversed, more than
        a tenth of the intervals without a strand or without a name, or a damaged file.
    TypeError
        ``source`` is neither a path nor a data frame.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from scllmda.genomics import read_genes
    >>> with TemporaryDirectory() as folder:
    ...     bed = Path(folder, "genes.bed")
    ...     _ = bed.write_text("chr1\t5000\t9000\tA\t0\t+\nchr1\t2000\t2500\tB\t0\t-\n")
    ...     genes = read_genes(bed)
    >>> genes.name.tolist(), genes.extended(2000).names().tolist()
    (['A', 'B'], ['chr1:3000-9000', 'chr1:2000-4500'])
    """
    table = read_gene_table(source, "genes")
    is_stranded, is_named = table.strand != ".", table.name != ""
    remarks = table.left_out(
        is_stranded,
        "have no strand",
        ", so that it is not known at which end transcription starts",
        advice="expected '+' or '-' in the sixth column of a BED, the seventh of a GTF or the column 'strand' of a "
        "data frame. Add strands.",
    ) + table.left_out(
        is_named,
        "have no name",
        "",
        advice="expected one in the fourth column of a BED, the attribute gene_name or gene_id of a GTF or the column "
        "'name' of a data frame. Add names.",
    )
    if (table.end - table.start == 1).all():
        remarks += (
            f"All {table.unit} of {table.source} are of a single base: starts of transcription rather than genes. The "
            "peaks of a gene are those upstream of its start alone.",
        )
    kept = is_stranded & is_named
    body = Intervals(table.chrom[kept], table.start[kept], table.end[kept])
    return Genes(body, table.strand[kept], table.name[kept], remarks)


def gene_peaks(peaks: Intervals, genes: Genes, *, upstream: int) -> GenePeaks:
    """Return which peaks belong to which gene: those that overlap its body, or the ``upstream`` base pairs before it.

    One base in common is enough. A peak that overlaps several genes belongs to each of them, and to a gene once,
    however many of the gene's intervals it overlaps: intervals of one name are one gene, as the transcripts of a gene
    are, or the copies of a repeated one (Y_RNA). ``chr1`` and ``1`` are the same contig, as are ``chrM`` and ``MT``.

    Parameters
    ----------
    peaks
        n peaks, in any order.
    genes
        Intervals of genes, in any order.
    upstream
        Base pairs before the start of transcription that belong to a gene.

    Examples
    --------
    >>> import pandas as pd
    >>> from scllmda.genomics import Intervals, gene_peaks, read_genes
    >>> columns = ["chrom", "start", "end", "strand", "name"]
    >>> genes = read_genes(
    ...     pd.DataFrame([("chr1", 5000, 9000, "+", "A"), ("chr1", 2000, 2500, "-", "B")], columns=columns)
    ... )
    >>> found = gene_peaks(Intervals.from_names(["1:2900-3100", "1:3500-3600", "1:8900-9900"]), genes, upstream=2000)
    >>> found.assignment.toarray().tolist(), found.table["n_peaks"].tolist()
    ([[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]], [3, 2])
    """
    gene, names = pd.factorize(genes.name)
    peak, interval = overlapping_pairs(peaks, genes.extended(upstream))
    pairs = sp.csr_matrix(
        (np.ones(len(peak), dtype=np.float32), (peak, gene[interval])), shape=(len(peaks), len(names))
    )
    # Several intervals of a gene in one peak were summed.
    pairs.data[:] = 1
    longest_first = np.lexsort((np.arange(len(genes)), -genes.body.width, gene))
    # There is an interval of each gene.
    shown = longest_first[np.searchsorted(gene[longest_first], np.arange(len(names)))]
    table = pd.DataFrame(
        {
            "chrom": genes.body.chrom[shown],
            "start": genes.body.start[shown],
            "end": genes.body.end[shown],
            "strand": genes.strand[shown],
            "n_intervals": np.bincount(gene, minlength=len(names)),
            "n_peaks": np.asarray(pairs.sum(axis=0)).ravel().astype(np.int64),
        },
        index=pd.Index(names.astype(str), dtype=object),
    )
    return GenePeaks(table, pairs)
