"""Reference and query cells in one space, made of evidence that both have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from ..factorisation import (
    Blocks,
    CellMapper,
    Decoder,
    Factorisation,
    Thinned,
    chance_to_match,
    each_block,
    evidence,
    fit,
    leading_axes,
    margins,
)
from ..methods import Cells
from ._evidence import depth, require_evidence, require_open_cells
from ._joint_counts import JointCounts, Side
from ._sequences import Sequences, sequence_coverage

Float = NDArray[np.floating]

N_LATENT_ALONE = 128
"""Dimensions, at most, of an object's own embedding; as many as of the joint one by default."""
FEWEST_CELLS = 20
"""Of an object that gets an embedding of its own to find its cells' neighbors in: of fewer, a cell has at most one."""
ROUNDING = 1e-6
"""Largest coordinate of cells below which they all lie at one point, but for rounding. Cells of different types differ
by about one, as loadings are orthonormal under the base rates; those of 300 sorted NK cells were at 6e-8."""
N_OWN_AXES = 5
"""Axes along which the cells of one object differ most, by its own peaks alone. CD4 and CD8 T cells differ along the
first, or up to the fifth where depth or another type has more to say."""
MOST_CELLS_OF_AXES = 2_000
"""Cells of each object, at most, in which these axes are looked for. So many show types that hardly differ (-log10 p of
CD4 and CD8: 21 to 39 with 500 shared peaks, 4.6 to 7.4 in 570 cells, where 3 is needed)."""
SEQUENCE_TELLS = 0.055
"""Held-out R² of loadings by sequence, from which cells are placed by peaks of one object alone too, by their DNA. On
simulated peaks, which motifs open, it is .09 at least, and accuracy rises by ten points; on real peaks described by
their k-mers it is .03, and peaks of one object alone turn its cells away from the other's."""


@dataclass(frozen=True)
class QueryPlacement:
    """How the query's cells were placed by their counts."""

    decoder: Decoder
    expected: Float
    """(n_peaks,) base rates of the decoder's peaks; 0 for peaks that the query lacks."""
    peaks: NDArray[np.intp]
    """(peaks of the object,): the decoder's peak that each counts as, -1 for none."""
    as_new: bool = False
    """See :class:`Placement`."""
    is_binary: bool = True
    """Whether counts above 1 are taken for 1."""


@dataclass(frozen=True)
class CellSpace:
    """Cells as an annotator sees them, and what they were made of."""

    cells: Cells
    coverage: Mapping[str, Any]
    """For ``.uns``: peaks matched and used, sequence used."""
    placement: QueryPlacement | None = None
    """How the query's cells were placed; None where they were embedded before."""


def space_of_one(
    adata: AnnData, joint: JointCounts, sequences: Sequences, *, n_latent: int, rng: np.random.Generator
) -> CellSpace:
    """Embed labeled and unlabeled cells of one object."""
    embeddings, source = sequences.embed(adata)
    prior = _Prior() if embeddings is None else _Prior(embeddings[joint.peaks], source)
    return _by_shared_peaks(joint, prior, None, n_latent, rng)


def space_of_two(
    query: AnnData,
    reference: AnnData,
    joint: JointCounts,
    sequences: Sequences,
    *,
    of_query: Sequences,
    n_latent: int,
    rng: np.random.Generator,
) -> CellSpace:
    """Embed labeled cells of a reference and a query.

    Parameters
    ----------
    query, reference
        Objects, for their peaks' DNA.
    joint
        Their counts.
    sequences, of_query
        Where DNA comes from, of the reference's peaks and of the query's.
    n_latent
        Dimensions at most.
    rng
        Of the fits.

    Notes
    -----
    Cells are placed by evidence that both objects have: the peaks they share. What an object has alone says which of
    its own cells are alike. Where sequence tells much of peaks, cells are placed by all of them, those of one object
    alone by their DNA.
    """
    assert joint.sides is not None
    embeddings, source = sequences.embed(reference)
    both = embeddings is not None and not sequences.learns and of_query.known(query)
    if both and embeddings is not None and sequences.key in query.varm:
        of_query.embed(query, n_dims=embeddings.shape[1])  # refused before any work if it is of another encoder
    # Of the reference, the fit also measures how much sequence tells.
    of_known = embeddings[joint.sides[0].peaks] if both and embeddings is not None else None
    alone = [_embed_alone(side, e, rng) for side, e in zip(joint.sides, (of_known, None), strict=True)]
    if embeddings is not None and of_known is not None and _sequence_tells(joint, alone[0], of_known, rng):
        of_own = of_query.embed(query, n_dims=embeddings.shape[1])[0]
        return _by_all_peaks(joint, embeddings, of_own, source, n_latent, rng)
    prior = _Prior()
    if embeddings is not None:
        prior = _Prior(embeddings[joint.peaks], source, "both" if both else "reference")
    elif not sequences.learns and of_query.known(query):
        found, source = of_query.embed(query)
        prior = _Prior(onto_shared_peaks(joint, found), source, "query")
    return _by_shared_peaks(joint, prior, alone, n_latent, rng)


