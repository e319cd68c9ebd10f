"""What an annotator reads, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..genomics import Intervals
from ..graphs import nearest_graph, neighbors_among, ppmi_graph, symmetrize, within_domains
from ._cells import Cells
from ._linear_model import LinearModel

Float = NDArray[np.floating]

PARTS = frozenset({"embedding", "counts", "peaks", "peak_embeddings", "sides"})
"""What a source can give. A method names the parts that it reads, and no others are made."""


@dataclass(frozen=True)
class SideCounts:
    """Cells of one side, reference or query, on all of its own peaks, whatever the other side has."""

    counts: sp.csr_matrix
    """(n_cells, n_peaks) counts as they are."""
    peaks: Intervals
    """(n_peaks,) where the peaks lie, on the reference's genome build."""
    cells: NDArray[np.intp]
    """(n_cells,) positions of these cells among those of the source, increasing."""
    build: str | None = None
    """That genome build, by the name that the object notes; None if it notes none."""

    def of(self, at: NDArray[np.intp]) -> SideCounts:
        """Return those of its cells that are among these positions of the source."""
        kept = np.flatnonzero(np.isin(self.cells, at))
        if len(kept) == len(self.cells):
            return self
        return replace(self, counts=sp.csr_matrix(self.counts[kept]), cells=self.cells[kept])


class Source:
    """Reference and query cells as they come to the annotators. Each part is made when it is first read."""

    @property
    def embedding(self) -> Cells:
        """All cells in the package's own embedding."""
        return self._without("embedding")

    @property
    def counts(self) -> sp.csr_matrix:
        """(n_cells, n_peaks) 1 where a peak is open, on peaks that are evidence in the reference and in the query."""
        return self._without("counts")

    @property
    def peaks(self) -> Intervals:
        """(n_peaks,) where those peaks lie, on the reference's genome build."""
        return self._without("peaks")

    @property
    def peak_embeddings(self) -> Float:
        """(n_peaks, d) vectors of the same peaks' DNA; rows of NaN are peaks without a known base."""
        return self._without("peak_embeddings")

    @property
    def sides(self) -> tuple[SideCounts, SideCounts]:
        """Reference and query, each on its own peaks: for methods that compare them by something else than peaks."""
        return self._without("sides")

    def _without(self, part: str) -> NoReturn:
        msg = f"These cells come without {part}; expected a method that reads none."
        raise TypeError(msg)


