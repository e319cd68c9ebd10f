"""Barcodes of the cells: a list, or a file of Cell Ranger."""

from __future__ import annotations

import csv
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._files import damage_named, require_file

if TYPE_CHECKING:
    import numpy.typing as npt

_IS_CELL = r"^is_.*cell"
"""Columns that tell cells: is__cell_barcode (ATAC; is_GRCh38_cell_barcode of two genomes) and is_cell (ARC)."""


def read_barcodes(barcodes: Any) -> npt.NDArray[np.str_]:
    """Return the barcodes of a list, an index, or a file; raise if there are none, or some repeat."""
    if isinstance(barcodes, str | PathLike):
        path = Path(barcodes).expanduser()
        require_file(path, "barcodes=, a file of barcodes")
        with damage_named(path, of_anndata=False):
            is_table = ".csv" in path.suffixes
            found = _of_table(path) if is_table else pd.read_csv(path, sep="\t", header=None, dtype=str, **_AS_IT_IS)[0]
        source = repr(str(path))
    else:
        found = pd.Series(np.asarray(barcodes, dtype=object)) if np.ndim(barcodes) == 1 else pd.Series([barcodes])
        source = "barcodes="
        is_text = found.map(lambda barcode: isinstance(barcode, str))
        if not is_text.all():
            msg = f"Found {found[~is_text].iloc[0]!r} in barcodes=; expected a list of text, or the path of a file."
            raise TypeError(msg)
    if not len(found):
        msg = f"Found no barcode in {source}; expected those of the cells. Pass barcodes=None for all with enough."
        raise ValueError(msg)
    if found.duplicated().any():
        twice = found[found.duplicated()]
        msg = f"{len(twice)} barcodes in {source} repeat (first: {twice.iloc[0]!r}); expected each once."
        raise ValueError(msg)
    return found.to_numpy(np.str_)


_AS_IT_IS: dict[str, Any] = {"na_filter": False, "quoting": csv.QUOTE_NONE}


def _of_table(path: Path) -> pd.Series:
    """Return the cells of singlecell.csv (ATAC) or per_barcode_metrics.csv (ARC), or all barcodes of another table."""
    table = pd.read_csv(path, dtype=str, na_filter=False)
    if "barcode" not in table:
        msg = f"it has no column 'barcode', only {list(table)}"
        raise ValueError(msg)
    told = table.filter(regex=_IS_CELL)
    is_cell = (told == "1").any(axis=1) if told.shape[1] else pd.Series(data=True, index=table.index)
    return table["barcode"][is_cell]
