"""From a source of cells to slots of the user's object: the body that all annotations share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._anndata import write_slots
from .._keys import AnnotationKeys
from ..methods import Annotation, run
from ._annotation_report import contradicted, report
from ._annotation_slots import annotation_slots, forget_earlier
from ._choices import Choices
from ._clusters import leiden
from ._evidence_slots import evidence_slots
from ._inputs import Inputs
from ._labels import as_levels
from ._sequences import unused_sequences
from ._sources import SpaceSource

if TYPE_CHECKING:
    import datetime

    import pandas as pd


def label_cells(
    adata: AnnData,
    inputs: Inputs,
    source: SpaceSource,
    choices: Choices,
    *,
    clusters: pd.Series | None,
    params: Mapping[str, Any],
    start: datetime.datetime | None,
) -> None:
    """Run the method, write all slots at once, and say what was found.

    Parameters
    ----------
    adata
        Object that is written to.
    inputs
        Who is annotated from whom.
    source
        Of all cells.
    choices
        Method and what else was chosen.
    clusters
        (n_obs,) clustering that votes, if a column was given.
    params
        For ``.uns``, besides those of ``choices`` and the number of dimensions.
    start
        When the work began.
    """
    at, codes = np.argsort(source.order), inputs.codes[source.order]
    annotation = run(
        source,
        codes,
        len(inputs.labels.classes),
        method=choices.method,
        recipe=choices.recipe,
        rng=choices.rng,
        novelty_recipe=choices.novelty,
        n_neighbors=choices.n_neighbors,
        max_false_rejection=choices.max_false_rejection,
        set_coverage=choices.set_coverage,
        batch=None if inputs.batch is None else inputs.batch[source.order],
        key=None if inputs.known is adata else _keys_of_names(inputs)[source.order],
        device=choices.device,
    )
    written, of_reference = at[inputs.written], at[inputs.codes >= 0]
    voting = _clusters_of_all(annotation)[written] if choices.majority_voting is True else None
    if clusters is not None:
        voting = clusters.astype(object).to_numpy()
    reference = _of_reference(annotation, inputs, codes, of_reference, is_another=inputs.known is not adata)
    reference["labels_key"] = as_levels(params["labels_key"])[-1]
    coverage = {
        **source.coverage,
        **unused_sequences(
            source.sequence_there,
            source.coverage,
            reads=choices.reads_sequence,
            learns=source.encoder_learns,
            frozen=source.is_frozen,
        ),
    }
    of_call = {**params, "n_latent": annotation.n_dims, **choices.params()}
    uns: dict[str, Any] = {"params": of_call, "coverage": coverage, "reference": reference}
    if annotation.sets is not None:
        uns["sets"] = {"coverage": choices.set_coverage, "least": annotation.sets.least}
    slots = annotation_slots(
        choices.key_added,
        annotation,
        inputs.labels,
        written,
        adata.obs_names,
        uns,
        min_probability=choices.min_probability,
        terms=inputs.terms,
        clusters=voting,
    )
    if annotation.model is not None and source.placement is not None:
        of_evidence, slots["uns", choices.key_added]["evidence"] = evidence_slots(
            choices.key_added,
            adata,
            source.placement,
            annotation.model,
            inputs.labels.classes,
            source.n_open(codes),
            np.bincount(codes[codes >= 0], minlength=len(inputs.labels.classes)),
            written,
        )
        slots |= of_evidence
    forget_earlier(adata, choices.key_added)
    write_slots(adata, slots, start=start)
    keys, is_query = AnnotationKeys(choices.key_added), inputs.codes[inputs.written] < 0
    report(
        slots["obs", keys.label][is_query],
        slots["obs", keys.score][is_query],
        annotation,
        source.coverage,
        choices,
        inputs.labels.classes,
        n_contradicted=len(reference["contradicted"]),
        n_looked_at=(reference.get("n_looked_at", len(of_reference)), len(of_reference)),
        has_sequence=source.has_sequence,
        frozen=source.is_frozen,
    )


def _keys_of_names(inputs: Inputs) -> NDArray[np.uint64]:
    """Return a number of each cell (n_cells,), in the order of ``codes``: a hash of the name, 0 for the query's."""
    import pandas as pd

    keys = np.zeros(len(inputs.codes), dtype=np.uint64)
    names = inputs.known.obs_names[inputs.labeled].to_numpy(dtype=object)
    keys[inputs.codes >= 0] = pd.util.hash_array(names, categorize=False)
    return keys


def _of_reference(
    annotation: Annotation,
    inputs: Inputs,
    codes: NDArray[np.integer],
    of_reference: NDArray[np.intp],
    *,
    is_another: bool,
) -> dict[str, Any]:
    """Return what is kept in ``.uns`` of the reference's cells, which are at ``of_reference`` in the annotation.

    Where they are cells of another object, that is also where they are, and whose; of a very large one, of the cells
    that were looked at.
    """
    looked_at = ~annotation.left_out[of_reference]
    cells, names = of_reference[looked_at], inputs.known.obs_names[inputs.labeled][looked_at]
    found: dict[str, Any] = {
        "n_cells": len(of_reference),
        "contradicted": contradicted(annotation, codes, cells, names),
    }
    if len(cells) < len(of_reference):
        found["n_looked_at"] = len(cells)
    if is_another:
        found |= {"X_da": annotation.aligned[cells], "codes": codes[cells]}
    return found


def _clusters_of_all(annotation: Annotation) -> NDArray[np.object_]:
    """Return (n_cells,) clusters of the query's own graph; reference cells have none."""
    query = np.flatnonzero(annotation.query)
    clusters = np.full(len(annotation.query), None, dtype=object)
    clusters[query] = leiden(annotation.connectivities[query][:, query])
    return clusters
