"""Motifs that are as good as one: proteins of a family bind the same words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ._motifs import Motif

if TYPE_CHECKING:
    import numpy.typing as npt

MIN_SIMILARITY = 0.7
"""Mean similarity of the motifs of two clusters above which they are one. With it the 879
motifs of vertebrates in JASPAR 2024 are 188 clusters, and the seven GATA motifs are one of them; with .8, at which one
GATA motif stands apart, there are 259."""


def motif_similarity(motifs: Sequence[Motif]) -> npt.NDArray[np.float64]:
    """Return (n, n) similarity of motifs: the largest cosine over all shifts and both strands, 1 for equal ones.

    Compared is the information that each base carries at each position, so that positions where anything goes count for
    nothing, and what sticks out of the other motif counts against it.
    """
    longest = max((motif.length for motif in motifs), default=0)
    # Twice as wide as the longest, so that a shift never runs out of it.
    wide = np.zeros((len(motifs), 4, 3 * longest))
    for motif, row in zip(motifs, wide, strict=True):
        row[:, longest : longest + motif.length] = _signal(motif)
    wide /= np.linalg.norm(wide, axis=(1, 2), keepdims=True)
    fixed = wide[:, :, longest : 2 * longest].reshape(len(motifs), -1)
    similarity = np.eye(len(motifs))
    for strand in (wide, wide[:, ::-1, ::-1]):
        for shift in range(2 * longest + 1):
            moved = strand[:, :, shift : shift + longest].reshape(len(motifs), -1)
            np.maximum(similarity, fixed @ moved.T, out=similarity)
    return np.maximum(similarity, similarity.T)


def motif_clusters(motifs: Sequence[Motif], *, min_similarity: float = MIN_SIMILARITY) -> npt.NDArray[np.int64]:
    """Return (n,) codes of clusters of similar motifs, by average linkage, in the order in which they first occur."""
    if len(motifs) < 2:
        return np.zeros(len(motifs), dtype=np.int64)
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distance = squareform(np.maximum(1 - motif_similarity(motifs), 0), checks=False)
    codes = fcluster(linkage(distance, "average"), 1 - min_similarity, criterion="distance")
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _signal(motif: Motif) -> npt.NDArray[np.float64]:
    """Return (4, L): what sets a position apart from any base, as far as it carries information."""
    probabilities = motif.probabilities()
    return (probabilities - 0.25) * np.sqrt(motif.information().sum(axis=0))
