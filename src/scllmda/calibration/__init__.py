"""From raw posteriors to honest confidence.

Holds temperature scaling, novelty scores, prediction sets, bins of confidence and the chance of a label to be wrong.
Numpy arrays only; nothing here sees a query label.
"""

from __future__ import annotations

from ._novelty import NoveltyRecipe, domain_shift, novelty, rejection_threshold, remoteness
from ._prediction_sets import Sets, least_probabilities, prediction_sets
from ._reliability_bins import ReliabilityBins, reliability_bins
from ._temperature import fit_temperature, scale
from ._wrong_labels import CONTRADICTED, wrong_labels

__all__ = [
    "CONTRADICTED",
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
    "wrong_labels",
]
