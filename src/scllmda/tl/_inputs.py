"""Who is annotated from whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._anndata import load, obs_column, read
from ._labels import Labels, encode_batches, encode_labels, require_columns, require_query
from ._ontology import terms_of_labels

if TYPE_CHECKING:
    from mudata import MuData


@dataclass(frozen=True)
class Inputs:
    """What is annotated from what, in the order of the user's objects."""

    known: AnnData
    """Holds the labeled cells."""
    labeled: NDArray[np.intp]
    """Their positions in it."""
    labels: Labels
    terms: dict[str, str]
    """Ontology ids by label, where there are some."""
    codes: NDArray[np.integer]
    """(n_cells,) of labeled reference cells, then the query (-1); of one object in its order."""
    batch: NDArray[np.integer] | None
    """(n_cells,) batch codes of the reference's cells."""
    written: NDArray[np.intp]
    """Positions, among these cells, of those of the object that is written to."""


def inputs_of_one(
    data: AnnData | MuData,
    target: AnnData,
    levels: Sequence[str],
    ontology: Sequence[str],
    unlabeled: str | int | Sequence[str],
    batch_key: str | None,
) -> Inputs:
    """Read labels of an object with labeled and unlabeled cells."""
    labels = encode_labels([obs_column(data, target, key) for key in levels], unlabeled)
    require_query(labels.codes, levels[-1], unlabeled)
    require_columns(labels, levels[-1], target.obs_names.name)
    ids = [obs_column(data, target, key, parameter="ontology_key") for key in ontology]
    terms = terms_of_labels(labels, levels, ids, unlabeled)
    batch = None
    if batch_key is not None:
        batch = encode_batches(obs_column(data, target, batch_key, parameter="batch_key"))
    labeled = np.flatnonzero(labels.codes >= 0)
    return Inputs(target, labeled, labels, terms, labels.codes, batch, np.arange(target.n_obs))


def inputs_of_two(
    target: AnnData,
    reference: AnnData | MuData | str | PathLike[str],
    levels: Sequence[str],
    ontology: Sequence[str],
    unlabeled: str | int | Sequence[str],
    batch_key: str | None,
    mod: str,
) -> Inputs:
    """Read labels of a reference; those of the query are not looked at."""
    if target.n_obs == 0:
        msg = "The query has no cells; expected at least one."
        raise ValueError(msg)
    data = load(reference)
    known = read(data, mod=mod, what="reference")
    labels = encode_labels(
        [obs_column(data, known, key, what="reference") for key in levels], unlabeled, what="reference"
    )
    require_columns(labels, levels[-1], target.obs_names.name)
    ids = [obs_column(data, known, key, parameter="ontology_key", what="reference") for key in ontology]
    terms = terms_of_labels(labels, levels, ids, unlabeled, what="reference")
    labeled = np.flatnonzero(labels.codes >= 0)
    batch = None
    if batch_key is not None:
        batch = encode_batches(obs_column(data, known, batch_key, parameter="batch_key", what="reference"))
        batch = np.concatenate([batch[labeled], np.full(target.n_obs, -1)])
    codes = np.concatenate([labels.codes[labeled], np.full(target.n_obs, -1)])
    return Inputs(known, labeled, labels, terms, codes, batch, np.arange(len(labeled), len(codes)))
