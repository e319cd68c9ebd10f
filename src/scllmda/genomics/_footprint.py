"""How often a transposase cuts around sites, and how often it would if its taste for DNA were all that counted.

Tn5 prefers some DNA. How much is counted on the data: the words of six bases around all cuts in open regions, against
the words that stand there. Regions count by their number of cuts, so that the words of much opened ones are not taken
for preferred ones; the sites themselves, which a protein may protect, are left out. Tn5 cuts both strands by two equal
halves, so that a word and its reverse complement are counted as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from ._motif_sites import find_motif_sites
from ._open_dna import N_WORDS, OpenDna, reverse_complements, steps

if TYPE_CHECKING:
    import numpy.typing as npt

    from ._gene_table import GeneTable
    from ._motifs import Motif

PROTECTED = 10
"""Base pairs on either side of a site whose cuts say nothing of Tn5's preference: proteins cover more than their
motif."""
_BLOCK = 20_000
"""Sites whose surroundings are looked at at once: 80 MB with 500 places each."""


@dataclass(frozen=True, eq=False)
class Sites:
    """Sites in open regions, by the place of their center."""

    center: npt.NDArray[np.int64]
    """(n,): place of the center as :class:`OpenDna` numbers it, in increasing order. Where a site has an odd number of
    bases it is before the middle one, in the site's own direction."""
    region: npt.NDArray[np.int64]
    """(n,): region that the center lies in."""
    direction: npt.NDArray[np.int64]
    """(n,): 1, or -1 on the reverse strand."""
    width: int
    """Base pairs of the widest site."""

    def __len__(self) -> int:
        """Return the number of sites."""
        return len(self.center)

    @classmethod
    def of(
        cls,
        dna: OpenDna,
        start: npt.NDArray[np.int64],
        end: npt.NDArray[np.int64],
        direction: npt.NDArray[np.int64],
    ) -> Self:
        """Return the sites whose center is in a region, by the places of their ends."""
        center = (start + end + (direction < 0)) // 2
        region = dna.region_of(center)
        inside = np.flatnonzero(region >= 0)
        kept = inside[np.argsort(center[inside], kind="stable")]
        width = int((end - start)[kept].max(initial=0))
        return cls(center[kept], region[kept], direction[kept], width)


def named_motif(motifs: Sequence[Motif], name: str) -> Motif:
    """Return the motif of an id or a name.

    Raises
    ------
    ValueError
        There is none, or several have the name.
    """
    found = [motif for motif in motifs if motif.id == name] or [
        motif for motif in motifs if motif.name.casefold() == name.casefold()
    ]
    if len(found) == 1:
        return found[0]
    if found:
        msg = f"{len(found)} motifs have the name {name!r}; pass motif= the id of one: {[motif.id for motif in found]}."
        raise ValueError(msg)
    known = [motif.name for motif in motifs] + [motif.id for motif in motifs]
    close = get_close_matches(name, known, n=3)
    msg = (
        f"None of {len(motifs)} motifs has the id or name {name!r}; expected one of motifs=, such as "
        f"{', '.join(map(repr, close or known[:3]))}."
    )
    raise ValueError(msg)


