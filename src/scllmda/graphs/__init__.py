"""Cell graphs as CSR matrices.

Holds how neighbors are found, and graphs (kNN, PPMI) built, normalized and used to propagate. Knows numpy and scipy
arrays, no AnnData.
"""

from __future__ import annotations

from ._knn import knn_graph, nearest_graph, nearest_graphs, neighbors_among, symmetrize, within_domains
from ._neighbors import NearestCells
from ._normalize import gcn_normalize, symmetric_normalize
from ._ppmi import ppmi_graph
from ._propagate import personalized_propagation

__all__ = [
    "NearestCells",
    "gcn_normalize",
    "knn_graph",
    "nearest_graph",
    "nearest_graphs",
    "neighbors_among",
    "personalized_propagation",
    "ppmi_graph",
    "symmetric_normalize",
    "symmetrize",
    "within_domains",
]
