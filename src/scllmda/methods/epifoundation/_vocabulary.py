"""The peaks that a network knows, and which of them the peaks of other data are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ... import _logging as logg
from ...genomics import Intervals, bare_contig, best_overlaps, compare_with_chance

FEW = 0.5
"""Share of the counts on peaks of the vocabulary, below which the user is warned."""


@dataclass(frozen=True)
class Coverage:
    """How much of some data a vocabulary knows."""

    n_peaks: int
    """Peaks of the data."""
    n_known: int
    """Those of them that are in the vocabulary."""
    share_of_counts: float
    """Share of the data's counts that lie on them; 0 where there are no counts."""

    def numbers(self, what: str) -> dict[str, float]:
        """Return the numbers for ``.uns``, with whose they are in their names."""
        return {
            f"n_peaks_{what}": self.n_peaks,
            f"n_unknown_peaks_{what}": self.n_peaks - self.n_known,
            f"share_of_counts_known_{what}": self.share_of_counts,
        }


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Peaks in their order along the genome; a peak's place in it is its id."""

    peaks: Intervals
    """(n_peaks,) contigs in the form that UCSC and Ensembl share."""

    @classmethod
    def of(cls, peaks: Intervals) -> Vocabulary:
        """Return the vocabulary of a peak set, the same in whatever order its peaks are."""
        contigs, code = np.unique(peaks.chrom, return_inverse=True)
        bare = np.array([bare_contig(name) for name in contigs])[code]
        order = np.lexsort((peaks.end, peaks.start, bare))
        return cls(Intervals(bare[order], peaks.start[order], peaks.end[order]))

    @classmethod
    def of_names(cls, names: Sequence[str]) -> Vocabulary:
        """Return the vocabulary with these names, in their order."""
        return cls(Intervals.from_names(names))

    def __len__(self) -> int:
        """Return the number of peaks."""
        return len(self.peaks)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """(n_peaks,) "1:100-600"."""
        return tuple(self.peaks.names().tolist())

    @cached_property
    def contigs(self) -> tuple[str, ...]:
        """Names of the contigs, in the order of their text."""
        return tuple(np.unique(self.peaks.chrom).tolist())

    @cached_property
    def contig_of_peak(self) -> NDArray[np.int64]:
        """(n_peaks,) position of each peak's contig among ``contigs``."""
        return np.searchsorted(np.array(self.contigs), self.peaks.chrom)

    @cached_property
    def rank(self) -> NDArray[np.intp]:
        """(n_peaks,) the order in which peaks are read where a cell has too many; drawn once, with a fixed seed."""
        return np.random.default_rng(0).permutation(len(self))

    def ids(self, peaks: Intervals, min_overlap: float) -> NDArray[np.int64]:
        """Return (n_peaks,) the id of the peak that each overlaps best, -1 for none."""
        return best_overlaps(peaks, self.peaks, min_overlap=min_overlap)

    def place(
        self, counts: sp.csr_matrix, peaks: Intervals, *, min_overlap: float, what: str, source: str
    ) -> tuple[sp.csr_matrix, NDArray[np.bool_], Coverage]:
        """Return cells on the peaks of the vocabulary, and how much of the data it knows.

        Several peaks may be one of the vocabulary; it is open where one of them is.

        Parameters
        ----------
        counts
            (n_cells, n_peaks) of the data.
        peaks
            Where they lie.
        min_overlap
            Of two peaks that are the same, as a share of the narrower one.
        what
            "reference", "query" or "data", for messages.
        source
            Whose vocabulary it is, for messages.

        Returns
        -------
        (n_cells, n_vocabulary) CSR of ones where open, without zeros, columns in order; (n_vocabulary,) whether the
        data have a peak; and the coverage.

        Raises
        ------
        ValueError
            None of the peaks is known, or no more than by chance: they are of another genome or build.
        """
        ids = self.ids(peaks, min_overlap)
        known = np.flatnonzero(ids >= 0)
        looks = f"the {what}'s (such as {_first(peaks)!r}) and those that {source} knows (such as {self.names[0]!r})"
        advice = f"Pass peaks of the genome build of {source}, or lift them over (sl.pp.match_peaks with chain=)."
        if not len(known):
            msg = f"No peak is the same among {looks}; expected peaks of one genome build. {advice}"
            raise ValueError(msg)
        by_chance, is_chance = compare_with_chance(peaks, self.peaks, ids >= 0, min_overlap=min_overlap)
        if is_chance:
            msg = (
                f"{len(known) / len(peaks):.2%} of the peaks are the same among {looks}, and {by_chance:.2%} would be "
                f"by chance; expected at least twice as many, as peaks of one genome build have. {advice}"
            )
            raise ValueError(msg)
        ones = np.ones(len(known), dtype=np.float32)
        onto = sp.csr_matrix((ones, (known, ids[known])), shape=(len(peaks), len(self)))
        X = sp.csr_matrix(counts @ onto)
        X.eliminate_zeros()
        X.sort_indices()
        all_counts = float(counts.sum(dtype=np.float64))
        share = float(X.sum(dtype=np.float64)) / all_counts if all_counts else 0.0
        X.data = np.ones(X.nnz, dtype=np.float32)
        coverage = Coverage(len(peaks), len(known), share)
        _say(coverage, what, source)
        return X, np.isin(np.arange(len(self)), ids[known]), coverage


def _say(coverage: Coverage, what: str, source: str) -> None:
    """Log how much of some data is known, and warn if it is little."""
    found = (
        f"{coverage.n_known:,} of the {coverage.n_peaks:,} peaks of the {what} are among those that {source} knows, "
        f"with {coverage.share_of_counts:.1%} of its counts"
    )
    if coverage.share_of_counts < FEW:
        logg.warning(f"{found}: the others are not read. Count its fragments on those peaks, where there are any.")
    else:
        logg.info(f"    {found}")


def _first(peaks: Intervals) -> str:
    return str(peaks.names()[0])
