from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .._presets import OF_PRESET, fill_in_preset

MOST_VALUES = 250
"""Tokens are bytes, and two of them are no values."""

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "published": {
            "n_dims": 200,
            "n_layers": 4,
            "n_heads": 4,
            "n_projected": 64,
            "n_hidden": 800,
            "n_islands": 20_000,
            "recompute": True,
            "lr": 1e-4,
            "batch_size": 8,
            "n_epochs": 100,
            "patience": 10,
            "pretrain_epochs": 20,
        },
        "small": {
            "n_dims": 32,
            "n_layers": 1,
            "n_heads": 4,
            "n_projected": 16,
            "n_hidden": 64,
            "n_islands": 2_000,
            "recompute": False,
            "lr": 1e-3,
            "batch_size": 32,
            "n_epochs": 10,
            "patience": 3,
            "pretrain_epochs": 10,
        },
    }
)


@dataclass(frozen=True)
class AnnAtacRecipe:
    """Constants of annATAC (Cui et al. 2025, BMC Biol 23:145).

    "Published" means the values of the paper or its released code; of those that neither states, which are called ours
    below, it means values that suit the published size. Where weights are given, the network's sizes (``n_dims`` to
    ``n_hidden``, ``n_values``, ``share_projection``) are those of the weights.
    """

    preset: str = "published"
    """"published", or "small" (ours): one layer on as many islands, and as many epochs, as leave two cores at most ten
    minutes for the training on 10,000 labeled cells. It sets those of the constants below that are not set
    themselves."""
    tss: str | None = None
    """BED, GTF or GFF with the transcription starts of the reference's genome build, plain or gzipped: islands are bins
    that hold one (paper). None: all bins that hold a peak of reference and query."""
    bin_size: int = 5000
    """Width of an island in base pairs; paper."""
    n_islands: int = OF_PRESET
    """Islands at most, those that most cells open; published: 20,000 (ours; the paper's human genome has some 16,700),
    small: 2,000."""
    n_values: int = 5
    """Openness above it counts as this; released code, which makes classes 0 to 5 of it."""
    n_dims: int = OF_PRESET
    """Width of a token; published: 200 (paper), small: 32."""
    n_layers: int = OF_PRESET
    """Layers of the encoder; published: 4 (paper), small: 1."""
    n_heads: int = OF_PRESET
    """Heads of the attention; 4 (paper)."""
    n_projected: int = OF_PRESET
    """k, the mixtures of tokens that are attended to; published: 64 (released code), small: 16."""
    n_hidden: int = OF_PRESET
    """Width of the feed-forward networks; published: 800 (released code), small: 64."""
    share_projection: bool = True
    """One projection along the sequence for all layers, as for all heads, keys and values (released code: "one shared
    projection"); False gives each layer its own."""
    dropout: float = 0.1
    """Share of what attention and feed-forward networks return that is switched off; ours, as in BERT."""
    recompute: bool = OF_PRESET
    """Compute feed-forward networks twice in training instead of keeping their activations: a step of 8 cells on 16,657
    islands takes 4.2 GB instead of 7.3. Results are the same. Published: True, small: False (ours)."""
    precision: str = "auto"
    """Of the forward passes in training, "float32" or "bfloat16"; "auto" is the latter on a GPU that has it. Ours."""
    lr: float = OF_PRESET
    """Learning rate of Adam; published: 1e-4 (paper), small: 1e-3."""
    lr_decay: float = 0.9
    """Factor of the learning rate every ``decay_epochs``; released code."""
    decay_epochs: int = 10
    """Epochs between two such factors; released code."""
    batch_size: int = OF_PRESET
    """Cells that are computed with at once; published: 8 (ours), small: 32."""
    accumulate: int = 1
    """Batches whose gradients are summed for a step of the pre-training; ours."""
    mask_share: float = 0.15
    """Share of a cell's open islands that are to be predicted in pre-training; released code."""
    replace_share: float = 0.9
    """Share of these that the mask stands for; the others stay as they are. Released code."""
    pretrain: bool = False
    """Pre-train on the cells of reference and query first, where there are no weights. The published system is
    pre-trained on an atlas of a million cells: see :func:`scllmda.tl.pretrain` and ``weights``. Ours."""
    pretrain_epochs: int = OF_PRESET
    """Epochs of the pre-training; published: 20, small: 10 (ours)."""
    weights: str | None = None
    """Folder that :func:`scllmda.tl.pretrain` wrote, or id of a repository on the Hugging Face hub with its files:
    where training on the labels begins. None: at random."""
    n_epochs: int = OF_PRESET
    """Epochs of the training on the labels at most; published: 100, small: 10 (ours)."""
    min_steps: int = 50
    """Steps of such an epoch, about, at least: few cells are passed over several times before the held-out part is
    looked at again. Ours; a reference of 1,000 cells and more is passed over once or twice."""
    patience: int = OF_PRESET
    """Epochs without a higher accuracy on the held-out part of the reference, after which training stops; published: 10
    (paper), small: 3. The best network is kept."""
    held_out: float = 0.1
    """Share of the reference's cells of each type that training does not see and the accuracy is measured on; ours. It
    is drawn once."""

    def __post_init__(self) -> None:
        """Fill in the preset, and refuse what there is not before any work.

        Raises
        ------
        ValueError
            Unknown preset or precision; heads that do not divide the width; too many values.
        FileNotFoundError
            There is no file ``tss``.
        """
        fill_in_preset(self, PRESETS)
        if self.n_values > MOST_VALUES:
            msg = f"Found n_values={self.n_values}; expected at most {MOST_VALUES}."
            raise ValueError(msg)
        if self.tss is not None and not Path(self.tss).expanduser().is_file():
            msg = f"Found no file tss={self.tss!r}; expected a BED, GTF or GFF with transcription starts."
            raise FileNotFoundError(msg)

    def factor(self, step: int, steps_per_epoch: int) -> float:
        """Return what the learning rate is multiplied by at a step, counted from 0 over all epochs."""
        return self.lr_decay ** (step // steps_per_epoch // self.decay_epochs)
