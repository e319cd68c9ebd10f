"""The control: vectors that know nothing but which sequence is which."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Sequence


_MOST_DIMS = 2**20


class RandomEncoder:
    """Standard normal vectors, determined by the sequence alone.

    The control for every other encoder: peaks with the same sequence share a vector, and nothing else about the
    sequence is kept. Case is ignored.

    Parameters
    ----------
    n_dims
        Length of a vector. The default, 768, is that of DNABERT-2, so that the two differ in content alone.

    Raises
    ------
    ValueError
        ``n_dims`` is no whole number, not positive, or above 1,048,576.

    Examples
    --------
    >>> import scllmda as sl
    >>> vectors = sl.encoders.RandomEncoder().encode(["ACGT", "TTTT", "acgt"])
    >>> vectors.shape, bool((vectors[0] == vectors[2]).all())
    ((3, 768), True)
    """

    name = "random"

    def __init__(self, n_dims: int = 768) -> None:
        is_whole = isinstance(n_dims, (int, np.integer)) and not isinstance(n_dims, bool)
        if not is_whole or not 1 <= n_dims <= _MOST_DIMS:
            expected = f"a whole number from 1 to {_MOST_DIMS:,}"
            msg = f"n_dims={n_dims!r} found, expected {expected}. Try RandomEncoder(n_dims=768)."
            raise ValueError(msg)
        self.n_dims = n_dims
        self.revision = f"1-d{n_dims}"

    def encode(self, sequences: Sequence[str], *, progress: bool = False) -> np.ndarray:
        """Return one vector per sequence: N(0, 1) drawn from a stream keyed by the sequence's BLAKE2b hash.

        Parameters
        ----------
        sequences
            Any strings.
        progress
            Show a progress bar on a terminal.

        Returns
        -------
        float32 array, sequences × ``n_dims``.
        """
        vectors = np.empty((len(sequences), self.n_dims), dtype=np.float32)
        bar = tqdm(sequences, desc=self.name, unit=" sequences", disable=None if progress else True)
        for row, sequence in zip(vectors, bar, strict=True):
            digest = blake2b(sequence.upper().encode(), digest_size=16).digest()
            # A counter-based stream takes the 128-bit hash as its key as it is: no seeding, no collisions to speak of.
            stream = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
            stream.standard_normal(dtype=np.float32, out=row)
        return vectors
