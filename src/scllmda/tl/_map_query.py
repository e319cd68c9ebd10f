from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from .._counts import CountBlocks
from .._peak_pairs import JointPeaks
from ..factorisation import CellMapper, Decoder, each_block


def extend_decoder(
    decoder: Decoder, counts: CountBlocks, peaks: JointPeaks, embeddings: NDArray[np.floating] | None
) -> tuple[Decoder, dict[str, float]]:
    """Add the peaks that only the query has to a decoder, with base rates on the scale of those of the shared peaks.

    Parameters
    ----------
    decoder
        Decoder of the reference's peaks.
    counts
        (n_cells, joint peaks) counts of the query.
    peaks
        The joint peaks.
    embeddings
        (query peaks, d) peak embeddings; not read if the reference has all peaks of the query.

    Returns
    -------
    The decoder of the joint peaks, and the share of the query's counts on peaks that the reference has.

    Raises
    ------
    ValueError
        No cell has an open peak among the joint ones.
    """
    per_peak = sum((np.asarray(X.sum(axis=0, dtype=np.float64)).ravel() for X in counts), np.zeros(counts.shape[1]))
    n_reference = len(decoder.rate)
    known = np.flatnonzero(peaks.pairs.matched & (decoder.rate > 0))
    shared, own = per_peak[known].sum(), per_peak[n_reference:].sum()
    if shared + own == 0:
        msg = (
            f"None of the {counts.shape[0]} query cells has an open peak among the {len(known)} that the reference was "
            "fitted to and the query has; expected some."
        )
        raise ValueError(msg)
    if len(peaks.query_only):
        assert embeddings is not None
        exposed = shared / decoder.rate[known].sum() if shared else own
        decoder = decoder.extend(embeddings[peaks.query_only], per_peak[n_reference:] / exposed)
    return decoder, {"fraction_of_counts_shared": float(shared / (shared + own))}


def map_blocks(decoder: Decoder, counts: CountBlocks, measured: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the embedding (n_cells, k) of counts in a frozen space."""
    mapper = CellMapper(decoder, np.where(measured, decoder.rate, 0))
    n_blocks = -(-counts.shape[0] // counts.block_size)
    blocks = tqdm(counts, total=n_blocks, desc="mapping cells", unit="block", disable=None)
    cells = np.zeros((counts.shape[0], decoder.loadings.shape[1]), dtype=np.float32)
    first = 0
    for block in each_block(mapper, blocks):
        cells[first : first + len(block)] = block
        first += len(block)
    return cells
