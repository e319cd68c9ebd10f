"""How long training takes, for a warning before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ... import _logging as logg

if TYPE_CHECKING:
    from ._cells import PeakCells
    from ._network import Sizes

FLOPS = 5e10
"""Operations per second of one core: a step of two cells with 12,000 peaks of the published size took 130 to 250 s."""
LONG = 0.5
"""Hours of an epoch on a CPU from which the user is warned."""


def warn_of_long_epochs(sizes: Sizes, cells: PeakCells, device: str) -> None:
    """Warn where a network is far too large to be trained on a CPU.

    A token costs a layer 4 d² multiplications for attention and 2 d h for the feed-forward network of width h, a pair
    of tokens 2 d; of the last layer the keys and values of all tokens are computed, and the rest of [CLS] alone.

    Parameters
    ----------
    sizes
        Of the network.
    cells
        To train on.
    device
        Torch device.
    """
    if device != "cpu":
        return
    n = np.minimum(cells.n_open, cells.max_peaks).astype(np.float64)
    d, h = sizes.n_dims, sizes.n_hidden
    inner = (4 * d**2 + 2 * d * h) * n.sum() + 2 * d * np.square(n).sum()
    multiplications = (sizes.n_layers - 1) * inner + (2 * d**2 + 2 * d) * n.sum()
    # Forward and backward pass; a multiplication and an addition each.
    hours = 6 * float(multiplications) / FLOPS / 3600
    if hours > LONG:
        logg.warning(
            f"An epoch of {len(cells):,} cells with {n.mean():,.0f} open peaks each takes about {hours:,.1f} hours on "
            "a CPU by a network of this size; expected a GPU. Pass recipe={'preset': 'small'} for one that CPUs can "
            "train."
        )
