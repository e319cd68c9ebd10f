"""Tools: from peaks and counts to vectors, labels and genes.

Holds one verb per file; each resolves its input, calls the rooms below and writes slots. No arithmetic of its own.
"""

from __future__ import annotations

from ._annotate import annotate
from ._cell_embeddings import cell_embeddings
from ._check_reference import check_reference
from ._embed_peaks import embed_peaks
from ._footprint import footprint
from ._gene_activity import gene_activity
from ._graph_da_annotate import graph_da_annotate
from ._map_cells import map_cells
from ._marker_motifs import marker_motifs
from ._marker_peaks import marker_peaks
from ._motif_activity import motif_activity
from ._predict_expression import predict_expression
from ._pretrain import pretrain

__all__ = [
    "annotate",
    "cell_embeddings",
    "check_reference",
    "embed_peaks",
    "footprint",
    "gene_activity",
    "graph_da_annotate",
    "map_cells",
    "marker_motifs",
    "marker_peaks",
    "motif_activity",
    "predict_expression",
    "pretrain",
]
