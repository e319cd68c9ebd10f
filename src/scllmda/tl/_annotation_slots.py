from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._anndata import claim_slots
from .._keys import UNASSIGNED, AnnotationKeys, class_column
from ..methods import Annotation, common_label, finest_label, majority_label
from ._choices import Choices
from ._labels import Labels
from ._ontology import terms_of_cells


def claim_annotation(
    adata: AnnData,
    choices: Choices,
    labels_key: Sequence[str] = (),
    batch_key: str | None = None,
    ontology_key: Sequence[str] = (),
    *,
    with_ontology: bool = False,
    use_rep: str | None = None,
) -> None:
    """Make sure, before any work, that an annotation can be written.

    Parameters
    ----------
    adata
        Object that will be written to.
    choices
        Under which key, whether with prediction sets, and which clustering is read of this object.
    labels_key, batch_key, ontology_key
        Columns that are read of this object too.
    with_ontology
        Whether ontology ids will be written too.
    use_rep
        Representation that is read of it.
    """
    keys, found = AnnotationKeys(choices.key_added), adata.uns.get(choices.key_added)
    read = {("obs", level): "labels_key" for level in labels_key}
    columns = (
        ("obs", batch_key, "batch_key"),
        ("obs", choices.column, "majority_voting"),
        ("obsm", use_rep, "use_rep"),
    )
    read |= {(attr, name): what for attr, name, what in columns if name is not None}
    read |= {("obs", column): "ontology_key" for column in ontology_key}
    is_ours = isinstance(found, Mapping) and {"classes", "params"} <= set(found)
    claim_slots(adata, keys.slots, read=read, is_ours=is_ours)
    if with_ontology:
        claim_slots(adata, [("obs", keys.ontology)], read=read, is_ours=is_ours and "ontology" in found)
    if choices.method.has_evidence and use_rep is None:
        claim_slots(adata, keys.evidence, read=read, is_ours=is_ours and "evidence" in found)
    if choices.set_coverage is not None:
        claim_slots(adata, keys.of_sets, read=read, is_ours=is_ours and "sets" in found)


def forget_earlier(adata: AnnData, key: str) -> None:
    """Remove what not all annotations have of an earlier one under ``key``: it is no matter of another's labels."""
    keys, found = AnnotationKeys(key), adata.uns.get(key)
    parts = {"ontology": [("obs", keys.ontology)], "sets": keys.of_sets, "evidence": keys.evidence}
    for part, slots in parts.items():
        if isinstance(found, Mapping) and part in found:
            for attr, name in slots:
                if name in getattr(adata, attr):
                    del getattr(adata, attr)[name]


def annotation_slots(
    key: str,
    annotation: Annotation,
    labels: Labels,
    cells: NDArray[np.integer],
    obs_names: pd.Index,
    uns: Mapping[str, Any],
    *,
    min_probability: float,
    terms: Mapping[str, str],
    clusters: NDArray[np.object_] | None = None,
) -> dict[tuple[str, str], Any]:
    """Return the slots of an annotation for some of its cells, ready to write.

    Parameters
    ----------
    key
        ``key_added``.
    annotation
        Of all cells.
    labels
        Of the reference.
    cells
        Positions, in the annotation, of the cells of the object that is written to, in its order.
    obs_names
        Their names.
    uns
        What goes to ``.uns[key]`` besides classes and history.
    min_probability
        Of a label finer than the coarsest.
    terms
        Ontology ids by label; without any there is no slot for them.
    clusters
        (n_written,) clustering whose query cells vote, None for no vote.
    """
    keys = AnnotationKeys(key)
    proba = annotation.proba[cells]
    classes, levels, has_counts = labels.classes, labels.levels, proba.any(axis=1)
    raw = np.where(has_counts, classes[proba.argmax(axis=1)], UNASSIGNED)
    label = np.where(annotation.rejected[cells], UNASSIGNED, finest_label(proba, levels, min_probability))
    if clusters is not None:
        label = majority_label(label, clusters, annotation.query[cells] & has_counts)
    columns = [class_column(c) for c in classes]
    slots: dict[tuple[str, str], Any] = {
        ("obs", keys.label): _as_category(label, labels.order),
        ("obs", keys.raw): _as_category(raw, labels.order),
        ("obs", keys.score): proba.max(axis=1),
        ("obs", keys.novelty): annotation.novelty[cells],
        ("obsm", keys.proba): pd.DataFrame(proba, index=obs_names, columns=columns),
        ("obsm", keys.aligned): np.asarray(annotation.aligned[cells], dtype=np.float32),
        ("obsp", keys.connectivities): _among(annotation.connectivities, cells),
        ("obsp", keys.ppmi): _among(annotation.ppmi, cells),
        ("uns", keys.uns): {"classes": classes, "history": dict(annotation.history), **uns},
    }
    if annotation.sets is not None:
        members = annotation.sets.members[cells]
        slots["obsm", keys.members] = pd.DataFrame(members, index=obs_names, columns=columns)
        slots["obs", keys.set_label] = _as_category(common_label(members, levels), labels.order)
    if terms:
        slots["obs", keys.ontology] = terms_of_cells(label, terms)
        # Not keyed by label: files cannot hold a "/" in a key.
        slots["uns", keys.uns]["ontology"] = {"label": _as_array(terms), "term_id": _as_array(terms.values())}
    return slots


def _among(graph: sp.csr_matrix, cells: NDArray[np.integer]) -> sp.csr_matrix:
    """Return the graph among some cells: itself, not a copy, if they are all of them in their order."""
    return graph if np.array_equal(cells, np.arange(graph.shape[0])) else graph[cells][:, cells]


def _as_array(names: Iterable[str]) -> NDArray[np.object_]:
    return np.array(list(names), dtype=object)


def _as_category(labels: NDArray[np.object_], order: Sequence[str]) -> pd.Series:
    """Return labels whose categories are those that occur, in an order, and "Unassigned" last.

    Scanpy and muon cannot group by categories without cells.
    """
    found = set(labels)
    # A reference may have "Unassigned" itself, labeled by this tool before.
    names = [name for name in dict.fromkeys([*order, UNASSIGNED]) if name in found]
    return pd.Series(pd.Categorical(labels, categories=names))
