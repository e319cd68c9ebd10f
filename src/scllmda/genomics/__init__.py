"""The DNA under the peaks: intervals, their sequences in a FASTA, their overlaps, their lift-over.

Arrays, data frames and file paths only.
No AnnData here, and nothing that learns.
"""

from __future__ import annotations

from ._builds import build_of_lengths, known_build
from ._fasta import fetch_sequences
from ._intervals import ACCEPTED_FORMS, Intervals, bare_contig
from ._liftover import Chains, lift_over, read_chains
from ._overlap import best_overlaps, compare_with_chance
from ._peak_positions import PeakPositions, peak_positions

__all__ = [
    "ACCEPTED_FORMS",
    "Chains",
    "Intervals",
    "PeakPositions",
    "bare_contig",
    "best_overlaps",
    "build_of_lengths",
    "compare_with_chance",
    "fetch_sequences",
    "known_build",
    "lift_over",
    "peak_positions",
    "read_chains",
]
