"""Public files that can be fetched by name.

Only files at addresses with a version in them, whose checksum is published: here by SnapATAC2 2.9, which fetches the
same files. Who adds one computes its sha256 from the public file itself, never from something derived of it.
"""

from __future__ import annotations

from dataclasses import dataclass

_TENX = "https://cf.10xgenomics.com/samples/cell-atac/2.0.0"
_GENCODE = "https://ftp.ebi.ac.uk/pub/databases/gencode"


@dataclass(frozen=True)
class PublicFile:
    """Where a public file is, and what it is."""

    url: str
    """Address."""
    sha256: str
    """Its SHA-256, as 64 hexadecimal digits."""


PUBLIC_FILES = {
    "pbmc_500_fragments": PublicFile(
        f"{_TENX}/atac_pbmc_500_nextgem/atac_pbmc_500_nextgem_fragments.tsv.gz",
        "196c5d7ee0169957417e9f4d5502abf1667ef99453328f8d290d4a7f3b205c6c",
    ),
    "pbmc_5k_fragments": PublicFile(
        f"{_TENX}/atac_pbmc_5k_nextgem/atac_pbmc_5k_nextgem_fragments.tsv.gz",
        "5fe44c0f8f76ce1534c1ae418cf0707ca5ef712004eee77c3d98d2d4b35ceaec",
    ),
    "hg38": PublicFile(
        f"{_GENCODE}/Gencode_human/release_41/GRCh38.primary_assembly.genome.fa.gz",
        "4fac949d7021cbe11117ddab8ec1960004df423d672446cadfbc8cca8007e228",
    ),
    "mm10": PublicFile(
        f"{_GENCODE}/Gencode_mouse/release_M25/GRCm38.primary_assembly.genome.fa.gz",
        "617b10dc7ef90354c3b6af986e45d6d9621242b64ed3a94c9abeac3e45f18c17",
    ),
}
"""By the name that :func:`scllmda.datasets.fetch` takes."""
