"""seqAlignATAC (Liu et al. 2025, Bioinformatics, btaf682), the whole system.

Holds its constants, its networks and the method made of them, and is named by the registry alone. What it shares with
other systems lies in ``nn`` and in ``methods/_cell_network.py``.
"""

from __future__ import annotations

from ._method import SEQALIGNATAC
from ._recipe import SeqAlignAtacRecipe

__all__ = ["SEQALIGNATAC", "SeqAlignAtacRecipe"]
