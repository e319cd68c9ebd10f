"""What an epoch of training costs, for a warning before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._training_time import warn_of_long_epochs

if TYPE_CHECKING:
    from ._cells import PeakCells
    from ._network import Sizes


def warn_of_cost(sizes: Sizes, cells: PeakCells, device: str) -> None:
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
    n = np.minimum(cells.n_open, cells.max_peaks).astype(np.float64)
    d, h = sizes.n_dims, sizes.n_hidden
    inner = (4 * d**2 + 2 * d * h) * n.sum() + 2 * d * np.square(n).sum()
    multiplications = (sizes.n_layers - 1) * inner + (2 * d**2 + 2 * d) * n.sum()
    what = f"{len(cells):,} cells with {n.mean():,.0f} open peaks each"
    warn_of_long_epochs(float(multiplications), what, device)
