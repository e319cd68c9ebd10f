from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._anndata import obs_column
from .._label_text import has_label

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray


def query_cells(data: AnnData | MuData, adata: AnnData, key: str) -> NDArray[np.bool_]:
    """Return (n_cells,) True for cells that were annotated, False for the reference of a one-object annotation."""
    uns = adata.uns[key]
    if "codes" in uns["reference"]:
        return np.ones(adata.n_obs, dtype=bool)
    return ~has_label(obs_column(data, adata, uns["reference"]["labels_key"]), uns["params"]["unlabeled"])
