"""Cells × peaks as a low-rank model: sequence as prior, counts as evidence.

Holds the factorisation and the mapping of new cells on sparse arrays (numpy, scipy). No AnnData, and torch only where a
GPU is used.
"""

from __future__ import annotations

from ._blocks import Blocks, InMemory, with_rows
from ._chance import scramble
from ._decoder import CellMapper, Decoder
from ._evidence import Evidence, Thinned, chance_to_match, evidence
from ._fit import Factorisation, fit
from ._gpu import on_device
from ._leading_axes import leading_axes
from ._margins import Margins, margins, open_counts
from ._placement import Placed, Placement
from ._sequence_prior import SequencePrior, tells_peaks_apart
from ._threads import in_order
from ._workers import each_block, on_workers

__all__ = [
    "Blocks",
    "CellMapper",
    "Decoder",
    "Evidence",
    "Factorisation",
    "InMemory",
    "Margins",
    "Placed",
    "Placement",
    "SequencePrior",
    "Thinned",
    "chance_to_match",
    "each_block",
    "evidence",
    "fit",
    "in_order",
    "leading_axes",
    "margins",
    "on_device",
    "on_workers",
    "open_counts",
    "scramble",
    "tells_peaks_apart",
    "with_rows",
]
