"""Sequence to vector: encoders of peaks, behind one protocol (`PeakEncoder`) and one registry.

Lives here: one file per encoder, working on lists of strings and returning arrays.
Does not belong here: AnnData, slots, FASTA files, and imports of heavy libraries at module level.
"""

from __future__ import annotations

from ._kmer import KmerEncoder
from ._protocol import PeakEncoder
from ._random import RandomEncoder
from ._registry import get, table

__all__ = ["KmerEncoder", "PeakEncoder", "RandomEncoder", "get", "table"]
