"""What methods read of the user's objects, made when they read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._anndata import require_peaks
from .._counts import counts, has_counts
from .._keys import CELL_EMBEDDING
from ..factorisation import margins, open_counts
from ..genomics import Intervals, peak_positions
from ..methods import Cells, SideCounts, Source
from ._cell_space import CellSpace, QueryPlacement, onto_shared_peaks, space_of_one, space_of_two
from ._choices import Choices
from ._decoder_slots import is_fitted
from ._evidence import require_evidence, require_open_peaks
from ._frozen_space import frozen_space
from ._inputs import Inputs
from ._joint_counts import JointCounts, joint_counts_of_one, joint_counts_of_two
from ._sequences import Sequences
from ._side_counts import side_counts

Float = NDArray[np.floating]


class SpaceSource(Source):
    """Cells that have a place in one embedding, and no counts in common.

    Parameters
    ----------
    make
        The embedding, and what it was made of.
    n_cells
        Number of cells.
    has_sequence
        Whether there is DNA under the peaks that the method could use.
    is_frozen
        Whether the query is mapped to a reference that was fitted before.
    """

    sequence_there: Sequence[str] = ()
    """Who has sequences, of reference and query; "object" if there is but one."""
    encoder_learns: bool = False
    """Whether the encoder learns from the reference's counts."""

    def __init__(
        self, make: Callable[[], CellSpace], n_cells: int, *, has_sequence: bool = False, is_frozen: bool = False
    ) -> None:
        self._make, self.has_sequence, self.is_frozen = make, has_sequence, is_frozen
        self.order: NDArray[np.intp] = np.arange(n_cells)
        """(n_cells,) which of the inputs' cells each of these is."""
        self.coverage: dict[str, Any] = {}
        """For ``.uns``: peaks matched and used, sequence used, by the parts that were read so far."""
        self.placement: QueryPlacement | None = None
        """How the query's cells were placed by their counts, once they were."""

    @cached_property
    def embedding(self) -> Cells:
        """All cells in the embedding."""
        space = self._make()
        self.coverage |= space.coverage
        self.placement = space.placement
        return space.cells

    def n_open(self, codes: NDArray[np.integer]) -> Float | None:
        """Return in how many reference cells of each class each peak of the query's object is open.

        Parameters
        ----------
        codes
            (n_cells,) classes of the cells in their order here; -1 marks the query.

        Returns
        -------
        (n_vars, n_classes), NaN for peaks that the reference lacks; None if its counts are not at hand.
        """
        return None


class JointSource(SpaceSource):
    """Labeled and unlabeled cells with counts on the peaks that both have.

    Parameters
    ----------
    query
        Object that is annotated.
    known
        Object with the labels; the same if there is but one.
    joint
        Their counts.
    sequences, of_query
        Where DNA comes from, of the reference's peaks and of the query's.
    n_latent
        Dimensions of the embedding, at most.
    sides
        Makes the counts of both on their own peaks.
    has_sequence
        Whether there is DNA under the peaks that the method could use.
    rng
        Of its fits.
    """

    def __init__(
        self,
        query: AnnData,
        known: AnnData,
        joint: JointCounts,
        sequences: Sequences,
        of_query: Sequences,
        n_latent: int,
        *,
        sides: Callable[[], tuple[SideCounts, SideCounts]],
        has_sequence: bool,
        rng: np.random.Generator,
    ) -> None:
        def embed() -> CellSpace:
            if known is query:
                return space_of_one(query, joint, sequences, n_latent=n_latent, rng=rng)
            return space_of_two(query, known, joint, sequences, of_query=of_query, n_latent=n_latent, rng=rng)

        super().__init__(embed, len(joint.order), has_sequence=has_sequence)
        self._query, self._known, self._joint = query, known, joint
        self._sequences, self._of_query, self._make_sides = sequences, of_query, sides
        self.order = joint.order
        self.coverage |= {**joint.coverage, "n_own": 0, "sequence": "none"}

    def n_open(self, codes: NDArray[np.integer]) -> Float | None:
        """Return in how many reference cells of each class each peak is open; None if no peak is shared."""
        if not len(self._joint.peaks):
            return None
        known, peaks = np.flatnonzero(codes >= 0), self._joint.shared_peaks
        of_shared = open_counts(self._joint.counts.take(known), codes[known])[0]
        return np.where(peaks >= 0, of_shared[:, peaks], np.nan).T

    @cached_property
    def _evident(self) -> NDArray[np.intp]:
        """Positions, among the joint peaks, of those that are evidence in reference and query."""
        expected = margins(self._joint.counts, self._joint.is_query.astype(np.intp))
        require_evidence(expected, self._joint.is_query)
        self.coverage["n_used"] = len(expected.evident)
        return expected.evident

    @cached_property
    def counts(self) -> sp.csr_matrix:
        """(n_cells, n_peaks) 1 where a peak is open."""
        return sp.csr_matrix(sp.vstack([block[:, self._evident] for block in self._joint.counts]))

    @cached_property
    def peaks(self) -> Intervals:
        """(n_peaks,) intervals of the counts' peaks in the reference."""
        where, peaks = peak_positions(self._known.var), self._joint.peaks[self._evident]
        at = np.full(self._known.n_vars, -1)
        at[where.rows] = np.arange(len(where.rows))
        if (at[peaks] < 0).any():
            name = self._known.var_names[peaks[at[peaks] < 0][0]]
            msg = f"It is not known where the peak {name!r} of the reference lies; expected an interval for each."
            raise ValueError(msg)
        found = where.intervals
        return Intervals(found.chrom[at[peaks]], found.start[at[peaks]], found.end[at[peaks]])

    @cached_property
    def peak_embeddings(self) -> Float:
        """(n_peaks, d) vectors of the counts' peaks: of the reference, or of the query where it alone has sequences."""
        side = "both" if self._known is self._query else "reference"
        embeddings, source = self._sequences.embed(self._known)
        found = None if embeddings is None else embeddings[self._joint.peaks]
        if found is None:
            side = "query"
            of_query, source = self._of_query.embed(self._query)
            found = onto_shared_peaks(self._joint, of_query)
        if found is None or np.isfinite(found[self._evident]).all(axis=1).sum() < 2:
            msg = (
                "There is no DNA under the peaks that reference and query share; expected sequences of two peaks at "
                "least. Pass genome= the FASTA of the reference, or recipe={'cells': 'factorisation'}."
            )
            raise ValueError(msg)
        self.coverage |= {"sequence": source, "sequence_side": side}
        return found[self._evident]

    @cached_property
    def sides(self) -> tuple[SideCounts, SideCounts]:
        """Reference and query, counts as they are, each on its own peaks."""
        reference, query = self._make_sides()
        own = self.coverage.get("n_query", 0) - self.coverage.get("n_matched_query", 0)
        self.coverage |= {"n_used": len(reference.peaks), "n_used_query": len(query.peaks), "n_own": own}
        return reference, query