@dataclass(frozen=True)
class Task:
    """All cells with an open peak, and labels of the reference alone. Each part is made when it is first read."""

    source: Source
    reads: frozenset[str]
    """Those of ``PARTS`` that the method says it reads."""
    at: NDArray[np.intp]
    """(n_cells,) positions of the cells among those of the source, increasing."""
    labels: NDArray[np.integer]
    """(n_cells,) class codes; -1 marks the query."""
    n_classes: int
    rng: np.random.Generator
    batch: NDArray[np.integer] | None = None
    """(n_cells,) batch codes, read for reference cells only."""
    device: str = "cpu"
    n_neighbors: int = 15
    """That a cell is to have in the graphs, where there are enough cells."""
    space: Cells | None = None
    """The cells in the space that they are labeled in; None before the method has made it."""

    @property
    def cells(self) -> Cells:
        """The cells in the space that they are labeled in: the package's embedding, or one that the method made."""
        if self.space is None:
            _refuse("embedding", self.reads)
        return self.space

    @property
    def X(self) -> Float:
        """(n_cells, d) where they are in it."""
        return self.cells.X

    @property
    def X_at_unit_scale(self) -> Float:
        """``X`` scaled as a whole to unit mean square: learning rates are published for features of that order."""
        return self.X / np.sqrt(np.mean(np.square(self.X, dtype=np.float64)))

    @cached_property
    def counts(self) -> sp.csr_matrix:
        """(n_cells, n_peaks) binary; see :class:`Source`."""
        return sp.csr_matrix(self._part("counts")[self.at])

    @property
    def peaks(self) -> Intervals:
        """(n_peaks,) intervals of the counts' peaks."""
        return self._part("peaks")

    @property
    def peak_embeddings(self) -> Float:
        """(n_peaks, d) of the counts' peaks."""
        return self._part("peak_embeddings")

    @cached_property
    def sides(self) -> tuple[SideCounts, SideCounts]:
        """Reference and query cells, each on their own peaks; see :class:`Source`."""
        reference, query = self._part("sides")
        return reference.of(self.at), query.of(self.at)

    @property
    def has_open_peak(self) -> NDArray[np.bool_]:
        """(n_cells,) whether a cell has one, among those that the method reads."""
        if "sides" not in self.reads:
            return np.diff(self.counts.indptr) > 0
        found = np.zeros(len(self.at), dtype=bool)
        for side in self.sides:
            found[np.searchsorted(self.at, side.cells)] = np.diff(side.counts.indptr) > 0
        return found

    @property
    def around(self) -> Float:
        """(n_cells, m) where neighbors are looked for."""
        return self.cells.X if self.cells.around is None else self.cells.around

    @cached_property
    def nearest(self) -> sp.csr_matrix:
        """(n_cells, n_cells) from each cell to its nearest neighbors, within domains; fewer in a small query."""
        reference, query = np.flatnonzero(~self.query), np.flatnonzero(self.query)
        k = neighbors_among(len(query), self.n_neighbors)
        graphs = [nearest_graph(self.around[reference], self.n_neighbors), nearest_graph(self.around[query], k)]
        return within_domains(graphs, [reference, query])

    @cached_property
    def connectivities(self) -> sp.csr_matrix:
        """(n_cells, n_cells) the kNN graph, which is ``nearest`` made symmetric."""
        return symmetrize(self.nearest)

    @cached_property
    def ppmi(self) -> sp.csr_matrix:
        """(n_cells, n_cells) PPMI graph, within domains."""
        return ppmi_graph(self.connectivities, self.query.astype(np.int8), rng=self.rng)

    @property
    def query(self) -> NDArray[np.bool_]:
        """(n_cells,) True for cells to annotate."""
        return self.labels < 0

    @property
    def seed(self) -> int:
        """A seed for torch, drawn from ``rng``."""
        return int(self.rng.integers(2**31))

    def in_order(self, reference: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return reference and query cells (n, k) as all cells in their order."""
        cells = np.empty((len(self.labels), reference.shape[1]), dtype=np.float32)
        cells[~self.query], cells[self.query] = reference, query
        return cells

    def within(self, space: Cells) -> Task:
        """Return the task of those cells that have a place in a space, which they are labeled in."""
        return replace(self, space=space).of(space.have_counts)

    def of(self, cells: NDArray[np.bool_]) -> Task:
        """Return the task of some of the cells, (n_cells,)."""
        kept, of_reference = np.flatnonzero(cells), np.flatnonzero(cells[~self.query])
        batch = None if self.batch is None else self.batch[kept]
        space = self.cells.take(kept, of_reference)
        return replace(self, at=self.at[kept], labels=self.labels[kept], batch=batch, space=space)

    def _part(self, name: str) -> Any:
        if name not in self.reads:
            _refuse(name, self.reads)
        return getattr(self.source, name)


@dataclass(frozen=True)
class Represented:
    """Cells in a space that a method made."""

    cells: Float
    """(n_cells, k)."""
    peaks: Float | None = None
    """(n_peaks, k) the peaks of ``Task.counts`` in the same space, if they have a place in it."""
    history: Mapping[str, Any] = field(default_factory=dict)
    """Losses, lists of numbers by name."""


@dataclass(frozen=True)
class Alike:
    """Reference cells that were held out, and query cells, labeled in exactly the same way."""

    cells: NDArray[np.intp]
    """(n_held_out,) positions among the reference's cells."""
    held_out: Float
    """(n_held_out, n_classes) probabilities."""
    query: Float
    """(n_query, n_classes) probabilities: those of the result, but for what was done to them afterwards."""

    def of(self, of_reference: NDArray[np.bool_], of_query: NDArray[np.bool_]) -> Alike:
        """Return those of its cells that are among some of the reference's and of the query's."""
        kept, position = of_reference[self.cells], np.cumsum(of_reference) - 1
        return Alike(position[self.cells[kept]], self.held_out[kept], self.query[of_query])


@dataclass(frozen=True)
class Result:
    """What an annotator returns."""

    proba: Float
    """(n_query, n_classes) probabilities."""
    aligned: Float
    """(n_cells, k) aligned representation of all cells. Where a method labels straight from counts, cells at zero are
    those of which it found nothing to read, and are treated as cells without an open peak."""
    history: Mapping[str, Any] = field(default_factory=dict)
    """Losses or fitted constants, numbers or lists of numbers."""
    as_query: Float | None = None
    """(n_reference, k) the reference cells in it as if they had the query's depths; None where that is no matter."""
    held_out: Float | None = None
    """(n_reference, n_classes) probabilities of reference cells by the others."""
    alike: Alike | None = None
    """Held-out cells for prediction sets; None where the method holds out none."""
    model: LinearModel | None = None
    """What the probabilities were made with, where that is linear in the counts; its links are among query cells."""


def _refuse(part: str, reads: frozenset[str]) -> NoReturn:
    """Raise TypeError: what a method reads it has to say, so that nothing is made that nobody reads."""
    msg = f"The method reads {part!r} and does not say so; expected it among its reads={sorted(reads)}."
    raise TypeError(msg)
