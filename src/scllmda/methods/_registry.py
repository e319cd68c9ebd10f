"""Every method that has a name. A new one is a file, a published system a folder, and one entry here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pandas as pd

from .._checks import make
from ._baselines import HARMONY_LR, LSI_KNN, LSI_LR, NEAREST_CENTROID, SPECTRAL_LR
from ._expression import ExpressionMethod
from ._method import Method
from ._ridge import RIDGE
from ._robust import ROBUST
from .annatac import ANNATAC
from .epifoundation import EPIFOUNDATION, EPIFOUNDATION_EXPRESSION
from .scllmda import SCLLMDA
from .seqalignatac import SEQALIGNATAC

METHODS = {
    method.name: method
    for method in (
        ROBUST,
        SCLLMDA,
        SEQALIGNATAC,
        ANNATAC,
        EPIFOUNDATION,
        LSI_KNN,
        LSI_LR,
        HARMONY_LR,
        SPECTRAL_LR,
        NEAREST_CENTROID,
    )
}

EXPRESSION_METHODS = {method.name: method for method in (RIDGE, EPIFOUNDATION_EXPRESSION)}
"""Methods that foretell expression; the first is the default."""


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
    _require_known(method, METHODS)
    return METHODS[method]


def _require_known(method: str, known: Mapping[str, Any]) -> None:
    if method not in known:
        close = difflib.get_close_matches(method, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        msg = f"Unknown method {method!r}; expected one of {sorted(known)}.{hint}"
        raise ValueError(msg)


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


def embedding_models() -> list[str]:
    """Return the names of the published systems that embed cells by the weights of a pre-training."""
    return [name for name, method in METHODS.items() if method.embed is not None]


def expression_method(method: str, *, by_weights: bool) -> ExpressionMethod:
    """Return a method that foretells expression.

    Parameters
    ----------
    method
        Its name; "auto" is the first that can do it.
    by_weights
        Whether it has to do without a reference, by the weights of a pre-training.

    Raises
    ------
    ValueError
        Unknown name; the known ones are listed. A method without weights.
    """
    able = {name: found for name, found in EXPRESSION_METHODS.items() if found.predict_by_weights or not by_weights}
    if method == "auto":
        return next(iter(able.values()))
    _require_known(method, EXPRESSION_METHODS)
    if method not in able:
        msg = (
            f"method={method!r} has no weights, and the reference is a folder with some; expected a MuData with open "
            f"peaks and expression, or one of {list(able)}."
        )
        raise ValueError(msg)
    return able[method]


def make_expression_recipe(method: ExpressionMethod, overrides: Mapping[str, Any] | None) -> Any:
    """Return the constants of a method that foretells expression, with some of them replaced.

    Raises
    ------
    TypeError, ValueError
        A name is not one of the recipe's, or a value is of another type or out of its range.
    """
    return make(method.recipe, overrides, f"method={method.name!r}")


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
