"""The DNA under the peaks: intervals, their sequences in a FASTA, their overlaps, lift-over, islands and genes.

Arrays, data frames and file paths only.
No AnnData here, and nothing that learns.
"""

from __future__ import annotations

from ._builds import build_of_lengths, known_build, taxonomic_group
from ._deviations import Deviations
from ._fasta import fetch_sequences
from ._fasta_file import FastaFile, fasta_of
from ._fasta_windows import FastaWindows, fasta_windows
from ._footprint import InsertionCounts, Sites, named_motif, scanned_sites, table_sites
from ._gene_table import GeneTable, read_gene_table
from ._genes import GenePeaks, Genes, gene_peaks, read_genes
from ._intervals import ACCEPTED_FORMS, Intervals, bare_contig
from ._islands import Islands, island_values, islands, require_same_genome
from ._liftover import Chains, lift_over, read_chains
from ._motif_clusters import motif_clusters
from ._motif_sites import MotifSites, find_motif_sites, motifs_in
from ._motifs import BASES, Motif, score_threshold
from ._nearest_genes import nearest_genes, nearest_starts
from ._open_dna import OpenDna, open_dna
from ._overlap import best_overlaps, compare_with_chance, overlapping_pairs
from ._peak_background import gc_content, peak_strata
from ._peak_positions import CHROM_COLUMNS, PeakPositions, peak_positions, require_positions
from ._read_motifs import JASPAR, read_motifs
from ._remote_fasta import RemoteFasta
from ._tss import TranscriptionStarts, read_tss

__all__ = [
    "ACCEPTED_FORMS",
    "BASES",
    "CHROM_COLUMNS",
    "JASPAR",
    "Chains",
    "Deviations",
    "FastaFile",
    "FastaWindows",
    "GenePeaks",
    "GeneTable",
    "Genes",
    "InsertionCounts",
    "Intervals",
    "Islands",
    "Motif",
    "MotifSites",
    "OpenDna",
    "PeakPositions",
    "RemoteFasta",
    "Sites",
    "TranscriptionStarts",
    "bare_contig",
    "best_overlaps",
    "build_of_lengths",
    "compare_with_chance",
    "fasta_of",
    "fasta_windows",
    "fetch_sequences",
    "find_motif_sites",
    "gc_content",
    "gene_peaks",
    "island_values",
    "islands",
    "known_build",
    "lift_over",
    "motif_clusters",
    "motifs_in",
    "named_motif",
    "nearest_genes",
    "nearest_starts",
    "open_dna",
    "overlapping_pairs",
    "peak_positions",
    "peak_strata",
    "read_chains",
    "read_gene_table",
    "read_genes",
    "read_motifs",
    "read_tss",
    "require_positions",
    "require_same_genome",
    "scanned_sites",
    "score_threshold",
    "table_sites",
    "taxonomic_group",
]
