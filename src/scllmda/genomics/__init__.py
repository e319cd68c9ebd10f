"""The DNA under the peaks: intervals, their sequences in a FASTA, their overlaps.

Arrays, data frames and file paths only.
No AnnData here, and nothing that learns.
"""

from __future__ import annotations

from ._fasta import fetch_sequences
from ._intervals import Intervals, bare_contig, peak_intervals
from ._overlap import best_overlaps

__all__ = ["Intervals", "bare_contig", "best_overlaps", "fetch_sequences", "peak_intervals"]
