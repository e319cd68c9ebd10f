"""From raw posteriors to honest confidence.

Holds temperature scaling, novelty scores, prediction sets and bins of confidence. Numpy arrays only; nothing here sees
a query label.
"""

from __future__ import annotations

from ._novelty import NoveltyRecipe, domain_shift, novelty, rejection_threshold, remoteness
from ._prediction_sets import Sets, least_probabilities, prediction_sets
from ._reliability_bins import ReliabilityBins, reliability_bins
from ._temperature import fit_temperature, scale

__all__ = [
    "NoveltyRecipe",
    "ReliabilityBins",
    "Sets",
    "domain_shift",
    "fit_temperature",
    "least_probabilities",
    "novelty",
    "prediction_sets",
    "rejection_threshold",
    "reliability_bins",
    "remoteness",
    "scale",
]
