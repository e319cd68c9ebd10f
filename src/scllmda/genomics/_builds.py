"""Genome builds, which go by many names."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SYNONYMS: dict[str, tuple[str, ...]] = {
    "hg18": ("ncbi36", "ncbibuild36", "b36"),
    "hg19": ("grch37", "b37", "hs37", "hs37d5", "humang1kv37"),
    "hg38": ("grch38", "hs38", "hs38dh", "b38"),
    "hs1": ("t2tchm13", "chm13", "chm13v2", "t2tchm13v2"),
    "mm9": ("ncbim37", "mgscv37", "ncbi37mouse"),
    "mm10": ("grcm38",),
    "mm39": ("grcm39",),
    "rn5": ("rgsc50", "rnor50"),
    "rn6": ("rnor60",),
    "rn7": ("mratbn72",),
    "danrer10": ("grcz10",),
    "danrer11": ("grcz11",),
    "dm3": ("bdgp5", "bdgpr5"),
    "dm6": ("bdgp6", "bdgp622", "bdgp628", "bdgp632", "bdgp646"),
    "ce10": ("ws220",),
    "ce11": ("wbcel235",),
    "saccer3": ("r6411", "r64", "r6412"),
    "galgal5": ("gallusgallus50",),
    "galgal6": ("grcg6a", "gallusgallus60"),
    "susscr11": ("sscrofa111",),
    "bostau9": ("arsucd12",),
    "canfam3": ("canfam31",),
    "rhemac8": ("mmul801",),
    "rhemac10": ("mmul10",),
    "pantro6": ("clintptrv2",),
    "aratha1": ("tair10",),
}
"""UCSC's name of each build, and the names that NCBI, Ensembl and others give to it, as :func:`_plain` writes them."""
_BY_NAME = {name: build for build, names in _SYNONYMS.items() for name in (build, *names)}
# Longer names first, so that GRCh38 is not found in a name that goes on.
_INSIDE = re.compile(rf"(?<![a-z0-9])({'|'.join(sorted(_BY_NAME, key=len, reverse=True))})(?![0-9])")

_TAX_GROUPS = {"dm": "insects", "ce": "nematodes", "saccer": "fungi", "aratha": "plants"}
"""JASPAR's group of the species whose builds begin so; all others among the known ones are vertebrates."""

_CHR1_LENGTH = {
    247_249_719: "hg18",
    249_250_621: "hg19",
    248_956_422: "hg38",
    248_387_328: "hs1",
    197_195_432: "mm9",
    195_471_971: "mm10",
    195_154_279: "mm39",
    282_763_074: "rn6",
    260_522_016: "rn7",
}
"""Base pairs of chromosome 1 in builds of human, mouse and rat, no two of which have it of one length."""


def known_build(name: str) -> str | None:
    """Return UCSC's name of a build, in lower case; None if it is not among the known ones.

    Parameters
    ----------
    name
        As UCSC, NCBI or Ensembl write it, whatever the case, with a patch level or inside a longer name.

    Examples
    --------
    >>> from scllmda.genomics import known_build
    >>> known_build("GRCh38.p14"), known_build("refdata-cellranger-arc-mm10-2020-A-2.0.0"), known_build("my assembly")
    ('hg38', 'mm10', None)
    """
    text = name.strip().lower()
    whole = _BY_NAME.get(_plain(text))
    if whole is not None:
        return whole
    inside = {_BY_NAME[found] for found in _INSIDE.findall(text)}
    # "GRCh38_and_mm10" is of no one build.
    return inside.pop() if len(inside) == 1 else None


def taxonomic_group(build: str) -> str:
    """Return which of JASPAR's taxonomic groups the species of a known build belongs to.

    Examples
    --------
    >>> from scllmda.genomics import taxonomic_group
    >>> taxonomic_group("hg38"), taxonomic_group("dm6")
    ('vertebrates', 'insects')
    """
    return next((group for start, group in _TAX_GROUPS.items() if build.rstrip("0123456789") == start), "vertebrates")


def build_of_lengths(lengths: Mapping[str, int]) -> str | None:
    """Return the build whose chromosome 1 is as long as the one in ``lengths`` (base pairs by contig), None if unknown.

    Examples
    --------
    >>> from scllmda.genomics import build_of_lengths
    >>> build_of_lengths({"chr1": 248_956_422, "chr2": 242_193_529})
    'hg38'
    """
    return next((_CHR1_LENGTH.get(int(lengths[name])) for name in ("chr1", "1") if name in lengths), None)


def _plain(name: str) -> str:
    """Return letters and digits alone: Rnor_6.0 and rnor60 are one name."""
    return re.sub(r"[^a-z0-9]", "", name)
