from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._checks import make
from ._baselines import (
    HarmonyLrRecipe,
    LsiKnnRecipe,
    LsiLrRecipe,
    NearestCentroidRecipe,
    SpectralLrRecipe,
    embed_by_lsi,
    embed_by_means,
    embed_by_spectrum,
    embed_for_harmony,
    harmony_lr,
    logistic_regression,
    nearest_centroid,
    nearest_neighbors,
)
from ._robust import RobustRecipe, robust
from ._scllmda import ScllmdaRecipe, scllmda
from ._seqalignatac import SeqAlignAtacRecipe, seqalignatac
from ._task import Counts, Result, Task


@dataclass(frozen=True)
class Method:
    """An annotator and what to know of it."""

    function: Callable[[Task, Any], Result]
    recipe: type
    """Frozen dataclass of its constants, each with its source."""
    description: str
    citation: str
    representation: Callable[[Counts, Any], NDArray[np.floating]] | None = None
    """Cells from joint counts, (n_cells, k), with the recipe; None for the package's own cell embedding."""


METHODS = {
    "robust": Method(robust, RobustRecipe, "Logistic regressions, smoothed over the graph, calibrated", "scllmda"),
    "scllmda": Method(
        scllmda,
        ScllmdaRecipe,
        "Graph convolutions on kNN and PPMI graphs with a domain adversary",
        "Liu et al. 2026, PLoS Comput Biol 22(4):e1014226",
    ),
    "seqalignatac": Method(
        seqalignatac,
        SeqAlignAtacRecipe,
        "Graph convolutions shallow on the reference and deep on the query, with a domain adversary or MMD",
        "Liu et al. 2025, Bioinformatics, btaf682",
    ),
    "lsi_knn": Method(
        nearest_neighbors,
        LsiKnnRecipe,
        "Baseline: vote of nearest neighbors in LSI",
        "Cusanovich et al. 2015, Science 348:910",
        embed_by_lsi,
    ),
    "lsi_lr": Method(
        logistic_regression,
        LsiLrRecipe,
        "Baseline: logistic regression on LSI",
        "Cusanovich et al. 2015, Science 348:910",
        embed_by_lsi,
    ),
    "harmony_lr": Method(
        harmony_lr,
        HarmonyLrRecipe,
        "Baseline: logistic regression on LSI after Harmony (needs harmonypy)",
        "Korsunsky et al. 2019, Nat Methods 16:1289",
        embed_for_harmony,
    ),
    "spectral_lr": Method(
        logistic_regression,
        SpectralLrRecipe,
        "Baseline: logistic regression on SnapATAC2's spectral embedding",
        "Zhang et al. 2024, Nat Methods 21:217",
        embed_by_spectrum,
    ),
    "nearest_centroid": Method(
        nearest_centroid,
        NearestCentroidRecipe,
        "Baseline: nearest class mean by cosine, on TF-IDF of all peaks, calibrated",
        "Manning et al. 2008, Introduction to Information Retrieval, ch. 14",
        embed_by_means,
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
    TypeError, ValueError
        A name is not one of the recipe's, or a value is of another type or out of its range.
    """
    return make(get(name).recipe, overrides, f"method={name!r}")


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
