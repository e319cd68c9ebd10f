"""annATAC (Cui et al. 2025, BMC Biol 23:145): a language model over peak islands.

Holds its constants, its tokens and masks, its networks, their two trainings and the method made of them, and is named
by the registry alone. Blocks of the network lie in ``nn``, the loop of the pre-training in ``methods/_pretraining.py``.
"""

from __future__ import annotations

from ._method import ANNATAC
from ._recipe import AnnAtacRecipe

__all__ = ["ANNATAC", "AnnAtacRecipe"]
