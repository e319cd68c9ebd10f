"""Cell graphs as CSR matrices.

Holds how neighbours are found, and graphs (kNN, PPMI) built, normalised and used to propagate. Knows numpy and scipy
arrays, no AnnData.
"""

from __future__ import annotations

from ._knn import knn_graph, nearest_graph, nearest_graphs, neighbors_among, symmetrise, within_domains
from ._neighbors import NearestCells
from ._normalise import gcn_normalise, symmetric_normalise
from ._ppmi import ppmi_graph
from ._propagate import personalised_propagation

__all__ = [
    "NearestCells",
    "gcn_normalise",
    "knn_graph",
    "nearest_graph",
    "nearest_graphs",
    "neighbors_among",
    "personalised_propagation",
    "ppmi_graph",
    "symmetric_normalise",
    "symmetrise",
    "within_domains",
]