def scanned_sites(dna: OpenDna, motif: Motif) -> Sites:
    """Return the sites of a motif in open regions; of the two strands of a palindrome, the one that scores higher."""
    found = find_motif_sites(dna.sequences, [motif])
    order = np.lexsort((-found.score, found.start, found.sequence))
    sequence, start = found.sequence[order], found.start[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (np.diff(sequence) != 0) | (np.diff(start) != 0)
    kept = order[is_first]
    begin = dna.first[found.sequence[kept]] + found.start[kept]
    return Sites.of(dna, begin, begin + motif.length, found.strand[kept].astype(np.int64))


def table_sites(dna: OpenDna, table: GeneTable) -> Sites:
    """Return the sites of a table that lie in open regions; those without a strand are forward."""
    start, end = dna.place(table.chrom, table.start), dna.place(table.chrom, table.end)
    known = (start >= 0) & (end >= 0)
    direction = np.where(table.strand == "-", -1, 1)
    return Sites.of(dna, start[known], end[known], direction[known])


class InsertionCounts:
    """Counts cuts around sites by group of cells, and all cuts in open regions by the words around them.

    Parameters
    ----------
    dna
        Open regions, with words for at least ``flank`` places around them.
    sites
        In these regions.
    n_groups
        Number of groups of cells.
    flank
        Places that are looked at on either side of a center.
    """

    def __init__(self, dna: OpenDna, sites: Sites, n_groups: int, flank: int) -> None:
        self.dna, self.sites, self.flank = dna, sites, flank
        self.observed = np.zeros((n_groups, 2 * flank + 1), dtype=np.int64)
        """(n_groups, 2 flank + 1): cuts at each distance from the center, in the direction of the site."""
        self.of_site = np.zeros((n_groups, len(sites)), dtype=np.int64)
        """(n_groups, n_sites): cuts around each site."""
        self._of_word = np.zeros(N_WORDS)
        self._of_region = np.zeros(len(dna.first))

    def add(self, place: npt.NDArray[np.int64], group: npt.NDArray[np.int64]) -> None:
        """Count cuts at places, -1 where there can be none, by the group of their cell."""
        place, group = place[place >= 0], group[place >= 0]
        region = self.dna.region_of(place)
        inside = region >= 0
        index = (self.dna.offset[region] + place - self.dna.first[region])[inside]
        told = self._tells[index]
        self._of_word += np.bincount(self.dna.words[index[told]], minlength=N_WORDS)
        self._of_region += np.bincount(region[inside][told], minlength=len(self._of_region))
        first = np.searchsorted(self.sites.center, place - self.flank)
        n_near = np.searchsorted(self.sites.center, place + self.flank, side="right") - first
        site = steps(first, n_near)
        distance = (np.repeat(place, n_near) - self.sites.center[site]) * self.sites.direction[site]
        of_group = np.repeat(group, n_near)
        n_groups, n_places = self.observed.shape
        cells = of_group * n_places + distance + self.flank
        self.observed += np.bincount(cells, minlength=n_groups * n_places).reshape(n_groups, n_places)
        pairs = of_group * len(self.sites) + site
        self.of_site += np.bincount(pairs, minlength=self.of_site.size).reshape(self.of_site.shape)

    def preference(self) -> npt.NDArray[np.float64]:
        """Return (4096,): how many times as often words are cut as if all were cut alike.

        One cut is added to what was found and to what was expected, so that what is rare is not taken for extreme.
        """
        lengths = self.dna.last - self.dna.first
        index = steps(self.dna.offset, lengths)
        told = self._tells[index]
        region = np.repeat(np.arange(len(lengths)), lengths)[told]
        per_place = self._of_region / np.maximum(np.bincount(region, minlength=len(lengths)), 1)
        expected = np.bincount(self.dna.words[index[told]], per_place[region], N_WORDS)
        other = reverse_complements()
        return (self._of_word + self._of_word[other] + 1) / (expected + expected[other] + 1)

    def expected(self) -> npt.NDArray[np.float64]:
        """Return (n_groups, 2 flank + 1): cuts at each distance, were those around a site spread by preference alone.

        Words that are not known are cut as others are on average.
        """
        preference = np.append(self.preference(), 1.0)
        found = np.zeros(self.observed.shape)
        distance = np.arange(-self.flank, self.flank + 1)
        sites = self.sites
        at_center = self.dna.offset[sites.region] + sites.center - self.dna.first[sites.region]
        for first in range(0, len(sites), _BLOCK):
            block = slice(first, first + _BLOCK)
            index = at_center[block, None] + sites.direction[block, None] * distance
            of_place = preference[self.dna.words[index]]
            found += self.of_site[:, block] @ (of_place / of_place.sum(axis=1, keepdims=True))
        return found

    @cached_property
    def _tells(self) -> npt.NDArray[np.bool_]:
        """Whether a cut at each place of ``dna.words`` tells of preference: not near a site, and of a known word."""
        tells: npt.NDArray[np.bool_] = self.dna.words >= 0
        sites, half = self.sites, self.sites.width // 2 + 1 + PROTECTED
        index = self.dna.offset[sites.region] + sites.center - self.dna.first[sites.region]
        lowest = np.maximum(index - half, 0)
        highest = np.minimum(index + half + 1, len(tells))
        tells[steps(lowest, highest - lowest)] = False
        return tells
