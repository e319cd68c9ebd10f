"""From raw posteriors to honest confidence.

Holds temperature scaling and novelty scores. Numpy arrays only; nothing here sees a query label.
"""

from __future__ import annotations

from ._novelty import distance_to_reference, novelty
from ._temperature import fit_temperature, scale

__all__ = ["distance_to_reference", "fit_temperature", "novelty", "scale"]
