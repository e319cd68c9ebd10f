"""Cells as sequences of islands: which islands, what value each has, and where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ...genomics import (
    Intervals,
    TranscriptionStarts,
    bare_contig,
    island_values,
    islands,
    require_same_genome,
)
from .._task import SideCounts, Task


@dataclass(frozen=True)
class Tokens:
    """What stands for a value, and for none."""

    n_values: int

    @property
    def mask(self) -> int:
        """Stands for a value that is to be predicted."""
        return self.n_values + 1

    @property
    def absent(self) -> int:
        """Stands at islands that the data do not have: it is not known whether they are open."""
        return self.n_values + 2

    def __len__(self) -> int:
        """Return the number of tokens: the values from 0 on, and these two."""
        return self.n_values + 3


@dataclass(frozen=True)
class IslandCells:
    """Cells on islands, in the order of the islands along the genome."""

    values: sp.csr_matrix
    """(n_cells, n_islands) uint8 classes of openness, 1 to the largest; 0, which is not stored, where closed."""
    names: tuple[str, ...]
    """(n_islands,) "1:0-5000", the contig as UCSC and Ensembl share it."""
    is_there: NDArray[np.bool_]
    """(n_islands,) whether the data have an island."""

    @property
    def n_there(self) -> int:
        """Number of islands that the data have."""
        return int(self.is_there.sum())

    def take(self, cells: NDArray[np.intp]) -> IslandCells:
        """Return some of the cells."""
        return replace(self, values=sp.csr_matrix(self.values[cells]))

    def most_open(self, n_islands: int) -> IslandCells:
        """Return the cells on no more islands than these, those that most of them open."""
        if len(self.names) <= n_islands:
            return self
        n_open = np.bincount(self.values.indices, minlength=len(self.names))
        kept = np.sort(np.argsort(-n_open, kind="stable")[:n_islands])
        names = tuple(self.names[i] for i in kept)
        return IslandCells(sp.csr_matrix(self.values[:, kept]), names, self.is_there[kept])

    def onto(self, vocabulary: Sequence[str]) -> IslandCells:
        """Return the cells on the islands of a vocabulary; those that the data lack are not there."""
        at = {name: i for i, name in enumerate(self.names)}
        column = np.array([at.get(name, -1) for name in vocabulary])
        found = np.flatnonzero(column >= 0)
        select = sp.csr_matrix(
            (np.ones(len(found), dtype=np.uint8), (column[found], found)), shape=(len(self.names), len(vocabulary))
        )
        return IslandCells(canonical(self.values @ select), tuple(vocabulary), column >= 0)

    def tokens(self, cells: NDArray[np.intp], tokens: Tokens) -> NDArray[np.uint8]:
        """Return (n, n_islands) tokens of some cells, none of them masked."""
        ids = self.values[cells].toarray()
        ids[:, ~self.is_there] = tokens.absent
        return ids


def names_of(bins: Intervals) -> NDArray[np.str_]:
    """Return names that are the same whether contigs are called chr1 or 1."""
    contigs, code = np.unique(bins.chrom, return_inverse=True)
    bare = np.array([bare_contig(name) for name in contigs])[code] if len(contigs) else bins.chrom
    return Intervals(bare, bins.start, bins.end).names()


def classes_of_openness(X: sp.csr_matrix, n_values: int) -> sp.csr_matrix:
    """Return openness, whole numbers, in classes: 0, 1, …, and ``n_values`` for all above it."""
    values = np.minimum(X.data, n_values).astype(np.uint8)
    return canonical(sp.csr_matrix((values, X.indices, X.indptr), shape=X.shape))


def canonical(X: sp.csr_matrix) -> sp.csr_matrix:
    """Return a matrix with its columns in order and no zeros stored."""
    X = sp.csr_matrix(X, copy=True)
    X.eliminate_zeros()
    X.sort_indices()
    return X


def island_cells(task: Task, *, bin_size: int, tss: TranscriptionStarts | None, n_values: int) -> IslandCells:
    """Return the cells of a task on the islands that hold a peak of the reference and one of the query.

    Whether an island is open that one side has no peak in is not known of that side's cells: such islands would tell
    the sides apart, not the cells.

    Raises
    ------
    ValueError
        There is no such island; transcription starts are of another genome than the peaks.
    """
    of_sides = [_of_side(side, bin_size, tss) for side in task.sides]
    (names, first), (others, second) = of_sides
    both, at, at_other = np.intersect1d(names, others, return_indices=True)
    # In the order along the genome, as the reference has them.
    along = np.argsort(at, kind="stable")
    if not len(both):
        starts = "" if tss is None else f" and one of {len(tss):,} transcription starts"
        msg = (
            f"No island is left: of bins of {bin_size:,} bp, {len(names):,} hold a peak of the reference{starts}, "
            f"{len(others):,} one of the query, and none both; expected peaks{'' if tss is None else ' and starts'} of "
            "one genome build. Pass chain= to lift the query over, or a wider recipe={'bin_size': …}."
        )
        raise ValueError(msg)
    values = sp.vstack([first[:, at[along]], second[:, at_other[along]]], format="csr")
    place = np.concatenate([side.cells for side in task.sides])
    X = classes_of_openness(sp.csr_matrix(values[np.argsort(place)]), n_values)
    return IslandCells(X, tuple(both[along].tolist()), np.ones(len(both), dtype=bool))


def _of_side(
    side: SideCounts, bin_size: int, tss: TranscriptionStarts | None
) -> tuple[NDArray[np.str_], sp.csr_matrix]:
    """Return the names of a side's islands, and the openness of its cells on them."""
    if tss is not None:
        require_same_genome(side.peaks, tss)
    found = islands(side.peaks, bin_size, tss)
    return names_of(found.bins), island_values(side.counts, found.assignment)


def positions(X: sp.csr_matrix, n_dims: int) -> NDArray[np.float32]:
    """Return where islands stand: the truncated singular value decomposition of cells × islands.

    With X ≈ U S Vᵀ of rank ``n_dims``, islands stand at V S, which are the coordinates that make islands alike which
    are open in the same cells. As a whole they have unit mean square, as embeddings of values do before they are
    learned (ours), and four decimals. Where the data have fewer dimensions, the others are zero.

    Parameters
    ----------
    X
        (n_cells, n_islands).
    n_dims
        Dimensions.

    Returns
    -------
    (n_islands, n_dims).
    """
    from sklearn.decomposition import TruncatedSVD

    rank = min(n_dims, min(X.shape) - 1)
    found = np.zeros((X.shape[1], n_dims))
    if rank > 0:
        # A fixed seed: what is found does not depend on it but for the last digits.
        svd = TruncatedSVD(rank, n_iter=7, random_state=0)
        found[:, :rank] = svd.fit_transform(sp.csr_matrix(X.T, dtype=np.float64))
    scale = np.sqrt(np.mean(found**2))
    # The last digits of a decomposition differ with the number of threads: rounded, what follows has the same bytes.
    return np.round(found / (scale if scale > 0 else 1.0), 4).astype(np.float32)
