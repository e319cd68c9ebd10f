"""Recipes that have a published size and a small one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from ._pretraining import PRECISIONS

OF_PRESET: Any = None
"""Default of the constants that ``preset`` sets."""


@dataclass(frozen=True)
class OfRecipe:
    """Some of a recipe's constants, those that a network's shape follows from."""

    @classmethod
    def of(cls, constants: Any) -> Self:
        """Return those of a recipe, or of what a checkpoint says of its own, a mapping."""
        given = constants if isinstance(constants, Mapping) else vars(constants)
        return cls(**{field.name: given[field.name] for field in fields(cls)})


def fill_in_preset(recipe: Any, presets: Mapping[str, Mapping[str, Any]]) -> None:
    """Set the constants of a frozen recipe that its preset sets and the caller did not, and check what all share.

    Parameters
    ----------
    recipe
        With ``preset``, ``precision``, ``n_dims`` and ``n_heads``.
    presets
        Values of constants by preset.

    Raises
    ------
    ValueError
        Unknown preset or precision; heads that do not divide the width.
    """
    if recipe.preset not in presets:
        msg = f"Unknown preset={recipe.preset!r}; expected one of {list(presets)}."
        raise ValueError(msg)
    for name, value in presets[recipe.preset].items():
        if getattr(recipe, name) is OF_PRESET:
            object.__setattr__(recipe, name, value)
    if recipe.precision not in PRECISIONS:
        msg = f"Unknown precision={recipe.precision!r}; expected one of {list(PRECISIONS)}."
        raise ValueError(msg)
    if recipe.n_dims % recipe.n_heads:
        msg = f"Found n_dims={recipe.n_dims} and n_heads={recipe.n_heads}; expected heads that divide the width."
        raise ValueError(msg)
