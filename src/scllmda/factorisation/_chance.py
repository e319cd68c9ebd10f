"""Chance that is tied to what is drawn for, so that neither the order of cells and peaks nor a block's size matters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def scramble(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a hash of each key, as good as a random number: the last step of SplitMix64 (Steele et al. 2014)."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def with_chance(chance: float | NDArray[np.floating], keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return a random draw for each hashed key: True with probability ``chance`` (0-1), always the same for one key."""
    return keys.astype(np.float64) < chance * 2.0**64


def normal(keys: NDArray[np.uint64], n_columns: int, seed: int) -> NDArray[np.float32]:
    """Return (n_keys, n_columns) standard normal numbers that depend on each key and the seed alone.

    Where several keys are equal, the first, second, … of them get different numbers. Normal numbers are made of two
    uniform ones, u and v, as √(−2 ln u) cos(2π v) (Box and Muller 1958).
    """
    order = np.argsort(keys, kind="stable")
    _, first, n_equal = np.unique(keys[order], return_index=True, return_counts=True)
    nth = np.empty(len(keys), dtype=np.uint64)
    nth[order] = np.arange(len(keys)) - np.repeat(first, n_equal)
    keys = scramble(keys ^ scramble(nth))
    columns = scramble(np.arange(1, 2 * n_columns + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    columns = scramble(columns ^ np.uint64(seed))
    drawn = np.empty((n_columns, len(keys)), dtype=np.float32)
    for j, (one, other) in enumerate(zip(columns[::2], columns[1::2], strict=True)):
        u = (scramble(keys ^ one).astype(np.float64) + 1) / (2.0**64 + 2)
        v = scramble(keys ^ other).astype(np.float64) / 2.0**64
        drawn[j] = np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)
    return np.ascontiguousarray(drawn.T)
