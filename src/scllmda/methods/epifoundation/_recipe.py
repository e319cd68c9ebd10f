from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .._presets import OF_PRESET, fill_in_preset

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "published": {
            "n_dims": 512,
            "n_layers": 6,
            "n_heads": 8,
            "n_hidden": 2048,
            "recompute": True,
            "lr": 1e-4,
            "batch_size": 8,
            "accumulate": 20,
            "n_genes": 8_000,
            "pretrain_epochs": 140,
            "n_epochs": 50,
            "patience": 10,
        },
        "small": {
            "n_dims": 64,
            "n_layers": 1,
            "n_heads": 4,
            "n_hidden": 128,
            "recompute": False,
            "lr": 1e-3,
            "batch_size": 32,
            "accumulate": 1,
            "n_genes": 1_000,
            "pretrain_epochs": 20,
            "n_epochs": 20,
            "patience": 5,
        },
    }
)


@dataclass(frozen=True)
class EpiFoundationRecipe:
    """Constants of EpiFoundation (Wu et al. 2025, bioRxiv 2025.02.05.636688).

    "Published" means the values of the paper or its released code; of those that neither states, which are called ours
    below, it means values that suit the published size. Where weights are given, the network's sizes (``n_dims`` to
    ``n_hidden``) are those of the weights.
    """

    preset: str = "published"
    """"published", or "small": a network that trains on a CPU in minutes (ours). It sets those of the constants below
    that are not set themselves. The small network has one layer, of which the cell's state alone is computed, so that
    its cost grows with the number of open peaks and not with its square."""
    min_overlap: float = 0.5
    """Smallest overlap of a peak with one of the vocabulary that makes them the same, as a share of the narrower one;
    ours, as in :func:`scllmda.pp.match_peaks`."""
    max_peaks: int = 12_000
    """Open peaks of a cell that are read, at most; paper. In training those of a cell with more are drawn anew each
    time, as in the paper. Else those are read that come first in one order of the vocabulary, which was drawn once for
    all cells: a sample of the same kind, and always the same (ours; the released code draws there too)."""
    n_dims: int = OF_PRESET
    """Width of a token; published: 512 (paper), small: 64."""
    n_layers: int = OF_PRESET
    """Layers of the encoder; published: 6 (paper), small: 1."""
    n_heads: int = OF_PRESET
    """Heads of the attention; published: 8 (paper), small: 4."""
    n_hidden: int = OF_PRESET
    """Width of the feed-forward networks; published: 2,048 (ours, four times ``n_dims``), small: 128."""
    dropout: float = 0.15
    """Share of what attention and feed-forward networks return that is switched off; paper."""
    recompute: bool = OF_PRESET
    """Compute feed-forward networks twice in training instead of keeping their activations: a step of two cells with
    12,000 peaks, of 200,000, takes 3.9 GB instead of 5.7. Results are the same. Published: True, small: False (ours).
    """
    precision: str = "auto"
    """Of the forward passes in training, "float32" or "bfloat16"; "auto" is the latter on a GPU that has it. Ours."""
    lr: float = OF_PRESET
    """Largest learning rate of Adam; published: 1e-4 (paper), small: 1e-3."""
    warmup: float = 0.05
    """Share of all steps in which the learning rate rises to it, before it falls to zero as half a cosine. The paper
    has the cosine, the released code a warm-up; its length is ours."""
    batch_size: int = OF_PRESET
    """Cells that are computed with at once; published: 8 (paper), small: 32."""
    accumulate: int = OF_PRESET
    """Batches whose gradients are summed for a step of the pre-training; published: 20 (paper), small: 1."""
    n_genes: int = OF_PRESET
    """Genes of a cell that are foretold in a step of the pre-training, half of them expressed and half not, at most;
    published: 8,000 (paper), small: 1,000. Of a cell with fewer expressed genes there are as many fewer of both."""
    pretrain_epochs: int = OF_PRESET
    """Epochs of the pre-training; published: 140 (paper), small: 20. The learning rate follows from it, so that a
    training cannot be gone on with for more epochs than it was begun for."""
    weights: str | None = None
    """Folder that :func:`scllmda.tl.pretrain` wrote, or id of a repository on the Hugging Face hub with its files:
    where training on labels or expression begins. None: at random."""
    n_epochs: int = OF_PRESET
    """Epochs of the training on labels or expression, at most; published: 50, small: 20 (ours)."""
    min_steps: int = 50
    """Steps of such an epoch, about, at least: few cells are passed over several times before the held-out part is
    looked at again. Ours."""
    patience: int = OF_PRESET
    """Epochs without a better result on the held-out part of the reference, after which that training stops;
    published: 10, small: 5 (ours). The best network is kept."""
    held_out: float = 0.1
    """Share of the reference's cells (of each type, where there are labels) that it does not see and is measured on;
    ours. It is drawn once."""
    n_bins: int = 10
    """Levels of expression that are foretold, 0 for none; paper."""

    def __post_init__(self) -> None:
        """Fill in the preset, and refuse what there is not before any work.

        Raises
        ------
        ValueError
            Unknown preset or precision; heads that do not divide the width; a single level of expression.
        """
        fill_in_preset(self, PRESETS)
        if self.n_bins < 2:
            msg = f"Found n_bins={self.n_bins}; expected two levels of expression at least."
            raise ValueError(msg)

    def factor(self, step: int, n_steps: int) -> float:
        """Return what the learning rate is multiplied by at a step, counted from 0, of so many in all.

        It is (step + 1) / (w + 1) in the first w = ⌈``warmup`` · n_steps⌉ steps, then (1 + cos π t) / 2, t from 0 to 1.
        """
        rising = math.ceil(self.warmup * n_steps)
        if step < rising:
            return (step + 1) / (rising + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(n_steps - rising, 1)))
