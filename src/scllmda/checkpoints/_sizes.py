"""What the sizes of a network may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ._messages import shortened


@dataclass(frozen=True)
class _Number:
    """What a number of ``config.json`` may be; both bounds are included."""

    least: float
    most: float
    whole: bool = True

    def holds(self, value: Any) -> bool:
        """Return whether a value is such a number; truth values are none, and NaN is within no bounds."""
        kinds = int if self.whole else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and self.least <= value <= self.most

    def __str__(self) -> str:
        return f"a {'whole ' if self.whole else ''}number from {self.least:,} to {self.most:,}"


@dataclass(frozen=True)
class _TruthValue:
    """What a switch of ``config.json`` may be."""

    def holds(self, value: Any) -> bool:
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "true or false"


_SIZE = _Number(1, 2**20)
"""Hundreds of times the largest of the published sizes; shapes made of larger ones would be too large to count."""

EXPECTED: dict[str, _Number | _TruthValue] = {
    "vocab_size": _SIZE,
    "hidden_size": _SIZE,
    "intermediate_size": _SIZE,
    "n_heads": _SIZE,
    "n_token_types": _SIZE,
    "n_positions": _SIZE,
    # Layers are made one by one, before they are compared with the weights.
    "n_layers": _Number(1, 1024),
    # Published networks have 1e-12 to 1e-5; much more would drown what is normalized, and 0 divides by zero.
    "layer_norm_eps": _Number(1e-15, 0.01, whole=False),
    "pad_id": _Number(0, 2**20),
    "mask_id": _Number(0, 2**20),
    "token_dropout": _TruthValue(),
}
"""By our names."""


def require_sizes(sizes: Mapping[str, Any], names: Mapping[str, str], refuse: Callable[[str], NoReturn]) -> None:
    """Refuse sizes that no network could have, all of them at once.

    Parameters
    ----------
    sizes
        By our names; ``hidden_size`` and ``n_heads`` are among them.
    names
        What a file calls them, by our names.
    refuse
        Raises for the file, given what it has and what was expected.
    """
    if wrong := [
        f"{names[ours]}={shortened(value)}, expected {EXPECTED[ours]}"
        for ours, value in sizes.items()
        if not EXPECTED[ours].holds(value)
    ]:
        refuse(f"has {'; '.join(wrong)}")
    width, heads = sizes["hidden_size"], sizes["n_heads"]
    if width % heads:
        refuse(
            f"has {names['hidden_size']}={width} and {names['n_heads']}={heads}, expected heads of equal width: "
            "a number of heads that divides the size"
        )
