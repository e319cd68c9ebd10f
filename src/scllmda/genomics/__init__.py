"""The DNA under the peaks: intervals, their sequences in a FASTA, their overlaps, their lift-over.

Arrays, data frames and file paths only.
No AnnData here, and nothing that learns.
"""

from __future__ import annotations

from ._builds import build_of_lengths, known_build
from ._fasta import fetch_sequences
from ._fasta_file import fasta_of
from ._intervals import ACCEPTED_FORMS, Intervals, bare_contig
from ._liftover import Chains, lift_over, read_chains
from ._overlap import best_overlaps, compare_with_chance
from ._peak_positions import CHROM_COLUMNS, PeakPositions, peak_positions

__all__ = [
    "ACCEPTED_FORMS",
    "CHROM_COLUMNS",
    "Chains",
    "Intervals",
    "PeakPositions",
    "bare_contig",
    "best_overlaps",
    "build_of_lengths",
    "compare_with_chance",
    "fasta_of",
    "fetch_sequences",
    "known_build",
    "lift_over",
    "peak_positions",
    "read_chains",
]
