"""Plots of what the tools wrote.

Lives here: one figure per file, drawn with scanpy or matplotlib from slots. May not live here: computation of results.
"""

from __future__ import annotations

__all__: list[str] = []
