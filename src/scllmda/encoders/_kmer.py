"""Canonical k-mer spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAX_K = 8
_UNKNOWN = 4
_CHUNK_CELLS = 2**20
"""Bases plus counts held at once: small enough to stay near the processor, whatever the lengths."""

_DIGITS = np.full(256, _UNKNOWN, dtype=np.uint8)
for _digit, _base in enumerate(b"ACGT"):
    _DIGITS[[_base, _base + 32]] = _digit  # 32 apart in ASCII: upper and lower case


class KmerEncoder:
    r"""Canonical k-mer spectrum, GC fraction and log length.

    A k-mer and its reverse complement are counted together, so both strands of a peak give the identical vector.
    Columns are the canonical k-mers in alphabetical order (of the two strands, the k-mer that sorts first), then
    ``gc``, then ``log_length``; ``feature_names`` lists them.

    Parameters
    ----------
    k
        Length of the k-mers, 1 to 8. The default, 5, gives 512 k-mers, 200 MB for 100,000 peaks; 6 gives 2,080 that
        hold the core of more transcription-factor motifs, at four times the memory.

    Attributes
    ----------
    feature_names
        One name per column.

    Raises
    ------
    ValueError
        ``k`` is out of range.

    Notes
    -----
    With :math:`c_w` the number of windows of a sequence that show the canonical k-mer :math:`w`, among those made of
    A, C, G and T only, the k-mer columns are the Hellinger coordinates :math:`\sqrt{c_w / \sum_v c_v}`, whose
    Euclidean distance is the Hellinger distance of two spectra up to :math:`\sqrt 2` (Rao 1995, Qüestiió 19:23). The
    root keeps poly-A runs and other repeats from drowning the rest. Sequences without any such window get zeros.

    ``gc`` is the fraction of G and C among the known bases (zero if there are none) and ``log_length`` is
    :math:`\log(1 + \text{length in bp})`, unknown bases included. Columns are not standardized: ``log_length`` is
    by far the largest, and constant where all peaks have one width.

    Examples
    --------
    >>> import scllmda as sl
    >>> encoder = sl.encoders.KmerEncoder(k=1)
    >>> encoder.feature_names
    ['A', 'C', 'gc', 'log_length']
    >>> encoder.encode(["AAAC", "gttt"]).round(3)
    array([[0.866, 0.5  , 0.25 , 1.609],
           [0.866, 0.5  , 0.25 , 1.609]], dtype=float32)
    """

    name = "kmer"

    def __init__(self, k: int = 5) -> None:
        if not 1 <= k <= _MAX_K:
            msg = f"k={k} found, expected 1 to {_MAX_K}. Try KmerEncoder(k=5)."
            raise ValueError(msg)
        self.k = k
        self.revision = f"1-k{k}"
        kmers, self._column = _canonical(k)
        self.feature_names = [*kmers, "gc", "log_length"]
        self.n_dims = len(self.feature_names)

    def encode(self, sequences: Sequence[str], *, progress: bool = False) -> np.ndarray:
        """Return the spectra of the sequences.

        Parameters
        ----------
        sequences
            DNA in either case; any other character than A, C, G and T stands for an unknown base.
        progress
            Show a progress bar on a terminal.

        Returns
        -------
        float32 array, sequences × ``n_dims``.
        """
        vectors = np.empty((len(sequences), self.n_dims), dtype=np.float32)
        with tqdm(total=len(sequences), desc=self.name, unit=" peaks", disable=None if progress else True) as bar:
            for chunk in _chunks(sequences, self.n_dims):
                vectors[chunk] = self._encode_chunk(sequences[chunk])
                bar.update(chunk.stop - chunk.start)
        return vectors

    def _encode_chunk(self, sequences: Sequence[str]) -> np.ndarray:
        lengths = np.fromiter(map(len, sequences), dtype=np.intp, count=len(sequences))
        # The separator is an unknown base, so no window across it counts; and "replace" keeps one byte a character.
        digits = _DIGITS[np.frombuffer("\n".join([*sequences, ""]).encode("ascii", "replace"), dtype=np.uint8)]

        n_kmers = self.n_dims - 2
        columns = self._column[_codes(digits, self.k)]
        rows = np.repeat(np.arange(len(sequences)) * (n_kmers + 1), lengths + 1)[: columns.size]
        counts = np.bincount(rows + columns, minlength=len(sequences) * (n_kmers + 1))
        counts = counts.reshape(len(sequences), n_kmers + 1)[:, :n_kmers]

        starts = np.cumsum(lengths + 1) - lengths - 1
        n_gc = np.add.reduceat((digits == 1) | (digits == 2), starts, dtype=np.intp)
        n_known = np.add.reduceat(digits != _UNKNOWN, starts, dtype=np.intp)

        vectors = np.empty((len(sequences), self.n_dims), dtype=np.float32)
        totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
        np.sqrt(np.divide(counts, totals, dtype=np.float32), out=vectors[:, :n_kmers])
        vectors[:, -2] = n_gc / np.maximum(n_known, 1)
        vectors[:, -1] = np.log1p(lengths)
        return vectors


def _chunks(sequences: Sequence[str], n_dims: int) -> Iterator[slice]:
    """Yield consecutive runs of sequences that need about the same memory."""
    cost = np.cumsum(np.fromiter(map(len, sequences), dtype=np.intp, count=len(sequences)) + n_dims)
    starts = np.unique(cost // _CHUNK_CELLS, return_index=True)[1].tolist()
    yield from map(slice, starts, [*starts[1:], len(sequences)])


def _codes(digits: np.ndarray, k: int) -> np.ndarray:
    """Return the base-5 number of every window of ``k`` digits, in order."""
    n_windows = max(digits.size - k + 1, 0)
    codes = np.zeros(n_windows, dtype=np.int32)
    for offset in range(k):
        codes *= 5
        codes += digits[offset : offset + n_windows]
    return codes


def _canonical(k: int) -> tuple[list[str], np.ndarray]:
    """Return the canonical k-mers and the column of each base-5 code: the last, to drop, if a base is unknown."""
    powers = np.arange(k)[::-1]
    digits = np.arange(4**k)[:, None] // 4**powers % 4
    reverse = (3 - digits[:, ::-1]) @ 4**powers
    canonical, columns = np.unique(np.minimum(np.arange(4**k), reverse), return_inverse=True)
    column = np.full(5**k, canonical.size, dtype=np.intp)
    column[digits @ 5**powers] = columns
    return ["".join(row) for row in np.array(list("ACGT"))[digits[canonical]]], column
