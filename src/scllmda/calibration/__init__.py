"""From raw posteriors to honest confidence.

Holds temperature scaling and novelty scores. Numpy arrays only; nothing here sees a query label.
"""

from __future__ import annotations

from ._novelty import NoveltyRecipe, domain_shift, novelty, rejection_threshold, remoteness
from ._temperature import fit_temperature, scale

__all__ = ["NoveltyRecipe", "domain_shift", "fit_temperature", "novelty", "rejection_threshold", "remoteness", "scale"]
