"""Every method that has a name. A new one is a file, a published system a folder, and one entry here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pandas as pd

from .._checks import make
from ._baselines import HARMONY_LR, LSI_KNN, LSI_LR, NEAREST_CENTROID, SPECTRAL_LR
from ._method import Method
from ._robust import ROBUST
from .annatac import ANNATAC
from .scllmda import SCLLMDA
from .seqalignatac import SEQALIGNATAC

METHODS = {
    method.name: method
    for method in (
        ROBUST,
        SCLLMDA,
        SEQALIGNATAC,
        ANNATAC,
        LSI_KNN,
        LSI_LR,
        HARMONY_LR,
        SPECTRAL_LR,
        NEAREST_CENTROID,
    )
}


def get(method: str | Method) -> Method:
    """Return a method by its name; a method is returned as it is.

    Raises
    ------
    ValueError
        Unknown name; the known ones are listed.
    TypeError
        Neither a name nor a method.
    """
    if isinstance(method, Method):
        return method
    if not isinstance(method, str):
        msg = f"Found method={method!r} ({type(method).__name__}); expected a name of sl.get.methods(), or a Method."
        raise TypeError(msg)
    if method not in METHODS:
        close = difflib.get_close_matches(method, METHODS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        msg = f"Unknown method {method!r}; expected one of {sorted(METHODS)}.{hint}"
        raise ValueError(msg)
    return METHODS[method]


def make_recipe(method: str | Method, overrides: Mapping[str, Any] | None) -> Any:
    """Return a method's constants with some of them replaced.

    Raises
    ------
    TypeError, ValueError
        A name is not one of the recipe's, or a value is of another type or out of its range.
    """
    method = get(method)
    return make(method.recipe, overrides, f"method={method.name!r}")


def cell_models() -> list[str]:
    """Return the names of the published systems whose first stage embeds cells by the DNA of their peaks."""
    return [name for name, method in METHODS.items() if method.represent is not None and method.without_sequence]


def pretrained_models() -> list[str]:
    """Return the names of the published systems that can be pre-trained on cells without labels."""
    return [name for name, method in METHODS.items() if method.pretrain is not None]


def table() -> pd.DataFrame:
    """Return a row per method: its description, what it reads, its citation and its recipe with default values."""
    rows = {
        name: {
            "description": method.description,
            "reads": ", ".join(sorted(method.parts(method.recipe()))),
            "citation": method.citation,
            "recipe": ", ".join(f"{f.name}={getattr(method.recipe(), f.name)}" for f in fields(method.recipe)),
        }
        for name, method in METHODS.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