def make_source(
    target: AnnData,
    inputs: Inputs,
    choices: Choices,
    sequences: Sequences,
    layers: tuple[str | None, str | None],
    pairing: Mapping[str, Any],
    n_latent: int,
    *,
    frozen: bool,
) -> SpaceSource:
    """Return what a method reads of one object, of two, or of one and a reference that was fitted before.

    Parameters
    ----------
    target
        Object that is annotated.
    inputs
        Who is annotated from whom.
    choices
        The method.
    sequences
        Where DNA comes from.
    layers
        With the counts, of the query and of the reference.
    pairing
        What :func:`pair_peaks` is to be called with.
    n_latent
        Dimensions of the embedding, at most.
    frozen
        Whether the query is to be mapped to the reference as it is.

    Raises
    ------
    ValueError
        No shared peak is open; the method cannot do with a frozen reference.
    """

    def learn_from() -> sp.csr_matrix:
        return counts(inputs.known, layers[1])[inputs.labeled]

    of_query = sequences.of_query(lifted=pairing["chain"] is not None)
    sequences = replace(sequences, learn_from=learn_from)
    there = _with_sequence(target, inputs.known, sequences, of_query)
    has_sequence = choices.reads_sequence and bool(there)
    if inputs.known is target:
        require_peaks(target)
        joint = joint_counts_of_one(target, inputs.codes, layers[0])
        require_open_peaks(joint, on_shared=True)
    elif frozen or _without_counts(inputs.known, layers[1]):
        choices.require_embedding()
        source = SpaceSource(
            lambda: frozen_space(target, inputs.known, inputs.labeled, sequences, of_query, layers[0], pairing),
            len(inputs.codes),
            has_sequence=has_sequence,
            is_frozen=True,
        )
        source.sequence_there = there
        return source
    else:
        joint = _joint_counts(target, inputs, choices, sequences, layers, pairing)
    source = JointSource(
        target,
        inputs.known,
        joint,
        sequences,
        of_query,
        n_latent,
        sides=lambda: side_counts(target, inputs.known, inputs.labeled, joint, layers, pairing["chain"]),
        has_sequence=has_sequence,
        rng=choices.rng,
    )
    source.sequence_there, source.encoder_learns = there, sequences.learns
    return source


def _with_sequence(query: AnnData, reference: AnnData, sequences: Sequences, of_query: Sequences) -> list[str]:
    """Return which of the objects have sequences, by what they are called in messages."""
    if reference is query:
        return ["object"] * sequences.known(query)
    return ["reference"] * sequences.known(reference) + ["query"] * of_query.known(query)


def _without_counts(reference: AnnData, layer: str | None) -> bool:
    """Return whether a reference is one without counts, to whose space the query is mapped."""
    if has_counts(reference, layer) or reference.X is not None:
        return False
    # Counts in a layer that was not named are asked for, where there is nothing to do without.
    return is_fitted(reference, CELL_EMBEDDING) or not reference.layers


def _joint_counts(
    target: AnnData,
    inputs: Inputs,
    choices: Choices,
    sequences: Sequences,
    layers: tuple[str | None, str | None],
    pairing: Mapping[str, Any],
) -> JointCounts:
    """Return the counts of two objects on the peaks that both have."""
    # Places in the genome, or sequences of both, can do without shared peaks.
    by_place = choices.reads == {"sides"}
    none_allowed = by_place or (
        "embedding" in choices.reads
        and not sequences.learns
        and sequences.known(inputs.known)
        and sequences.carried(target)
    )
    codes = inputs.codes[: len(inputs.labeled)]
    joint = joint_counts_of_two(
        target,
        inputs.known,
        inputs.labeled,
        codes,
        layers,
        pairing,
        none_allowed=none_allowed,
        one_build=by_place,
    )
    require_open_peaks(joint, on_shared=not none_allowed)
    return joint
