"""Clusters of a query's own cells, whose members vote for one label."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._scanpy import scanpy_by_default

RESOLUTIONS = ((5_000, 5), (20_000, 10), (40_000, 15), (100_000, 20), (200_000, 25))
"""Resolution of Leiden for fewer cells than that. They are CellTypist's (Domínguez Conde et al. 2022), whose users
expect many small clusters: one that joins two types would outvote the smaller."""
MOST = 30
"""For still more cells."""


def require_leiden() -> None:
    """Raise ImportError, before any work, if there is no igraph to find clusters with."""
    if find_spec("igraph") is None:
        msg = (
            "majority_voting=True finds clusters by Leiden, which needs igraph. Install it: pip install "
            "'scllmda[leiden]' (or igraph); or pass majority_voting= a column of .obs with a clustering."
        )
        raise ImportError(msg)


def leiden(graph: sp.csr_matrix) -> NDArray[np.object_]:
    """Return the cluster of each cell (n_cells,) of a symmetric graph, by Leiden at CellTypist's resolution."""
    n_cells = graph.shape[0]
    scratch = AnnData(obs=pd.DataFrame(index=np.arange(n_cells).astype(str)))
    resolution = next((value for most, value in RESOLUTIONS if n_cells < most), MOST)
    with scanpy_by_default() as sc:
        sc.tl.leiden(
            scratch,
            resolution,
            adjacency=graph,
            flavor="igraph",
            directed=False,
            n_iterations=2,
            random_state=0,
            key_added="cluster",
        )
    return scratch.obs["cluster"].astype(str).to_numpy(dtype=object)
