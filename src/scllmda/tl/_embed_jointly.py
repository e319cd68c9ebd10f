"""Reference and query cells in one space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._counts import count_blocks, counts
from .._keys import CELL_EMBEDDING
from ..factorisation import Margins, SequencePrior, fit, margins
from ..pp._pair_peaks import pair_peaks
from ._cell_embeddings import require_evidence
from ._decoder_slots import read_decoder
from ._joint_peaks import JointPeaks, own_peaks
from ._map_query import extend_decoder, map_blocks
from ._sequences import Sequences


@dataclass(frozen=True)
class Embedded:
    """Cells of reference and query."""

    cells: NDArray[np.float32]
    """(n_cells, k): labelled cells of the reference, then the query; of one object in its order."""
    coverage: Mapping[str, Any]
    """For ``.uns``: peaks matched and used, sequence used."""


def embed_one_object(
    adata: AnnData,
    codes: NDArray[np.integer],
    sequences: Sequences,
    layer: str | None,
    n_latent: int,
    rng: np.random.Generator,
) -> Embedded:
    """Embed labelled and unlabelled (code -1) cells of one object by the peaks that are open in both."""
    blocks = count_blocks(adata, layer).binary()
    expected = margins(blocks, (codes < 0).astype(np.intp))
    require_evidence(expected, codes)
    known = counts(adata, layer)[codes >= 0] if sequences.learns and sequences.known(adata) else None
    embeddings, source = sequences.embed(adata, known)
    fitted = fit(blocks, expected, n_latent, embeddings=embeddings, rng=rng)
    coverage = {
        "n_peaks": adata.n_vars,
        "n_used": len(expected.evident),
        **_sequence_coverage(source, fitted.decoder.prior),
    }
    return Embedded(fitted.cells, coverage)


def embed_two_objects(
    query: AnnData,
    reference: AnnData,
    labelled: NDArray[np.intp],
    sequences: Sequences,
    layer: str | None,
    pairing: Mapping[str, Any],
    n_latent: int,
    rng: np.random.Generator,
) -> Embedded:
    """Embed labelled reference cells and the query jointly.

    Peaks that only one of them has count on its own cells: with peaks in common, or by their DNA, they still say which
    cells belong together.
    """
    of_query = _of_query(sequences, pairing)
    both = sequences.known(reference) and of_query.known(query) and not sequences.learns
    pairs = pair_peaks(query, reference, none_allowed=both and sequences.carried(query), **pairing)
    peaks = JointPeaks(pairs, np.flatnonzero(pairs.target < 0))
    known = count_blocks(reference, layer).take(labelled).binary()
    asked = count_blocks(query, layer).onto(peaks.assignment).binary()
    blocks = known.widen(asked.shape[1]).above(asked)
    is_query = (np.arange(blocks.shape[0]) >= len(labelled)).astype(np.intp)
    measured = np.stack([np.arange(asked.shape[1]) < reference.n_vars, peaks.seen])
    expected = margins(blocks, is_query, measured=measured)
    require_evidence(expected, is_query)
    _require_open_cells(expected, is_query)
    to_learn_from = counts(reference, layer)[labelled] if sequences.learns and sequences.known(reference) else None
    embeddings, source = sequences.embed(reference, to_learn_from)
    # Lifted over, peaks of the same name are in different places.
    if embeddings is None and pairing["chain"] is None and query.var_names.equals(reference.var_names):
        embeddings, source = sequences.embed(query, to_learn_from)
    if embeddings is not None and len(peaks.own):
        n_dims = embeddings.shape[1]
        own = of_query.embed(query, n_dims=n_dims)[0] if both else None
        own = np.full((query.n_vars, n_dims), np.nan, dtype=np.float32) if own is None else own
        embeddings = np.concatenate([embeddings, own[peaks.own]])
    fitted = fit(blocks, expected, n_latent, embeddings=embeddings, rng=rng)
    coverage = {
        "n_peaks": reference.n_vars,
        **pairs.report,
        "n_own": len(peaks.own),
        "n_used": len(expected.evident),
        **_sequence_coverage(source, fitted.decoder.prior),
    }
    return Embedded(fitted.cells, coverage)


def embed_in_frozen_space(
    query: AnnData,
    reference: AnnData,
    labelled: NDArray[np.intp],
    sequences: Sequences,
    layer: str | None,
    pairing: Mapping[str, Any],
) -> Embedded:
    """Map the query to the space that the reference was fitted in."""
    decoder = read_decoder(reference, CELL_EMBEDDING)
    params = reference.uns[CELL_EMBEDDING]["params"]
    of_query = _of_query(sequences, pairing)
    with_sequence = decoder.prior is not None and params["use_varm"] == sequences.key
    pairs = pair_peaks(query, reference, none_allowed=with_sequence and sequences.carried(query), **pairing)
    if not any(X.data.any() for X in count_blocks(query, layer)):
        msg = f"None of the {query.n_obs} query cells has an open peak; expected some."
        raise ValueError(msg)
    embeddings = None
    if decoder.prior is not None and with_sequence and of_query.known(query) and (pairs.target < 0).any():
        embeddings = of_query.embed(query, n_dims=len(decoder.prior.mean))[0]
    peaks = JointPeaks(pairs, own_peaks(pairs, embeddings))
    blocks = count_blocks(query, layer).onto(peaks.assignment)
    if params["likelihood"] == "bernoulli":
        blocks = blocks.binary()
    decoder, shared = extend_decoder(decoder, blocks, peaks, embeddings)
    k = decoder.loadings.shape[1]
    cells = np.asarray(reference.obsm[CELL_EMBEDDING], dtype=np.float32)[labelled, :k]
    coverage = {
        "n_peaks": reference.n_vars,
        **pairs.report,
        "n_own": len(peaks.own),
        "n_used": int((peaks.seen & (decoder.rate > 0)).sum()),
        **_sequence_coverage(f".varm[{params.get('use_varm')!r}]", decoder.prior),
        **shared,
    }
    return Embedded(np.concatenate([cells, map_blocks(decoder, blocks, peaks.seen)]), coverage)


def _sequence_coverage(source: str, prior: SequencePrior | None) -> dict[str, Any]:
    """Return where sequences came from, and what share of the loadings they predict on peaks that were held out."""
    return {"sequence": "none"} if prior is None else {"sequence": source, "sequence_r2": prior.held_out_r2}


def _of_query(sequences: Sequences, pairing: Mapping[str, Any]) -> Sequences:
    """Return where the query's sequences come from: the genome is of the reference's build."""
    return sequences if pairing["chain"] is None else replace(sequences, genome=None)


def _require_open_cells(expected: Margins, is_query: NDArray[np.integer]) -> None:
    """Raise if the reference or the query has no cell with an open peak."""
    for code, what in enumerate(("reference", "query")):
        exposure = expected.exposure[is_query == code]
        if not exposure.any():
            msg = f"None of the {len(exposure)} {what} cells has an open peak among those used; expected some."
            raise ValueError(msg)
