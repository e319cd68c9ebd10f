"""Peaks to count in, in every form that they are given in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _logging as logg
from .._anndata import read, require_peaks
from .._genome_notes import genome_notes, noted_build
from ..genomics import PeakPositions, read_gene_table, require_positions

_OBJECTS = {".h5ad", ".h5mu", ".zarr", ".h5"}
"""Suffixes of objects; other files of peaks are BED."""


@dataclass(frozen=True, eq=False)
class GivenPeaks:
    """Peaks, with what is known of their genome."""

    names: pd.Index
    where: PeakPositions
    notes: dict[str, Any]
    """What the object notes of its genome build, for another one's ``.uns``."""
    build: str | None
    """UCSC's name of the build, None if it is not known."""


def given_peaks(peaks: Any, mod: str) -> GivenPeaks:
    """Return peaks, which have names that do not repeat, and positions; raise if they are none."""
    notes: dict[str, Any] = {}
    build = None
    if isinstance(peaks, str | PathLike) and not _is_object(peaks):
        var = _of_table(peaks)
    elif isinstance(peaks, pd.DataFrame):
        # A table that was read from a file has numbers for names.
        var = peaks if not pd.api.types.is_numeric_dtype(peaks.index) else _of_table(peaks)
    elif isinstance(peaks, pd.Index | pd.Series | np.ndarray | Sequence) and not isinstance(peaks, str):
        var = pd.DataFrame(index=pd.Index(_texts(peaks)))
    elif isinstance(peaks, str | PathLike | AnnData) or isinstance(getattr(peaks, "mod", None), Mapping):
        adata = read(peaks, mod=mod, what="reference")
        require_peaks(adata, "reference")
        note = noted_build(adata, "reference")
        var, notes, build = adata.var, genome_notes(adata), None if note is None else note.build
        if "files" in notes:
            # The FASTA is that of the peaks; fragments are those of other cells.
            notes["files"] = {key: path for key, path in notes["files"].items() if key == "genome"}
    else:
        msg = (
            f"Found peaks={peaks!r} ({type(peaks).__name__}); expected an AnnData or a MuData, a path, a list of names "
            "such as 'chr1:100-600', or a pandas.DataFrame."
        )
        raise TypeError(msg)
    require_peaks(AnnData(var=pd.DataFrame(index=var.index)), "peaks")
    where = require_positions(var)
    for remark in where.remarks:
        logg.warning(remark)
    return GivenPeaks(var.index, where, notes, build)


def _is_object(path: str | PathLike[str]) -> bool:
    found = Path(path).expanduser()
    return found.suffix in _OBJECTS or found.is_dir()


def _of_table(source: str | PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    """Return the peaks of a BED, or of columns chrom, start and end, named by their positions."""
    table = read_gene_table(source, "peaks")
    start, end = table.start.astype(str), table.end.astype(str)
    names = pd.Series(table.chrom) + ":" + pd.Series(start) + "-" + pd.Series(end)
    return pd.DataFrame(index=pd.Index(names.array))


def _texts(names: Any) -> list[str]:
    found = list(names)
    if not all(isinstance(name, str) for name in found):
        odd = next(name for name in found if not isinstance(name, str))
        msg = f"Found {odd!r} in peaks=; expected names such as 'chr1:100-600'."
        raise TypeError(msg)
    return found
