"""What is to be known of sequences before they are encoded, so that none has to be held for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from ..genomics import RemoteFasta
from ._cache import KEY_DTYPE, sequence_keys
from ._parts import made_once, work_on_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..genomics import FastaFile, FastaWindows

    Description = tuple[NDArray[np.bytes_], NDArray[np.intp], NDArray[np.bool_]]

_BLOCK = 8192
"""Number of sequences that are read at once to be described; with 2 kb each, 16 MB."""

_KNOWN_BASE = re.compile("[ACGT]")


@dataclass(frozen=True, eq=False)
class Texts:
    """Sequences as text, in this process. They have the methods of :class:`scllmda.genomics.FastaWindows`."""

    texts: Sequence[str]
    """n sequences, in either case."""

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.texts)

    def take(self, rows: NDArray[np.intp]) -> Texts:
        """Return some of the sequences."""
        return Texts([self.texts[row] for row in rows])

    def read(self, reader: None) -> list[str]:
        """Return the sequences in upper case."""
        return [text.upper() for text in self.texts]


@dataclass(frozen=True, eq=False)
class Sequences:
    """n sequences, as text or where they lie in a FASTA, and what is known of them."""

    source: Texts | FastaWindows
    reader: Any
    """What ``source`` reads with: None if it is text, else the open FASTA, or what stands for it on the workers."""
    keys: NDArray[np.bytes_]
    """(n,): key of each sequence, equal if they are."""
    length: NDArray[np.intp]
    """(n,): length of each sequence."""
    is_known: NDArray[np.bool_]
    """(n,): whether each sequence has any A, C, G or T."""


def describe(source: Texts | FastaWindows, fasta: FastaFile | None = None, client: Any = None) -> Sequences:
    """Describe sequences, of which a block at a time is read.

    Parameters
    ----------
    source
        n sequences.
    fasta
        The open FASTA in which ``source`` are windows.
    client
        A ``dask.distributed.Client`` whose workers read the FASTA. Text, which is in this process, is read here.

    Raises
    ------
    ValueError
        The bases in the FASTA are no nucleotides, or a worker has another file at its path.
    OSError
        A worker cannot read the FASTA.
    """
    n = len(source)
    keys, length, is_known = np.empty(n, KEY_DTYPE), np.empty(n, np.intp), np.empty(n, bool)
    reader: Any = fasta
    if fasta is None:
        client = None
    elif client is not None:
        reader = made_once(RemoteFasta, fasta.path.absolute(), fasta.index.digest(), client=client)
    blocks = [np.arange(first, min(first + _BLOCK, n)) for first in range(0, n, _BLOCK)]
    parts = ((block, (source.take(block), reader)) for block in blocks)
    with tqdm(total=n, desc="reading sequences", disable=True if fasta is None else None) as bar:
        for block, (block_keys, block_length, block_is_known) in work_on_parts(_describe, parts, client):
            keys[block], length[block], is_known[block] = block_keys, block_length, block_is_known
            bar.update(len(block))
    return Sequences(source, reader, keys, length, is_known)


def _describe(source: Any, reader: Any) -> Description:
    texts = source.read(reader)
    length = np.fromiter(map(len, texts), dtype=np.intp, count=len(texts))
    is_known = np.fromiter((_KNOWN_BASE.search(text) is not None for text in texts), dtype=bool, count=len(texts))
    return sequence_keys(texts), length, is_known
