"""Plots of what the tools wrote.

Holds one figure per file, drawn with matplotlib from slots, and what figures share: axes and files (``_figure``),
colors, legends, the map of reference and query. No computation of results.
"""

from __future__ import annotations

from ._class_proportions import class_proportions
from ._confusion import confusion
from ._evidence import evidence
from ._footprint import footprint
from ._label_flow import label_flow
from ._marker_motifs import marker_motifs
from ._marker_peaks import marker_peaks
from ._novelty import novelty
from ._reference_check import reference_check
from ._reliability import reliability
from ._report import report
from ._training_history import training_history
from ._transfer_umap import transfer_umap

__all__ = [
    "class_proportions",
    "confusion",
    "evidence",
    "footprint",
    "label_flow",
    "marker_motifs",
    "marker_peaks",
    "novelty",
    "reference_check",
    "reliability",
    "report",
    "training_history",
    "transfer_umap",
]
