"""Dense vectors of many cells or peaks, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]

TILE = 1024
"""Rows that are worked on at a time, small enough to stay in cache."""


def tiles(n_rows: int) -> Iterator[slice]:
    """Yield slices that cover the rows, ``TILE`` at a time."""
    for first in range(0, n_rows, TILE):
        yield slice(first, first + TILE)


def weighted_gram(rows: Float, weights: Float) -> Float:
    """Return Σ ``weights`` (n,) × outer products of ``rows`` (n, k) with themselves, of double precision, (k, k)."""
    gram = np.zeros((rows.shape[1], rows.shape[1]))
    for tile in tiles(len(rows)):
        part = rows[tile].astype(np.float64)
        gram += (part * weights[tile, None]).T @ part
    return gram
