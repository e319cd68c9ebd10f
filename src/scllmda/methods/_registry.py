from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from ._robust import RobustRecipe, robust
from ._scllmda import ScllmdaRecipe, scllmda
from ._task import Result, Task


@dataclass(frozen=True)
class Method:
    """An annotator and what to know of it."""

    function: Callable[[Task, Any], Result]
    recipe: type
    """Frozen dataclass of its constants, each with its source."""
    description: str
    citation: str


METHODS = {
    "robust": Method(
        robust, RobustRecipe, "Logistic regressions on nested subspaces, smoothed over the graph, calibrated", "scllmda"
    ),
    "scllmda": Method(
        scllmda,
        ScllmdaRecipe,
        "Graph convolutions on kNN and PPMI graphs with a domain adversary",
        "Liu et al. 2026, PLoS Comput Biol 22(4):e1014226",
    ),
}


def get(name: str) -> Method:
    """Return a method by its name.

    Raises
    ------
    ValueError
        Unknown name; the known ones are listed.
    """
    if name not in METHODS:
        close = difflib.get_close_matches(str(name), METHODS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        msg = f"Unknown method {name!r}; expected one of {sorted(METHODS)}.{hint}"
        raise ValueError(msg)
    return METHODS[name]


def make_recipe(name: str, overrides: Mapping[str, Any] | None) -> Any:
    """Return a method's constants with some of them replaced.

    Raises
    ------
    ValueError
        A name is not one of the recipe's.
    """
    recipe = get(name).recipe
    overrides = dict(overrides or {})
    known = [f.name for f in fields(recipe)]
    if unknown := sorted(set(overrides) - set(known)):
        msg = f"method={name!r} has no {unknown} in its recipe; it has {known}."
        raise ValueError(msg)
    return recipe(**overrides)


def table() -> pd.DataFrame:
    """Return a row per method: its description, citation and recipe with default values."""
    rows = {
        name: {
            "description": method.description,
            "citation": method.citation,
            "recipe": ", ".join(f"{f.name}={f.default}" for f in fields(method.recipe)),
        }
        for name, method in METHODS.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
