"""scLLMDA (Liu et al. 2026, PLoS Comput Biol 22(4):e1014226), the whole system.

Holds its constants, its networks and the method made of them, and is named by the registry alone. What it shares with
other systems lies in ``nn`` and in ``methods/_cell_network.py``.
"""

from __future__ import annotations

from ._method import SCLLMDA
from ._recipe import ScllmdaRecipe

__all__ = ["SCLLMDA", "ScllmdaRecipe"]
