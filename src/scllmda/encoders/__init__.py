"""Sequence to vector: encoders of peaks, behind one protocol (`PeakEncoder`) and one registry.

Lives here: one file per encoder, working on lists of strings and returning arrays.
Does not belong here: AnnData, slots, how a FASTA is read, and imports of heavy libraries at module level.
"""

from __future__ import annotations

from ._cache import VectorCache as VectorCache
from ._cnn import CnnEncoder
from ._dnabert2 import Dnabert2Encoder
from ._encode import encode_sequences as encode_sequences
from ._kmer import KmerEncoder
from ._nucleotide_transformer import NucleotideTransformerEncoder
from ._protocol import FittableEncoder, PeakEncoder, needs_fit
from ._random import RandomEncoder
from ._registry import get, table
from ._sequences import Sequences as Sequences
from ._sequences import Texts as Texts
from ._sequences import describe as describe
from ._transformers import TransformersEncoder

# Public. The rest is for the rooms above: tl.embed_peaks offers what it does.
__all__ = [
    "CnnEncoder",
    "Dnabert2Encoder",
    "FittableEncoder",
    "KmerEncoder",
    "NucleotideTransformerEncoder",
    "PeakEncoder",
    "RandomEncoder",
    "TransformersEncoder",
    "get",
    "needs_fit",
    "table",
]
