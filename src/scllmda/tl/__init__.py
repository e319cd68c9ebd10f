"""Tools: embed peaks and cells, carry labels.

Lives here: one verb per file; each resolves its input, calls the rooms below, writes slots and logs.
May not live here: algorithms, which take arrays and live below.
"""

from __future__ import annotations

from ._embed_peaks import embed_peaks

__all__ = ["embed_peaks"]
