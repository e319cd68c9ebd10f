"""Prepare the data: what is needed before anything is learnt.

One public function per file: resolve the input, call what lies below, write slots, log.
No model and no algorithm of its own.
"""

from __future__ import annotations

from ._count_fragments import count_fragments
from ._fragment_blocks import fragment_blocks as fragment_blocks
from ._fragment_files import look_at as look_at
from ._fragment_files import require_fragments as require_fragments
from ._match_peaks import match_peaks
from ._peak_islands import peak_islands
from ._peak_sequences import peak_sequences
from ._peak_sequences import peak_windows as peak_windows
from ._peak_sequences import warn_if_unknown as warn_if_unknown
from ._samples import files_by_sample as files_by_sample
from ._samples import named as named

__all__ = ["count_fragments", "match_peaks", "peak_islands", "peak_sequences"]
