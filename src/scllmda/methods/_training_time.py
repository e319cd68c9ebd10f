"""How long training takes, for a warning before it begins."""

from __future__ import annotations

from .. import _logging as logg

FLOPS = 5e10
"""Operations per second of one core: a step of the published size took 25 s of annATAC (8 cells, 16,657 islands), and
130 to 250 s of EpiFoundation (two cells, 12,000 peaks)."""
LONG = 0.5
"""Hours of an epoch on a CPU from which the user is warned."""


def warn_of_long_epochs(n_multiplications: float, what: str, device: str) -> None:
    """Warn where a network is far too large to be trained on a CPU.

    Parameters
    ----------
    n_multiplications
        Of a forward pass over all cells.
    what
        Cells and their tokens, for the message.
    device
        Torch device.
    """
    # Forward and backward pass; a multiplication and an addition each.
    hours = 6 * n_multiplications / FLOPS / 3600
    if device == "cpu" and hours > LONG:
        logg.warning(
            f"An epoch of {what} takes about {hours:,.1f} hours on a CPU by a network of this size; expected a GPU. "
            "Pass recipe={'preset': 'small'} for one that CPUs can train."
        )
