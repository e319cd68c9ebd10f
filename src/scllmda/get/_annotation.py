"""One annotation as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._anndata import read
from .._checks import checked
from .._keys import AnnotationKeys

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@checked
def annotation(
    adata: AnnData | MuData, key: str = "scllmda", *, proba: bool = False, mod: str = "atac"
) -> pd.DataFrame:
    """Return an annotation as one table.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.annotate` or :func:`scllmda.tl.graph_da_annotate` wrote to.
    key
        Its ``key_added``.
    proba
        Add the probability of each class, as columns named like the classes.
    mod
        Modality of a MuData that holds the peaks.

    Returns
    -------
    A row per cell: ``label`` (after rejection), ``raw`` (before), ``score``, ``novelty``; ``ontology_term_id`` if
    ids were carried over (``ontology_key=``); ``set`` (the types of the prediction set as text, the likeliest first, as
    "B | Pre.B") and ``set_label`` if there are sets (``set_coverage=``); then the classes if ``proba``.

    Raises
    ------
    KeyError
        There is no such annotation.

    See Also
    --------
    scllmda.tl.annotate : Writes what is read here.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> table = sl.get.annotation(query, proba=True)
    >>> table.shape
    (400, 10)
    """
    atac = read(adata, mod=mod)
    keys = AnnotationKeys(key)
    if keys.uns not in atac.uns or keys.score not in atac.obs:
        msg = f"Did not find an annotation {key!r} (.uns[{key!r}], .obs[{keys.score!r}]). Run sl.tl.annotate first."
        raise KeyError(msg)
    columns = {"label": keys.label, "raw": keys.raw, "score": keys.score, "novelty": keys.novelty}
    if "ontology" in atac.uns[keys.uns]:
        columns["ontology_term_id"] = keys.ontology
    table = pd.DataFrame({name: atac.obs[slot] for name, slot in columns.items()})
    if "sets" in atac.uns[keys.uns]:
        table["set"], table["set_label"] = _as_text(atac, keys), atac.obs[keys.set_label]
    if not proba:
        return table
    # Not joined: a class may be named like a column.
    return pd.concat([table, atac.obsm[keys.proba].set_axis(list(atac.uns[keys.uns]["classes"]), axis=1)], axis=1)


def _as_text(adata: AnnData, keys: AnnotationKeys) -> list[str]:
    """Return the prediction set of each cell, the likeliest type first."""
    classes = np.asarray(adata.uns[keys.uns]["classes"])
    members, proba = (adata.obsm[slot].to_numpy() for slot in (keys.members, keys.proba))
    order = np.argsort(-proba, axis=1, kind="stable")
    return [" | ".join(classes[likely[of_cell[likely]]]) for of_cell, likely in zip(members, order, strict=True)]