@dataclass(frozen=True)
class _Prior:
    """Peak embeddings that are the prior of loadings, and where they come from."""

    embeddings: Float | None = None
    """(n_peaks, d)."""
    source: str = "none"
    side: str = "reference"


@dataclass(frozen=True)
class _Alone:
    """The cells of one object in a space of their own."""

    counts: Blocks
    depth: Float
    """(n_cells,): open peaks."""
    fitted: Factorisation


def _embed_alone(side: Side, embeddings: Float | None, rng: np.random.Generator) -> _Alone | None:
    """Embed the cells of one object by all of its peaks; None if it has no others, or too few cells."""
    if not side.has_own_peaks or side.counts.shape[0] < FEWEST_CELLS:
        return None
    expected = margins(side.counts)
    fitted = fit(side.counts, expected, N_LATENT_ALONE, embeddings=embeddings, rng=rng)
    return _Alone(side.counts, depth(side.counts), fitted)


def _by_shared_peaks(
    joint: JointCounts, prior: _Prior, alone: list[_Alone | None] | None, n_latent: int, rng: np.random.Generator
) -> CellSpace:
    """Embed cells by the peaks that both have, and reference cells also as if they had the query's depths."""
    expected = margins(joint.counts, joint.is_query.astype(np.intp))
    require_evidence(expected, joint.is_query)
    require_open_cells(expected, joint.is_query)
    fitted = fit(joint.counts, expected, n_latent, embeddings=prior.embeddings, rng=rng)
    found = evidence(joint.counts, fitted.decoder, fitted.cells)
    reference, query = np.flatnonzero(~joint.is_query), np.flatnonzero(joint.is_query)
    of_cell = depth(joint.counts)
    # Cells without any open peak are no example of a query cell's depth.
    depth_of_query = of_cell[query] if joint.sides is None else depth(joint.sides[1].counts)
    with_counts = query[depth_of_query > 0]
    chance = chance_to_match(found.exposure[reference], found.exposure[with_counts])
    thinned = Thinned.to(joint.counts.take(reference), chance)
    as_query = evidence(thinned, fitted.decoder, fitted.cells[reference])
    cells = Cells(found.cells, found, as_query=as_query)
    if alone is not None and any(a is not None for a in alone):
        around, around_as_query = _around(cells, alone, reference, query, of_cell, rng)
        own_axes = _own_axes(joint, alone, of_cell)
        cells = replace(cells, around=around, around_as_query=around_as_query, own_axes=own_axes)
    coverage = {
        **joint.coverage,
        "n_used": len(expected.evident),
        "n_own": 0,
        **sequence_coverage(prior.source, prior.side, fitted.decoder.prior),
    }
    placement = QueryPlacement(fitted.decoder, fitted.decoder.rate, joint.shared_peaks, as_new=True)
    return CellSpace(cells, coverage, placement)


def _around(
    cells: Cells,
    alone: list[_Alone | None],
    reference: NDArray[np.intp],
    query: NDArray[np.intp],
    shared: Float,
    rng: np.random.Generator,
) -> tuple[Float, Float]:
    """Return the spaces that neighbors are looked for in: each object's own where it has one, else the joint one.

    Reference cells are looked for as query cells are: by counts on peaks of their own that are as few as the query's.
    """
    assert cells.as_query is not None
    known, new = alone
    as_query = cells.as_query.cells
    width = max(cells.X.shape[1], 2, *(a.fitted.cells.shape[1] for a in alone if a is not None))
    around = np.zeros((len(cells.X), width), dtype=np.float32)
    around_as_query = np.zeros((len(reference), width), dtype=np.float32)
    for rows, one in ((reference, known), (query, new)):
        found = cells.X[rows] if one is None else one.fitted.cells
        if one is not None and not (abs(found) > ROUNDING).any():
            # Nothing tells the cells of a sorted type apart, so that any of them may stand for any other.
            found = rng.standard_normal((len(rows), 2)) * (one.depth > 0)[:, None]
        around[rows, : found.shape[1]] = found
    if known is not None and new is not None:
        own = known.depth - shared[reference], new.depth - shared[query]
        of_known, of_new = (np.maximum(o, 0) for o in own)
        thinned = Thinned.to(known.counts, chance_to_match(of_known, of_new[new.depth > 0]))
        mapper = CellMapper(known.fitted.decoder, known.fitted.decoder.rate)
        as_query = np.concatenate(list(each_block(mapper, thinned)))
    around_as_query[:, : as_query.shape[1]] = as_query
    return around, around_as_query


