from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from tqdm import tqdm

from .._counts import CountBlocks
from .._peak_pairs import JointPeaks
from ..factorisation import CellMapper, Decoder, in_order


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


def map_blocks(
    decoder: Decoder, counts: CountBlocks, measured: NDArray[np.bool_], client: Any = None
) -> NDArray[np.float32]:
    """Return the embedding (n_cells, k) of counts in a frozen space; a Dask client's workers compute it if given."""
    mapper = CellMapper(decoder, np.where(measured, decoder.rate, 0))
    n_blocks = -(-counts.shape[0] // counts.block_size)
    blocks = tqdm(counts, total=n_blocks, desc="mapping cells", unit="block", disable=None)
    mapped = in_order(mapper, blocks) if client is None else _on_workers(client, mapper, blocks)
    cells = np.zeros((counts.shape[0], decoder.loadings.shape[1]), dtype=np.float32)
    first = 0
    for block in mapped:
        cells[first : first + len(block)] = block
        first += len(block)
    return cells


def _on_workers(client: Any, mapper: CellMapper, blocks: Iterator[sp.csr_matrix]) -> Iterator[NDArray[np.float32]]:
    """Yield mapped blocks in order. At most two blocks per thread are on the workers, so that memory stays bounded."""
    remote = client.scatter(mapper, broadcast=True)
    under_way: deque[Any] = deque()
    for block in blocks:
        under_way.append(client.submit(_call, remote, block, pure=False))
        if len(under_way) >= 2 * max(sum(client.nthreads().values()), 1):
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def _call(mapper: CellMapper, block: sp.csr_matrix) -> NDArray[np.float32]:
    return mapper(block)
