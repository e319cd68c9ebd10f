"""Which islands of a cell are to be predicted in pre-training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def masks_per_class(n_open: NDArray[np.integer], share: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return how many islands of each class are masked: as many of each, as far as there are enough.

    Parameters
    ----------
    n_open
        (n_classes,) islands of each class of openness, without closed ones.
    share
        Of all these islands that are to be masked; one at least.
    rng
        Decides which classes get what is left over.
    """
    wanted = min(max(round(share * n_open.sum()), 1), int(n_open.sum()))
    masks = np.zeros(len(n_open), dtype=np.intp)
    while left := wanted - masks.sum():
        free = np.flatnonzero(masks < n_open)
        if left < len(free):
            masks[rng.permutation(free)[:left]] += 1
        else:
            masks[free] = np.minimum(masks[free] + left // len(free), n_open[free])
    return masks


def mask(
    values: NDArray[np.integer], share: float, replace_share: float, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Draw the islands of a cell that are to be predicted.

    The paper distributes masks evenly over the classes of openness, so that the network does not learn to prefer the
    most common, and leaves closed islands alone.

    Parameters
    ----------
    values
        (n_open,) classes of the cell's open islands.
    share
        Of them that are to be predicted.
    replace_share
        Of these that the mask stands for; it stays visible what the others are.
    rng
        Of the cell and the epoch.

    Returns
    -------
    Increasing positions among the open islands (n,), and whether the mask stands there (n,).
    """
    classes, of = np.unique(values, return_inverse=True)
    masks = masks_per_class(np.bincount(of, minlength=len(classes)), share, rng)
    drawn = [rng.permutation(np.flatnonzero(of == i))[:n] for i, n in enumerate(masks)]
    chosen = np.sort(np.concatenate(drawn)) if drawn else np.zeros(0, dtype=np.intp)
    return chosen, rng.random(len(chosen)) < replace_share
