"""The DNA under the peaks: intervals, their sequences in a FASTA, their overlaps, lift-over, islands and genes.

Arrays, data frames and file paths only.
No AnnData here, and nothing that learns.
"""

from __future__ import annotations

from ._builds import build_of_lengths, known_build
from ._fasta import fetch_sequences
from ._fasta_file import fasta_of
from ._gene_table import read_gene_table
from ._genes import GenePeaks, Genes, gene_peaks, read_genes
from ._intervals import ACCEPTED_FORMS, Intervals, bare_contig
from ._islands import Islands, island_values, islands, require_same_genome
from ._liftover import Chains, lift_over, read_chains
from ._motif_sites import MotifSites, find_motif_sites, motifs_in
from ._motifs import Motif, score_threshold
from ._nearest_genes import nearest_starts
from ._overlap import best_overlaps, compare_with_chance, overlapping_pairs
from ._peak_positions import CHROM_COLUMNS, PeakPositions, peak_positions, require_positions
from ._read_motifs import read_motifs
from ._tss import TranscriptionStarts, read_tss

__all__ = [
    "ACCEPTED_FORMS",
    "CHROM_COLUMNS",
    "Chains",
    "GenePeaks",
    "Genes",
    "Intervals",
    "Islands",
    "Motif",
    "MotifSites",
    "PeakPositions",
    "TranscriptionStarts",
    "bare_contig",
    "best_overlaps",
    "build_of_lengths",
    "compare_with_chance",
    "fasta_of",
    "fetch_sequences",
    "find_motif_sites",
    "gene_peaks",
    "island_values",
    "islands",
    "known_build",
    "lift_over",
    "motifs_in",
    "nearest_starts",
    "overlapping_pairs",
    "peak_positions",
    "read_chains",
    "read_gene_table",
    "read_genes",
    "read_motifs",
    "read_tss",
    "require_positions",
    "require_same_genome",
    "score_threshold",
]
