"""From raw posteriors to honest confidence.

Holds temperature scaling, novelty scores and bins of confidence. Numpy arrays only; nothing here sees a query label.
"""

from __future__ import annotations

from ._novelty import NoveltyRecipe, domain_shift, novelty, rejection_threshold, remoteness
from ._reliability_bins import ReliabilityBins, reliability_bins
from ._temperature import fit_temperature, scale

__all__ = [
    "NoveltyRecipe",
    "ReliabilityBins",
    "domain_shift",
    "fit_temperature",
    "novelty",
    "rejection_threshold",
    "reliability_bins",
    "remoteness",
    "scale",
]
