"""A query in the space that a reference was fitted in before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._counts import count_blocks
from .._keys import CELL_EMBEDDING
from .._peak_pairs import JointPeaks, pair_peaks, query_only_peaks
from ..methods import Cells
from ._cell_space import CellSpace, QueryPlacement
from ._decoder_slots import read_decoder
from ._map_query import extend_decoder, map_blocks
from ._sequences import Sequences, sequence_coverage


def frozen_space(
    query: AnnData,
    reference: AnnData,
    labeled: NDArray[np.intp],
    sequences: Sequences,
    of_query: Sequences,
    layer: str | None,
    pairing: Mapping[str, Any],
) -> CellSpace:
    """Map the query to the space that the reference was fitted in.

    Parameters
    ----------
    query, reference
        Objects.
    labeled
        Positions of the reference's labeled cells.
    sequences, of_query
        Where DNA comes from, of the reference's peaks and of the query's.
    layer
        Of the query, with its counts.
    pairing
        What :func:`pair_peaks` is to be called with.
    """
    decoder = read_decoder(reference, CELL_EMBEDDING)
    params = reference.uns[CELL_EMBEDDING]["params"]
    with_sequence = decoder.prior is not None and params["use_varm"] == sequences.key
    pairs = pair_peaks(query, reference, none_allowed=with_sequence and sequences.carried(query), **pairing)
    if not any(X.data.any() for X in count_blocks(query, layer, what="query")):
        msg = f"None of the {query.n_obs} query cells has an open peak; expected some."
        raise ValueError(msg)
    embeddings = None
    if decoder.prior is not None and with_sequence and of_query.known(query) and (pairs.target < 0).any():
        embeddings = of_query.embed(query, n_dims=len(decoder.prior.mean))[0]
    peaks = JointPeaks(pairs, query_only_peaks(pairs, embeddings))
    blocks = count_blocks(query, layer, what="query").onto(peaks.assignment)
    if params["likelihood"] == "bernoulli":
        blocks = blocks.binary()
    decoder, shared = extend_decoder(decoder, blocks, peaks, embeddings)
    k = decoder.loadings.shape[1]
    cells = np.asarray(reference.obsm[CELL_EMBEDDING], dtype=np.float32)[labeled, :k]
    coverage = {
        "n_peaks": reference.n_vars,
        **pairs.report,
        "n_own": len(peaks.query_only),
        "n_used": int((peaks.in_query & (decoder.rate > 0)).sum()),
        **sequence_coverage(f".varm[{params.get('use_varm')!r}]", "reference", decoder.prior),
        **shared,
    }
    where = pairs.target.astype(np.intp)
    where[peaks.query_only] = pairs.n_reference + np.arange(len(peaks.query_only))
    expected, is_binary = np.where(peaks.in_query, decoder.rate, 0), params["likelihood"] == "bernoulli"
    placement = QueryPlacement(decoder, expected, where, is_binary=is_binary)
    mapped = map_blocks(decoder, blocks, peaks.in_query)
    return CellSpace(Cells(np.concatenate([cells, mapped])), coverage, placement)
