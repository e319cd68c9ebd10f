"""Torch modules and their training loops.

Holds the networks of the published systems, one file each. Torch only: no AnnData, no files.
"""

from __future__ import annotations

from ._accessibility import AccessibilityNetwork, PublishedRecipe, embed_by_accessibility
from ._device import pick_device
from ._domain_adapter import Domain, DomainAdapter, Fusion, adapter_loss, reverse_gradient, train_adapter

__all__ = [
    "AccessibilityNetwork",
    "Domain",
    "DomainAdapter",
    "Fusion",
    "PublishedRecipe",
    "adapter_loss",
    "embed_by_accessibility",
    "pick_device",
    "reverse_gradient",
    "train_adapter",
]
