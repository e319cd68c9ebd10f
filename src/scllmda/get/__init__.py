"""Read-only views of what the tools wrote and of what there is.

Holds functions that return something new and change nothing. No computation.
"""

from __future__ import annotations

from ._annotation import annotation
from ._encoders import encoders
from ._evidence import evidence
from ._footprint import footprint
from ._marker_motifs import marker_motifs
from ._marker_peaks import marker_peaks
from ._methods import methods
from ._portable_reference import portable_reference
from ._query_cells import query_cells as query_cells
from ._reference_check import reference_check

__all__ = [
    "annotation",
    "encoders",
    "evidence",
    "footprint",
    "marker_motifs",
    "marker_peaks",
    "methods",
    "portable_reference",
    "reference_check",
]
