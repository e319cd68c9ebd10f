"""Cells × peaks as a low-rank model: sequence as prior, counts as evidence.

Holds the closed-form factorisation on sparse arrays (numpy, scipy). No torch, no AnnData.
"""

from __future__ import annotations

from ._fit import Factorisation, evident_peaks, fit
from ._pearson import PearsonResiduals
from ._sequence_prior import SequencePrior

__all__ = ["Factorisation", "PearsonResiduals", "SequencePrior", "evident_peaks", "fit"]
