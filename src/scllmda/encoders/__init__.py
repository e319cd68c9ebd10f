"""Sequence to vector: encoders of peaks, behind one protocol (`PeakEncoder`) and one registry.

Lives here: one file per encoder, working on lists of strings and returning arrays.
Does not belong here: AnnData, slots, FASTA files, and imports of heavy libraries at module level.
"""

from __future__ import annotations

from ._cnn import CnnEncoder
from ._dnabert2 import Dnabert2Encoder
from ._kmer import KmerEncoder
from ._nucleotide_transformer import NucleotideTransformerEncoder
from ._protocol import FittableEncoder, PeakEncoder, needs_fit
from ._random import RandomEncoder
from ._registry import get, table

__all__ = [
    "CnnEncoder",
    "Dnabert2Encoder",
    "FittableEncoder",
    "KmerEncoder",
    "NucleotideTransformerEncoder",
    "PeakEncoder",
    "RandomEncoder",
    "get",
    "needs_fit",
    "table",
]
