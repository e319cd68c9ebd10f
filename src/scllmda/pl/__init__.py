"""Plots of what the tools wrote.

Holds one figure per file, drawn with matplotlib from slots, and what figures share: axes and files (``_figure``),
colors, legends, the map of reference and query. No computation of results.
"""

from __future__ import annotations

from ._confusion import confusion
from ._novelty import novelty
from ._reliability import reliability
from ._transfer_umap import transfer_umap

__all__ = ["confusion", "novelty", "reliability", "transfer_umap"]
