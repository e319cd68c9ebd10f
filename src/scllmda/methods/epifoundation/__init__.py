"""EpiFoundation (Wu et al. 2025, bioRxiv 2025.02.05.636688): cells as sets of open peaks, aligned with genes.

Holds its constants, its vocabulary of peaks, its networks, their trainings and what is made of them: labels, cell
embeddings and expression. It is named by the registry alone. Blocks of the network lie in ``nn``, the loops of the
trainings in ``methods/_pretraining.py`` and ``methods/_finetuning.py``.
"""

from __future__ import annotations

from ._method import EPIFOUNDATION, EPIFOUNDATION_EXPRESSION
from ._recipe import EpiFoundationRecipe

__all__ = ["EPIFOUNDATION", "EPIFOUNDATION_EXPRESSION", "EpiFoundationRecipe"]
