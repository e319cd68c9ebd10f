from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._anndata import claim_slots
from .._keys import UNASSIGNED, AnnotationKeys, class_column
from ..methods import Annotation, finest_label, majority_label
from ._labels import Labels
from ._ontology import terms_of_cells


def claim_annotation(
    adata: AnnData,
    key: str,
    labels_key: Sequence[str] = (),
    batch_key: str | None = None,
    ontology_key: Sequence[str] = (),
    *,
    with_ontology: bool = False,
    with_evidence: bool = False,
    majority_voting: str | None = None,
    use_rep: str | None = None,
) -> None:
    """Make sure, before any work, that an annotation can be written under ``key``.

    Parameters
    ----------
    adata
        Object that will be written to.
    key
        ``key_added``.
    labels_key, batch_key, ontology_key, majority_voting
        Columns that are read of this object.
    with_ontology
        Whether ontology ids will be written too.
    with_evidence
        Whether what labels rest on will be written too.
    use_rep
        Representation that is read of it.
    """
    keys, found = AnnotationKeys(key), adata.uns.get(key)
    read = {("obs", level): "labels_key" for level in labels_key}
    columns = (
        ("obs", batch_key, "batch_key"),
        ("obs", majority_voting, "majority_voting"),
        ("obsm", use_rep, "use_rep"),
    )
    read |= {(attr, name): what for attr, name, what in columns if name is not None}
    read |= {("obs", column): "ontology_key" for column in ontology_key}
    is_ours = isinstance(found, Mapping) and {"classes", "params"} <= set(found)
    claim_slots(adata, keys.slots, read=read, is_ours=is_ours)
    if with_ontology:
        claim_slots(adata, [("obs", keys.ontology)], read=read, is_ours=is_ours and "ontology" in found)
    if with_evidence:
        claim_slots(adata, keys.evidence, read=read, is_ours=is_ours and "evidence" in found)


def forget_ontology(adata: AnnData, key: str) -> None:
    """Remove the ids of an earlier annotation under ``key``, so that they do not stand beside labels of another."""
    keys, found = AnnotationKeys(key), adata.uns.get(key)
    if isinstance(found, Mapping) and "ontology" in found and keys.ontology in adata.obs:
        del adata.obs[keys.ontology]


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
        ("obsp", keys.connectivities): annotation.connectivities[cells][:, cells],
        ("obsp", keys.ppmi): annotation.ppmi[cells][:, cells],
        ("uns", keys.uns): {"classes": classes, "history": dict(annotation.history), **uns},
    }
    if terms:
        slots["obs", keys.ontology] = terms_of_cells(label, terms)
        # Not keyed by label: files cannot hold a "/" in a key.
        slots["uns", keys.uns]["ontology"] = {"label": _as_array(terms), "term_id": _as_array(terms.values())}
    return slots


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
