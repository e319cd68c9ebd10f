"""Where motifs have sites in sequences.

The scanner is our own, an index of all words of eight bases: what a motif's most informative eight positions score is
computed once for each of the 65,536 words; only where words stand from which the threshold can still be reached are the
other positions looked at. It needs nothing but numpy. 10,000 sequences of 500 bases and 879 motifs of JASPAR take 8
seconds of one core (``benchmarks/marker_motifs.py``). Of the libraries there are,

- lightmotif (compiled Rust; 6 s) finds the same 993,955 sites if it is given whole-numbered scores. Version 0.10.1 has
  no builds for Python 3.14, nor for 3.13 on Apple's processors, where installing it means compiling it;
- MOODS (11 s) misses 592 of them. Its last release is of 2019, and is compiled on installation;
- memelite (numba; 8 s, and half a minute of compiling at the first call) finds two thirds: p-values are of scores that
  are rounded otherwise than those that they are compared with, and motifs shorter than eight bases have no site at
  chromVAR's p-value;
- ``Bio.motifs`` scans one sequence by one motif, and would take 20 minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from ._motifs import SCORE_UNIT, Motif, score_threshold

if TYPE_CHECKING:
    import numpy.typing as npt

P_VALUE = 5e-5
"""Of a site, on one strand: chromVAR's."""
_WORD = 8
"""Bases of an indexed word. With 7 or 10 a scan of 879 motifs takes about half as long again."""
_BLOCK = 2**23
"""Bases that are indexed at once, about 150 MB."""
_UNKNOWN = 4
_CODES = np.full(256, _UNKNOWN, dtype=np.uint8)
for _code, _base in enumerate("ACGT"):
    _CODES[[ord(_base), ord(_base.lower())]] = _code


@dataclass(frozen=True, eq=False)
class MotifSites:
    """The n sites of motifs in sequences, by motif, then strand (forward first), then sequence and start."""

    sequence: npt.NDArray[np.int32]
    """(n,): index of the sequence."""
    start: npt.NDArray[np.int32]
    """(n,): first base of the site in its sequence, 0-based, whatever the strand."""
    strand: npt.NDArray[np.int8]
    """(n,): 1, or -1 where the motif reads on the reverse strand."""
    score: npt.NDArray[np.float32]
    """(n,): log-odds against bases that are all as likely, in bits."""
    motif: npt.NDArray[np.int32]
    """(n,): index of the motif."""
    shape: tuple[int, int]
    """Number of sequences and of motifs."""

    def __len__(self) -> int:
        """Return the number of sites."""
        return len(self.sequence)

    def present(self) -> sp.csr_matrix:
        """Return (n_sequences, n_motifs), bool: whether a sequence has a site of a motif on either strand."""
        found = np.ones(len(self), dtype=bool)
        return sp.csr_matrix((found, (self.sequence, self.motif)), shape=self.shape, dtype=bool)


def find_motif_sites(sequences: Sequence[str], motifs: Sequence[Motif], *, p_value: float = P_VALUE) -> MotifSites:
    """Return all sites of motifs in sequences, on both strands.

    A site is a word of known bases that scores at least what a random word of the motif's length does with a
    probability of at most ``p_value``. Motifs without so unlikely a word, which are those of up to seven bases at the
    default, keep their best words (see :func:`scllmda.genomics.score_threshold`). Both strands of a palindrome are
    sites.

    Parameters
    ----------
    sequences
        DNA, in upper or lower case. All but A, C, G and T are unknown bases, which no site has.
    motifs
        Motifs.
    p_value
        Of a word.

    Raises
    ------
    ValueError
        A motif without information.

    Examples
    --------
    >>> import numpy as np
    >>> from scllmda.genomics import Motif, find_motif_sites
    >>> gata = Motif("m", "GATA", 20 * np.eye(4)[:, [0, 2, 0, 3, 0, 0, 2]])
    >>> sites = find_motif_sites(["CCAGATAAGCC", "CTTATCT"], [gata])
    >>> sites.sequence.tolist(), sites.start.tolist(), sites.strand.tolist()
    ([0, 1], [2, 0], [1, -1])
    """
    matrices = list(_matrices(motifs, p_value))
    found: list[list[tuple[npt.NDArray[Any], ...]]] = [[] for _ in matrices]
    for first, block in _blocks(sequences):
        words = _Words.of(block)
        for matrix, sites in zip(matrices, found, strict=True):
            at, score = words.sites(matrix)
            sequence = np.searchsorted(words.starts, at, side="right") - 1
            sites.append((first + sequence, at - words.starts[sequence], score))
    sizes = [sum(len(part[0]) for part in sites) for sites in found]
    none = (np.empty(0, dtype=np.int64),) * 3
    columns = zip(none, *(part for sites in found for part in sites), strict=True)
    sequence_of, start, score_of = (np.concatenate(column) for column in columns)
    return MotifSites(
        sequence_of.astype(np.int32),
        start.astype(np.int32),
        np.repeat([matrix.strand for matrix in matrices], sizes).astype(np.int8),
        (score_of * SCORE_UNIT).astype(np.float32),
        np.repeat([matrix.motif for matrix in matrices], sizes).astype(np.int32),
        (len(sequences), len(motifs)),
    )


