"""The fragments that simulated counts are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from ._genome import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from numpy.typing import NDArray

    from ._genome import Genome

BACKGROUND = 0.4
"""Fragments in no peak, per fragment in one: 70 % of all are in peaks then, as in good 10x experiments."""


def write_fragments(
    rng: np.random.Generator,
    genome: Genome,
    query: AnnData,
    elsewhere: NDArray[np.int64],
    counts_elsewhere: sp.csr_matrix,
    path: Path,
) -> None:
    """Write a fragment for each count of the query, and of places where it has no peaks, and some between them.

    Parameters
    ----------
    rng
        Where the ends lie.
    genome
        Chromosomes and places.
    query
        Cells × peaks.
    elsewhere
        Places where the query has no peaks.
    counts_elsewhere
        Counts there, (cells, places).
    path
        File to write.
    """
    chromosomes = query.var["chrom"].cat.categories
    offsets = genome.chromosome_bounds[query.var["chrom"].cat.codes]
    n_ends = genome.peak_width // 8
    # Fragments have one end in a peak and the other one beyond its nearer edge, before the next place can begin.
    parts = []
    for counts, starts, ends in (
        (query.X, query.var["start"] + offsets, query.var["end"] + offsets),
        (counts_elsewhere, genome.place_starts[elsewhere], genome.place_starts[elsewhere] + genome.peak_width),
    ):
        cells, peaks = _repeated(counts)
        first, last = np.asarray(starts)[peaks], np.asarray(ends)[peaks] - 1
        inside = rng.integers(first, last + 1)
        beyond = rng.integers(n_ends // 2, n_ends, cells.size)
        leftwards = inside - first < last - inside
        outside = np.where(leftwards, first - beyond, last + beyond)
        parts.append((np.minimum(inside, outside), np.maximum(inside, outside) + 1, cells))

    # The last eighth of a width before a place is where the edge of its peak may lie; the one before that is in none.
    n_background = round(BACKGROUND * sum(cells.size for *_, cells in parts))
    ends = genome.place_starts[rng.integers(0, genome.place_starts.size, n_background)] - n_ends
    cells = rng.choice(np.concatenate([cells for *_, cells in parts]), n_background)
    parts.append((ends - rng.integers(n_ends // 2, n_ends, n_background), ends, cells))

    start, end, cell = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((cell, end, start))
    start, end, barcode = start[order], end[order], query.obs_names.to_numpy()[cell[order]]
    chromosome = np.searchsorted(genome.chromosome_bounds, start, side="right") - 1
    offset = genome.chromosome_bounds[chromosome]
    lines = [
        f"{chrom}\t{first}\t{last}\t{name}\t1\n"
        for chrom, first, last, name in zip(chromosomes[chromosome], start - offset, end - offset, barcode, strict=True)
    ]
    write_text("".join(lines), path)


def _repeated(counts: sp.csr_matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row and the column of each count, as often as it counts."""
    entries = counts.tocoo()
    times = entries.data.astype(np.int64)
    return np.repeat(entries.row, times), np.repeat(entries.col, times)
