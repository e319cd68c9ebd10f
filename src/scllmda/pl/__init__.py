"""Plots of what the tools wrote.

Holds one figure per file, drawn with scanpy and matplotlib from slots. No computation of results.
"""

from __future__ import annotations

from ._confusion import confusion
from ._reliability import reliability
from ._transfer_umap import transfer_umap

__all__ = ["confusion", "reliability", "transfer_umap"]
