"""Encode sequences through a cache, on a cluster, or simply.

The one rule that makes all ways agree: the distinct sequences that are not cached are sorted by length and key and cut
every ``SHARD_SIZE``, and a shard is computed as a whole, by the same calls of the encoder wherever it runs. The vectors
of a network depend, in their last bits, on what else is in the call; so a cluster, any order in which shards finish
and any order of the sequences give the very bytes of a plain run.

The same goes for a call that is repeated after it was killed. Shards are cached whole or not at all, so it finds
missing what some whole shards held. These follow each other in the sorted order, all but the last of equal size,
hence the cuts fall where they fell before: finished shards are not computed again, the others are the same.
Only if a call with other sequences filled in a part of them meanwhile are they cut differently; vectors may then
differ in the last bits.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from .. import _logging as logg
from ._cache import sequence_keys
from ._parts import made_once, work_on_parts
from ._registry import get
from ._sequences import Sequences, Texts, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ._cache import VectorCache
    from ._protocol import PeakEncoder

SHARD_SIZE = 1024
"""Sequences per shard: seconds of work for a network on a CPU, megabytes on disk."""


def encode_sequences(
    encoder: PeakEncoder,
    sequences: Sequence[str] | Sequences,
    *,
    cache: VectorCache | None = None,
    client: Any = None,
    recipe: tuple[str, str] | None = None,
    batch_size: int | None = None,
    shard_size: int = SHARD_SIZE,
) -> NDArray[np.float32]:
    """Encode sequences, each distinct one once, in upper case.

    Parameters
    ----------
    encoder
        Any encoder.
    sequences
        n sequences, in either case, or what :func:`describe` says of them: those in a FASTA are read when their turn
        comes, by the workers if there are any.
    cache
        Where vectors are looked up, and written to shard by shard.
    client
        A ``dask.distributed.Client`` whose workers encode, that of :func:`describe`. Results come back to this process,
        which fills the cache.
    recipe
        Name and device of the encoder, from which each worker process makes its own, once. None sends the encoder.
    batch_size
        Sequences per call of the encoder, the whole shard if None.
    shard_size
        Sequences that are computed and cached as one.

    Returns
    -------
    float32 array, (n, d). Rows of NaN are sequences without any A, C, G or T, which are not encoded.

    Raises
    ------
    ValueError
        The encoder returned vectors of the wrong shape, or with NaN or infinite values; or a worker's encoder has
        another revision, or the FASTA changed meanwhile.
    OSError
        The cache could not be written, or the FASTA not be read; what was finished before is in the cache.

    Examples
    --------
    >>> from scllmda.encoders import KmerEncoder, encode_sequences
    >>> encode_sequences(KmerEncoder(k=1), ["AAAC", "aaac", "NN"]).round(2)
    array([[0.87, 0.5 , 0.25, 1.61],
           [0.87, 0.5 , 0.25, 1.61],
           [ nan,  nan,  nan,  nan]], dtype=float32)
    """
    if not isinstance(sequences, Sequences):
        sequences = describe(Texts(sequences))
    keys = sequences.keys
    distinct, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    vectors = np.full((len(keys), encoder.n_dims), np.nan, dtype=np.float32)

    missing = sequences.is_known[first]
    if cache is not None:
        n_known = int(missing.sum())
        for places, cached in cache.read(distinct):
            vectors[first[places]] = cached
            missing[places] = False
        logg.info(f"    found {n_known - missing.sum()} of {n_known} distinct sequences in {cache.folder}")

    todo = first[missing]
    todo = todo[np.lexsort((keys[todo], sequences.length[todo]))]
    shards = [todo[i : i + shard_size] for i in range(0, len(todo), shard_size)]

    how: Any = encoder
    if client is not None:
        how = made_once(_same, encoder, client=client) if recipe is None else (*recipe, encoder.revision)
    source, reader = sequences.source, sequences.reader
    parts = ((shard, (how, source.take(shard), reader, keys[shard], batch_size)) for shard in shards)
    n_done = 0
    with tqdm(total=len(todo), desc=encoder.name, unit=" sequences", disable=None) as bar:
        for shard, values in work_on_parts(_encode_part, parts, client):
            vectors[shard] = values
            if cache is not None:
                _write(cache, keys[shard], values, n_done, len(todo))
            n_done += len(shard)
            bar.update(len(shard))

    repeated = np.flatnonzero(first[inverse] != np.arange(len(keys)))
    vectors[repeated] = vectors[first[inverse[repeated]]]
    return vectors


def encode_shard(encoder: PeakEncoder, sequences: list[str], batch_size: int | None) -> NDArray[np.float32]:
    """Return the checked vectors of a shard, (n, d), here or on a worker.

    Parameters
    ----------
    encoder
        Any encoder.
    sequences
        n sequences.
    batch_size
        Sequences per call of the encoder, all if None.

    Raises
    ------
    ValueError
        The encoder returned vectors of the wrong shape, or with NaN or infinite values.
    """
    step = batch_size or len(sequences)
    batches = [sequences[i : i + step] for i in range(0, len(sequences), step)]
    return np.concatenate([_checked(encoder.encode(batch), encoder, len(batch)) for batch in batches])


def _encode_part(
    how: PeakEncoder | tuple[str, str, str], source: Any, reader: Any, keys: NDArray[np.bytes_], batch_size: int | None
) -> NDArray[np.float32]:
    """Read and encode a shard, by an encoder or by the recipe of one."""
    texts = source.read(reader)
    # Vectors are cached by key: they must not be those of other sequences.
    if reader is not None and (sequence_keys(texts) != keys).any():
        msg = (
            f"{str(reader.path)!r} has changed since its sequences were first read, or differs between workers; "
            "expected one file until the call ends. Put the same file everywhere and call again."
        )
        raise ValueError(msg)
    return encode_shard(_make_once(*how) if isinstance(how, tuple) else how, texts, batch_size)


def _same(encoder: PeakEncoder) -> PeakEncoder:
    return encoder


@lru_cache(maxsize=1)
def _make_once(name: str, device: str, revision: str) -> PeakEncoder:
    """Make an encoder and check that it is the one that was asked for."""
    encoder = get(name, device=device)
    if encoder.revision != revision:
        msg = (
            f"A worker's encoder {name!r} has revision {encoder.revision!r}, expected {revision!r}. Install the same "
            "scllmda and weights on all workers, and pass a device= that they and this process have."
        )
        raise ValueError(msg)
    return encoder


def _write(
    cache: VectorCache, keys: NDArray[np.bytes_], vectors: NDArray[np.float32], n_done: int, n_total: int
) -> None:
    try:
        cache.write(keys, vectors)
    except OSError as error:
        msg = (
            f"Could not write to {str(cache.folder)!r} ({error.strerror}) after {n_done} of {n_total} new sequences, "
            "which are cached. Make room there and call again: it goes on from here."
        )
        raise OSError(error.errno, msg) from error


def _checked(vectors: np.ndarray, encoder: PeakEncoder, n: int) -> NDArray[np.float32]:
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.shape != (n, encoder.n_dims):
        msg = (
            f"The encoder {encoder.name!r} returned an array of shape {vectors.shape} for {n} sequences, "
            f"expected {(n, encoder.n_dims)}. Mend its encode() or its n_dims."
        )
        raise ValueError(msg)
    n_bad = int((~np.isfinite(vectors)).any(axis=1).sum())
    if n_bad:
        msg = (
            f"The encoder {encoder.name!r} returned NaN or infinite values for {n_bad} of {n} sequences, "
            "expected finite ones. Mend its encode()."
        )
        raise ValueError(msg)
    return vectors
