"""What lies at and around peaks: the nearest gene, and motifs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .. import _logging as logg
from .._keys import SEQUENCE
from ..genomics import Motif, TranscriptionStarts, find_motif_sites, nearest_genes, require_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray


def gene_columns(var: pd.DataFrame, starts: TranscriptionStarts) -> pd.DataFrame:
    """Return the nearest gene of each peak and how far it is, by the names of the peaks; say what was left out."""
    where = require_positions(var)
    for remark in (*where.remarks, *starts.remarks):
        logg.warning(remark)
    return nearest_genes(where, starts).set_axis(var.index)


def require_sequences(var: pd.DataFrame) -> None:
    """Raise ValueError if there is no DNA to look for motifs in."""
    if SEQUENCE not in var:
        msg = (
            f"Did not find .var[{SEQUENCE!r}] to look for motifs in; expected the DNA of each peak. Run "
            "sl.pp.peak_sequences(adata, genome) first, or leave motifs= out."
        )
        raise ValueError(msg)


def motif_names(var: pd.DataFrame, peaks: NDArray[np.intp], motifs: Sequence[Motif]) -> NDArray[np.object_]:
    """Return the names of the motifs that peaks have sites of, separated by commas, the best site first."""
    sites = find_motif_sites(var[SEQUENCE].iloc[peaks].astype("string").fillna("").tolist(), motifs)
    names: list[dict[str, None]] = [{} for _ in peaks]
    for i in np.argsort(-sites.score, kind="stable"):
        names[sites.sequence[i]].setdefault(motifs[sites.motif[i]].name)
    return np.array([", ".join(found) for found in names], dtype=object)
