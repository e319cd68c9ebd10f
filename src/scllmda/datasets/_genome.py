"""A random genome with motifs planted where peaks may be."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CHROMOSOME_SHARES = (0.5, 0.3, 0.2)
GC_MEAN, GC_SD = 0.45, 0.08  # of places where peaks may be
GC_BETWEEN = 0.65  # of the same between these places: 84 % of peaks are richer than the 10 kb around, as in human
MOTIF_LENGTHS = (8, 12)  # bp
MOTIF_CONCENTRATION = 0.05  # of the Dirichlet law of each position; lower is more informative
MOTIF_SITE = 16  # bp in which at most one motif instance lies
INSTANCES_PER_PEAK = 5.0
MIN_PEAK_WIDTH = 128  # bp: the core then has a site for INSTANCES_PER_PEAK and one more


@dataclass(frozen=True)
class Genome:
    """Chromosomes laid end to end, and the places where peaks may be."""

    bases: str
    chromosome_bounds: NDArray[np.int64]
    """Where each chromosome begins in ``bases``, then where the last one ends."""
    place_starts: NDArray[np.int64]
    """Where each place begins in ``bases``, ascending."""
    peak_width: int
    instances: NDArray[np.int64]
    """Motif instances planted, (places, motifs)."""
    motifs: NDArray[np.str_]
    """Most probable bases of each motif."""

    def chromosomes(self) -> dict[str, str]:
        bounds = self.chromosome_bounds
        return {f"chr{i + 1}": self.bases[bounds[i] : bounds[i + 1]] for i in range(len(bounds) - 1)}


def random_genome(rng: np.random.Generator, n_places: int, peak_width: int, n_motifs: int) -> Genome:
    """Draw chromosomes with local GC content, and plant motifs into the core of every place."""
    upstream = rng.integers(peak_width // 4, peak_width, n_places)
    stretch = upstream + peak_width + peak_width // 4
    ends = np.cumsum(stretch)
    starts = ends - stretch + upstream
    last_places = np.round(np.cumsum(CHROMOSOME_SHARES) * n_places).astype(np.int64)
    bounds = np.unique(np.concatenate([[0], ends[np.maximum(last_places, 1) - 1]]))

    gc = np.repeat(np.clip(rng.normal(GC_MEAN, GC_SD, n_places), 0.2, 0.8).astype(np.float32), stretch)
    # What edges of peaks may reach is like the peak.
    reach = peak_width // 8
    at = np.arange(gc.size) - np.repeat(starts, stretch)
    gc[(at < -reach) | (at >= peak_width + reach)] *= GC_BETWEEN
    strong = rng.random(gc.size, dtype=np.float32) < gc
    coin = rng.integers(0, 2, gc.size, dtype=np.uint8)
    bases = np.where(strong, 1 + coin, 3 * coin)  # A, C, G, T are 0, 1, 2, 3: the complement of b is 3 - b

    # Edges move by up to an eighth of the width, and must not cut a motif.
    margin = peak_width // 8
    n_sites = (peak_width - 2 * margin) // MOTIF_SITE
    place, site = np.nonzero(rng.random((n_places, n_sites)) < INSTANCES_PER_PEAK / n_sites)
    motif = rng.integers(0, n_motifs, place.size)
    motifs, lengths = _random_motifs(rng, n_motifs)
    n_bases = lengths[motif]
    site_starts = starts[place] + margin + site * MOTIF_SITE + rng.integers(0, MOTIF_SITE - n_bases + 1)

    cumulative = motifs.cumsum(axis=2)[:, :, :3]
    drawn = (rng.random((place.size, motifs.shape[1], 1)) > cumulative[motif]).sum(axis=2)
    offset = np.arange(motifs.shape[1])
    reverse = rng.random((place.size, 1)) < 0.5
    position = site_starts[:, None] + np.where(reverse, n_bases[:, None] - 1 - offset, offset)
    inside = offset < n_bases[:, None]
    bases[position[inside]] = np.where(reverse, 3 - drawn, drawn)[inside]

    return Genome(
        bases=np.frombuffer(b"ACGT", dtype=np.uint8)[bases].tobytes().decode("ascii"),
        chromosome_bounds=bounds,
        place_starts=starts,
        peak_width=peak_width,
        instances=np.bincount(place * n_motifs + motif, minlength=n_places * n_motifs).reshape(n_places, n_motifs),
        motifs=np.array(
            ["".join("ACGT"[b] for b in m[:n].argmax(axis=1)) for m, n in zip(motifs, lengths, strict=True)]
        ),
    )


def _random_motifs(rng: np.random.Generator, n_motifs: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return base probabilities, (motifs, longest, bases A C G T), and lengths, (motifs,)."""
    shortest, longest = MOTIF_LENGTHS
    motifs = rng.dirichlet(np.full(4, MOTIF_CONCENTRATION), (n_motifs, longest))
    return motifs, rng.integers(shortest, longest + 1, n_motifs)


def write_fasta(chromosomes: dict[str, str], path: Path, *, columns: int = 60) -> None:
    """Write FASTA aside and rename, so that no one reads half a genome."""
    lines = [
        line
        for name, bases in chromosomes.items()
        for line in (f">{name}", *(bases[i : i + columns] for i in range(0, len(bases), columns)))
    ]
    content = ("\n".join(lines) + "\n").encode("ascii")
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
