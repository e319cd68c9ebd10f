"""Torch modules and their training loops.

Holds the networks of the published systems, one file each. Torch only: no AnnData, no files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._accessibility import AccessibilityNetwork, PublishedRecipe, embed_by_accessibility
from ._device import pick_device
from ._mosaic_bert import MosaicBert
from ._nucleotide_transformer import NucleotideTransformer
from ._sequence_cnn import CnnRecipe, SequenceCnn, predict_sequence_cnn, train_sequence_cnn

if TYPE_CHECKING:
    from ._asymmetric_adapter import (
        Adversary,
        AsymmetricAdapter,
        Mmd,
        adversarial_schedule,
        squared_mmd,
        train_asymmetric_adapter,
    )
    from ._domain_adapter import Domain, DomainAdapter, Fusion, adapter_loss, reverse_gradient, train_adapter

__all__ = [
    "AccessibilityNetwork",
    "Adversary",
    "AsymmetricAdapter",
    "CnnRecipe",
    "Domain",
    "DomainAdapter",
    "Fusion",
    "Mmd",
    "MosaicBert",
    "NucleotideTransformer",
    "PublishedRecipe",
    "SequenceCnn",
    "adapter_loss",
    "adversarial_schedule",
    "embed_by_accessibility",
    "pick_device",
    "predict_sequence_cnn",
    "reverse_gradient",
    "squared_mmd",
    "train_adapter",
    "train_asymmetric_adapter",
    "train_sequence_cnn",
]


def __getattr__(name: str) -> Any:
    # Only the graph networks need torch-geometric, which takes seconds to import.
    if name in __all__:
        from . import _asymmetric_adapter, _domain_adapter

        return getattr(_domain_adapter if hasattr(_domain_adapter, name) else _asymmetric_adapter, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
