"""Fragments, block by block, as they stand in their file."""

from __future__ import annotations

import csv
import gzip
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._files import damage_named
from ._fragment_files import GZIP_MAGIC

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    from ._fragment_files import Fragments

_BLOCK = 2**20
"""Fragments that are read at once, some 150 MB."""
_COLUMNS = ["contig", "start", "end", "barcode"]


def fragment_blocks(fragments: Fragments) -> Iterator[pd.DataFrame]:
    """Yield the fragments of a file, in its order: ``contig``, ``start``, ``end`` (0-based, half-open), ``barcode``."""
    with damage_named(fragments.path, of_anndata=False), _opened(fragments) as file:
        at = file.tell()
        # A '#' that is no first letter of a line is one of a barcode, as ArchR writes them.
        while file.readline(1000).startswith(b"#"):
            at = file.tell()
        file.seek(at)
        yield from pd.read_csv(
            file,
            sep="\t",
            header=None,
            usecols=range(4),
            names=_COLUMNS,
            dtype={"contig": "category", "start": np.int64, "end": np.int64, "barcode": str},
            na_filter=False,
            quoting=csv.QUOTE_NONE,
            chunksize=_BLOCK,
        )


def _opened(fragments: Fragments) -> gzip.GzipFile | BufferedReader:
    with fragments.path.open("rb") as file:
        is_gzipped = file.read(2) == GZIP_MAGIC
    return gzip.open(fragments.path) if is_gzipped else fragments.path.open("rb")