def motifs_in(sequences: Sequence[str], motifs: Sequence[Motif], *, p_value: float = P_VALUE) -> sp.csr_matrix:
    """Return (n_sequences, n_motifs), bool: whether a sequence has a site of a motif, on either strand.

    As ``MotifSites.present`` of :func:`scllmda.genomics.find_motif_sites`, without holding all sites in memory.
    """
    parts = [find_motif_sites(block, motifs, p_value=p_value).present() for _, block in _blocks(sequences)]
    return sp.csr_matrix(sp.vstack(parts)) if parts else sp.csr_matrix((0, len(motifs)), dtype=bool)


@dataclass(frozen=True, eq=False)
class _Matrix:
    """What the bases score at the L positions of a motif, read on one of the strands."""

    motif: int
    strand: int
    scores: npt.NDArray[np.int32]
    """(4, L)"""
    threshold: int


def _matrices(motifs: Sequence[Motif], p_value: float) -> Iterator[_Matrix]:
    for i, motif in enumerate(motifs):
        scores = motif.scores()
        threshold, _ = score_threshold(scores, p_value)
        yield _Matrix(i, 1, scores, threshold)
        # A, C, G, T backward are their complements.
        yield _Matrix(i, -1, scores[::-1, ::-1], threshold)


def _blocks(sequences: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield stretches of the list, of about so many bases as are indexed at once, and where each begins."""
    if not len(sequences):
        return
    block = np.cumsum([len(text) + 1 for text in sequences]) // _BLOCK
    bounds = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(sequences)]
    for first, last in pairwise(bounds):
        yield first, sequences[first:last]


@dataclass(frozen=True, eq=False)
class _Words:
    """Sequences laid end to end, and at which positions each word of eight bases begins."""

    bases: npt.NDArray[np.uint8]
    """0-3 for A, C, G, T; 4 where a base is unknown, between sequences, and after the last."""
    starts: npt.NDArray[np.int64]
    """Of each sequence in ``bases``."""
    positions: npt.NDArray[np.int32]
    """By word: where it begins. Words whose first base is unknown are left out."""
    bounds: npt.NDArray[np.int64]
    """(4⁸ + 1,): the positions of word i are those from the i-th of these to the next."""

    @classmethod
    def of(cls, sequences: Sequence[str]) -> _Words:
        lengths = np.array([len(text) + 1 for text in sequences])
        bases = _CODES[np.frombuffer("N".join([*sequences, "N" * _WORD]).encode("ascii", "replace"), dtype=np.uint8)]
        n = len(bases) - _WORD + 1
        words: npt.NDArray[np.uint16] = np.zeros(n, dtype=np.uint16)
        for offset in range(_WORD):
            # Unknown bases are taken for A here; sites are looked at for them in the end.
            words = (words << 2 | bases[offset : offset + n] & 3).astype(np.uint16)
        known = np.flatnonzero(bases[:n] != _UNKNOWN).astype(np.int32)
        words = words[known]
        positions = known[np.argsort(words, kind="stable")]
        bounds = np.concatenate([[0], np.cumsum(np.bincount(words, minlength=4**_WORD))])
        return cls(bases, np.cumsum(lengths) - lengths, positions, bounds)

    def sites(self, matrix: _Matrix) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Return where the sites of a motif begin, in increasing order, and their scores in whole units."""
        length = matrix.scores.shape[1]
        # The last row is for unknown bases; words are longer than a short motif.
        scores = np.full((5, max(length, _WORD)), -(2**20), dtype=np.int32)
        scores[:4] = 0
        scores[:4, :length] = matrix.scores
        best = scores.max(axis=0)
        gain = best - scores[:4].mean(axis=0)
        first = int(np.convolve(gain, np.ones(_WORD), "valid").argmax())
        rest = np.delete(np.arange(scores.shape[1]), slice(first, first + _WORD))
        of_word = _sums(scores[:4, first : first + _WORD])
        needed = matrix.threshold - best[rest].sum()
        words = np.flatnonzero(of_word >= needed)
        sizes = self.bounds[words + 1] - self.bounds[words]
        skipped = np.repeat(self.bounds[words] - (np.cumsum(sizes) - sizes), sizes)
        at = self.positions[skipped + np.arange(len(skipped))].astype(np.int64) - first
        score = np.repeat(of_word[words], sizes)
        inside = (at >= 0) & (at + length <= len(self.bases))
        at, score = at[inside], score[inside]
        # The positions that tell most come first, so that few are left for the others.
        for column in rest[np.argsort(-gain[rest], kind="stable")]:
            score = score + scores[self.bases[at + column], column]
            needed += best[column]
            kept = score >= needed
            at, score = at[kept], score[kept]
        known = (self.bases[at[:, None] + np.arange(length)] != _UNKNOWN).all(axis=1)
        order = np.argsort(at[known])
        return at[known][order], score[known][order]


def _sums(scores: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return (4ⁿ,): what each word of n bases scores, by (4, n)."""
    total = np.zeros(1, dtype=np.int32)
    for column in scores.T:
        total = (total[:, None] + column).ravel()
    return total
