"""Motifs for simulated peaks: those that were planted, and others."""

from __future__ import annotations

from functools import cache

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

import scllmda as sl

Motifs = dict[str, NDArray[np.float64]]


def of_word(word: str) -> NDArray[np.float64]:
    """Return the counts of a motif that one word fits."""
    return 20 * np.eye(4)[:, ["ACGT".index(base) for base in word]]


def planted(adata: AnnData) -> Motifs:
    """Return the motifs of a simulation, by their number."""
    return {f"planted {i}": of_word(word) for i, word in enumerate(adata.uns["simulation"]["motifs"])}


def with_others(adata: AnnData, n: int = 60) -> Motifs:
    """Return the motifs of a simulation among others of the same lengths, which no peak was given."""
    rng = np.random.default_rng(0)
    words = ("".join(rng.choice(list("ACGT"), rng.integers(8, 13))) for _ in range(n))
    return {**{f"other {i}": of_word(word) for i, word in enumerate(words)}, **planted(adata)}


@cache
def _simulated() -> AnnData:
    adata, _ = sl.datasets.simulate()
    sl.tl.marker_peaks(adata, "cell_type")
    return adata


def with_markers() -> AnnData:
    """Return simulated cells of six types with sequences and marker peaks."""
    return _simulated().copy()
