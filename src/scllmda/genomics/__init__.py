"""The DNA under the peaks: intervals, their sequences in a FASTA, their overlaps, their lift-over.

Arrays, data frames and file paths only.
No AnnData here, and nothing that learns.
"""

from __future__ import annotations

from ._fasta import fetch_sequences
from ._intervals import Intervals, bare_contig, peak_intervals
from ._liftover import Chains, lift_over, read_chains
from ._overlap import best_overlaps, compare_with_chance

__all__ = [
    "Chains",
    "Intervals",
    "bare_contig",
    "best_overlaps",
    "compare_with_chance",
    "fetch_sequences",
    "lift_over",
    "peak_intervals",
    "read_chains",
]
