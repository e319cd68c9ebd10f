"""A random genome with motifs planted where peaks may be."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._files import written_aside

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CHROMOSOME_SHARES = (0.5, 0.3, 0.2)
"""Share of the places that lies on each chromosome."""
GC_MEAN, GC_SD = 0.45, 0.08
"""Mean and standard deviation of the GC content of places where peaks may be."""
GC_BETWEEN = 0.65
"""Factor by which the GC content is lower between these places. With it 84 % of the peaks are richer in G and C than
the 10 kb around them, as in the human genome."""
MOTIF_LENGTHS = (8, 12)
"""Shortest and longest motif in bp."""
MOTIF_CONCENTRATION = 0.05
"""Concentration of the Dirichlet distribution of the bases at each position of a motif; the lower, the more one base
prevails."""
MOTIF_SITE = 16
"""Width in bp of a site, which holds at most one motif instance."""
INSTANCES_PER_PEAK = 5.0
"""Mean number of motif instances per peak."""
MIN_PEAK_WIDTH = 128
"""Smallest width of a peak in bp; the part of it that lies in the peak on every platform then has six sites, one more
than ``INSTANCES_PER_PEAK``."""


@dataclass(frozen=True)
class Genome:
    """Chromosomes laid end to end, and the places where peaks may be."""

    bases: str
    """All chromosomes, one after the other."""
    chromosome_bounds: NDArray[np.int64]
    """Position in ``bases`` at which each chromosome begins, followed by the end of the last one."""
    place_starts: NDArray[np.int64]
    """Position in ``bases`` at which each place begins, ascending."""
    peak_width: int
    """Width of a place in bp."""
    instances: NDArray[np.int64]
    """Number of instances of each motif that were planted into each place, (places, motifs)."""
    motifs: NDArray[np.str_]
    """The most probable base at each position of a motif, as a string per motif."""

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
    # Bases that a peak reaches on some platform have the GC content of the peak.
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
    """Write a FASTA with lines of so many bases."""
    lines = [
        line
        for name, bases in chromosomes.items()
        for line in (f">{name}", *(bases[i : i + columns] for i in range(0, len(bases), columns)))
    ]
    write_text("\n".join(lines) + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Write text whole or not at all, compressed if the name ends in ``.gz``, and the same bytes each time."""
    content = text.encode("ascii")
    with written_aside(path) as aside:
        aside.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
