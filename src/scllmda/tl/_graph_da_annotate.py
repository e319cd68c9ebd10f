"""Labels from a representation, by graph domain adaptation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _logging as logg
from .._anndata import obs_column, resolve, write_slots
from .._checks import checked
from .._keys import CELL_EMBEDDING
from ..methods import Cells, annotate_cells, make_novelty_recipe, make_recipe
from ._annotation_report import warn_of_shift
from ._annotation_slots import annotation_slots, claim_annotation
from ._labels import as_levels, encode_batches, encode_labels, require_columns, require_query
from ._params import storable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData
    from mudata import MuData


@checked
def graph_da_annotate(
    adata: AnnData | MuData,
    labels_key: str | Sequence[str],
    *,
    use_rep: str = CELL_EMBEDDING,
    method: str = "robust",
    recipe: Mapping[str, Any] | None = None,
    unlabeled: str | int | Sequence[str] = "unknown",
    batch_key: str | None = None,
    n_neighbors: int = 15,
    max_false_rejection: float | None = 0.01,
    novelty_recipe: Mapping[str, Any] | None = None,
    min_probability: float = 0.5,
    majority_voting: str | None = None,
    key_added: str = "scllmda",
    rng: int | np.random.Generator = 0,
    device: str = "auto",
    mod: str = "atac",
    copy: bool = False,
) -> AnnData | MuData | None:
    """Annotate the unlabeled cells of one object from its labeled ones, in a representation they share.

    Parameters
    ----------
    adata
        Labeled (reference) and unlabeled (query) cells with a joint representation, e.g. of
        :func:`scllmda.tl.cell_embeddings`.
    labels_key
        Column of ``.obs`` with cell types; or several from coarse to fine (``["lineage", "cell_type"]``), where each
        label is a part of one coarser label: a cell may be certain of its lineage and silent on the rest. Labels of
        unlabeled cells, those without the finest label, are not read.
    use_rep
        Key of ``.obsm``. Cells that are zero throughout (no open peak) get ``"Unassigned"`` with score 0.
    method
        Annotator; ``sl.get.methods()`` lists them. Of the baselines that have a representation of their own in
        :func:`scllmda.tl.annotate`, the classifier runs on ``use_rep``; ``"harmony_lr"`` mixes it by Harmony first.
    recipe
        Constants of the method to replace, e.g. ``{"n_epochs": 122}`` for ``"scllmda"``; ``sl.get.methods()`` shows
        them.
    unlabeled
        Label that marks a cell as unlabeled, or several such, besides missing ones.
    batch_key
        Column of ``.obs`` with batches or donors of the reference, held out in turn for calibration. Never read for
        query cells.
    n_neighbors
        Neighbors per cell in the graphs; 15 is scanpy's default, the papers name none.
    max_false_rejection
        Cells more novel than all but this share of the reference's own are ``"Unassigned"``; None rejects none. What
        share of a query's known cells that is depends on how far the domains are apart.
    novelty_recipe
        Constants of novelty and rejection to replace, such as ``{"n_dims": 32}``; see
        ``scllmda.calibration.NoveltyRecipe``.
    min_probability
        With several columns in ``labels_key``, least probability of a label finer than the coarsest: a cell gets the
        finest label that has it, 0.5 being as likely as not. The probability of a label is the sum over its parts.
    majority_voting
        Column of ``.obs`` with a clustering (``"leiden"``): query cells get the label, or the rejection, that most of
        those of their cluster have, as in CellTypist. Raw labels, scores and probabilities stay the cell's own.
    key_added
        Prefix of the slots.
    rng
        Seed or generator; the same gives the same bytes.
    device
        Torch device of methods that train a network; "auto" takes a GPU when there is one.
    mod
        Modality of a MuData that holds the peaks.
    copy
        Work on a copy and return it.

    Returns
    -------
    None, or the copy if ``copy``. Sets, with ``key`` for ``key_added``:

    ``.obs[key]``, ``.obs[f"{key}_raw"]``
        Labels after and before rejection (category); the latter are of the finest column throughout. ``"Unassigned"``
        for cells that are too novel. Labeled cells keep theirs.
    ``.obs[f"{key}_score"]``
        Probability of the raw label; 1 for labeled cells.
    ``.obs[f"{key}_novelty"]``
        0-1: share of reference cells that are less remote from the rest of the reference, as distance and compared with
        cells around, both smoothed over the graphs; 0 for labeled cells.
    ``.obsm[f"{key}_proba"]``
        DataFrame with a column per class ("/" in names reads U+2215, the division slash).
    ``.obsm[f"X_{key}_da"]``
        Aligned representation.
    ``.obsp[f"{key}_connectivities"]``, ``.obsp[f"{key}_ppmi"]``
        kNN and PPMI graphs, without edges between reference and query.
    ``.uns[key]``
        ``params``, ``classes``, ``history``, ``coverage``, ``reference``.

    Raises
    ------
    KeyError
        No such label, batch or cluster column, or representation.
    ValueError
        No cell or no second class is labeled; no cell is unlabeled; NaN in the representation; unknown method, or
        constant in ``recipe``; ``n_neighbors`` below 1; a "/" in ``key_added``.
    ImportError
        Harmony is not installed (``method="harmony_lr"``).

    Examples
    --------
    >>> import anndata as ad
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate(shift=0)
    >>> query.obs["cell_type"] = "unknown"
    >>> adata = ad.concat([reference, query])
    >>> sl.tl.cell_embeddings(adata)
    >>> sl.tl.graph_da_annotate(adata, "cell_type")
    """
    data, atac = resolve(adata, mod=mod, copy=copy)
    settings, levels = make_recipe(method, recipe), as_levels(labels_key)
    of_novelty = make_novelty_recipe(novelty_recipe)
    claim_annotation(
        atac, key_added, labels_key=levels, batch_key=batch_key, majority_voting=majority_voting, use_rep=use_rep
    )
    labels = encode_labels([obs_column(data, atac, key) for key in levels], unlabeled)
    if use_rep not in atac.obsm:
        msg = f"Did not find .obsm[{use_rep!r}], only {sorted(atac.obsm)}. Run sl.tl.cell_embeddings(adata) first."
        raise KeyError(msg)
    X = np.asarray(atac.obsm[use_rep], dtype=np.float32)
    if not np.isfinite(X).all():
        msg = f".obsm[{use_rep!r}] holds NaN or infinite values; expected finite ones. Compute it again."
        raise ValueError(msg)
    batch = None if batch_key is None else encode_batches(obs_column(data, atac, batch_key, parameter="batch_key"))
    clusters = None
    if majority_voting is not None:
        clusters = obs_column(data, atac, majority_voting, parameter="majority_voting")
    require_query(labels.codes, levels[-1], unlabeled)
    require_columns(labels, levels[-1], atac.obs_names.name)

    n_query = int((labels.codes < 0).sum())
    start = logg.info(f"annotating {n_query} cells from {len(X) - n_query} with {method!r}")
    annotation = annotate_cells(
        Cells(X),
        labels.codes,
        len(labels.classes),
        method=method,
        recipe=recipe,
        n_neighbors=n_neighbors,
        max_false_rejection=max_false_rejection,
        novelty_recipe=novelty_recipe,
        batch=batch,
        rng=np.random.default_rng(rng),
        device=device,
    )
    uns = {
        "params": storable(
            method=method,
            recipe=settings,
            labels_key=labels_key,
            use_rep=use_rep,
            unlabeled=unlabeled,
            batch_key=batch_key,
            n_neighbors=n_neighbors,
            max_false_rejection=max_false_rejection,
            novelty_recipe=of_novelty,
            min_probability=min_probability,
            majority_voting=majority_voting,
            rng=rng,
        ),
        "coverage": {"n_cells_without_peaks": int((~X.any(axis=1)).sum())},
        "reference": {"n_cells": len(X) - n_query, "labels_key": levels[-1]},
    }
    slots = annotation_slots(
        key_added,
        annotation,
        labels,
        np.arange(len(X)),
        atac.obs_names,
        uns,
        min_probability=min_probability,
        clusters=clusters,
    )
    write_slots(atac, slots, start=start)
    rejects, large_shift = max_false_rejection is not None, of_novelty.large_shift
    warn_of_shift(annotation.shift, n_query, key_added, rejects=rejects, large_shift=large_shift)
    return data if copy else None