def _own_axes(joint: JointCounts, alone: list[_Alone | None], shared: Float) -> Float | None:
    """Return where cells lie along the leading axes of the peaks that the other object lacks, (n_cells, k).

    Reference cells are as many as query cells there, and as few of their counts are kept, so that axes of both are as
    hard to find. Rows of NaN are cells that were not looked at. None if one of the objects has no peaks of its own.

    Parameters
    ----------
    joint
        Counts of both objects.
    alone
        Reference and query in spaces of their own.
    shared
        (n_cells,) open peaks of each cell among the shared ones.
    """
    of_reference, of_query = alone
    if of_reference is None or of_query is None:
        return None
    assert joint.assignment is not None
    peak_of_query = joint.assignment.indices
    n_peaks, n_reference = of_reference.counts.shape[1], len(of_reference.depth)
    own_of_query = peak_of_query >= n_peaks
    own_of_reference = np.ones(n_peaks, dtype=bool)
    own_of_reference[peak_of_query[~own_of_query]] = False
    rng, n_cells = np.random.default_rng(0), min(len(of_query.depth), MOST_CELLS_OF_AXES)
    chosen = [np.sort(rng.permutation(len(one.depth))[:n_cells]) for one in (of_reference, of_query)]
    own_depth = np.maximum(np.concatenate([of_reference.depth, of_query.depth]) - shared, 0)
    rows = chosen[0], n_reference + chosen[1]
    thinned = Thinned.to(of_reference.counts.take(chosen[0]), chance_to_match(own_depth[rows[0]], own_depth[rows[1]]))
    axes = np.full((len(own_depth), N_OWN_AXES), np.nan)
    for cells, counts, own in (
        (rows[0], thinned, own_of_reference),
        (rows[1], of_query.counts.take(chosen[1]), own_of_query),
    ):
        axes[cells] = leading_axes(sp.csr_matrix(sp.vstack([X[:, own] for X in counts])), N_OWN_AXES)
    return axes


def _by_all_peaks(
    joint: JointCounts,
    of_reference: Float,
    of_query: Float | None,
    source: str,
    n_latent: int,
    rng: np.random.Generator,
) -> CellSpace:
    """Embed cells by the peaks that either has; those that one has alone tell by their DNA where its cells belong.

    Parameters
    ----------
    joint
        Of two objects.
    of_reference, of_query
        (reference peaks, d) and (query peaks, d) peak embeddings.
    source
        Of ``of_reference``.
    n_latent
        Dimensions at most.
    rng
        Of the fit.
    """
    assert joint.sides is not None
    union = joint.union
    own = np.full((len(union.own), of_reference.shape[1]), np.nan) if of_query is None else of_query[union.own]
    embeddings = np.concatenate([of_reference[joint.sides[0].peaks], own])
    is_query = joint.is_query.astype(np.intp)
    expected = margins(union.counts, is_query, measured=union.measured)
    require_evidence(expected, is_query)
    require_open_cells(expected, joint.is_query)
    fitted = fit(union.counts, expected, n_latent, embeddings=embeddings, rng=rng)
    coverage = {
        **joint.coverage,
        "n_own": len(union.own),
        "n_used": len(expected.evident),
        **sequence_coverage(source, "both", fitted.decoder.prior),
    }
    placement = QueryPlacement(fitted.decoder, expected.expected[1], joint.union_peaks)
    return CellSpace(Cells(fitted.cells), coverage, placement)


def _sequence_tells(joint: JointCounts, alone: _Alone | None, embeddings: Float, rng: np.random.Generator) -> bool:
    """Return whether sequence tells enough of peaks to place cells by those that one object has alone.

    That is measured on the reference, as held-out R² of the loadings of all of its peaks. Without an open shared peak
    there is nothing else to place cells by.
    """
    assert joint.sides is not None
    known, new = joint.sides
    on_shared = depth(joint.counts)[joint.is_query].sum()
    on_own = max(depth(new.counts).sum() - on_shared, 0)
    if on_shared == 0 or on_own == 0 or not new.has_own_peaks:
        return bool(on_shared == 0)
    if alone is None:
        fitted = fit(known.counts, margins(known.counts), N_LATENT_ALONE, embeddings=embeddings, rng=rng)
    else:
        fitted = alone.fitted
    r2 = 0.0 if fitted.decoder.prior is None else fitted.decoder.prior.held_out_r2
    return r2 >= SEQUENCE_TELLS


def onto_shared_peaks(joint: JointCounts, of_query: Float | None) -> Float | None:
    """Return the embeddings (n_peaks, d) of the shared peaks by those of the query's peaks."""
    if of_query is None:
        return None
    assert joint.sides is not None
    assert joint.assignment is not None
    known, new = joint.sides
    found = np.full((joint.assignment.shape[1], of_query.shape[1]), np.nan, dtype=np.float32)
    found[joint.assignment.indices] = of_query[new.peaks]
    at = np.empty(known.peaks.max() + 1, dtype=np.intp)
    at[known.peaks] = np.arange(len(known.peaks))
    return found[at[joint.peaks]]
