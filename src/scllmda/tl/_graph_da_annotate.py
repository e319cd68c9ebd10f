"""Labels from a representation, by graph domain adaptation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _logging as logg
from .._anndata import resolve
from .._checks import checked
from .._keys import CELL_EMBEDDING
from ..methods import Cells
from ._annotation_slots import claim_annotation
from ._cell_space import CellSpace
from ._choices import Choices
from ._inputs import inputs_of_one
from ._label_cells import label_cells
from ._labels import as_levels
from ._ontology import as_ontology_columns
from ._params import storable
from ._sources import SpaceSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData
    from mudata import MuData

    from ..methods import Method


@checked
def graph_da_annotate(
    adata: AnnData | MuData,
    labels_key: str | Sequence[str],
    *,
    use_rep: str = CELL_EMBEDDING,
    method: str | Method = "robust",
    recipe: Mapping[str, Any] | None = None,
    unlabeled: str | int | Sequence[str] = "unknown",
    batch_key: str | None = None,
    n_neighbors: int = 15,
    max_false_rejection: float | None = 0.01,
    novelty_recipe: Mapping[str, Any] | None = None,
    min_probability: float = 0.5,
    set_coverage: float | None = None,
    majority_voting: str | bool | None = None,
    ontology_key: str | Sequence[str] | None = None,
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
        Annotator; ``sl.get.methods()`` lists them. Of methods that make a space of their own in
        :func:`scllmda.tl.annotate`, what carries labels over runs on ``use_rep``: the second stage of a published
        system, the classifier of a baseline; ``"harmony_lr"`` mixes it by Harmony first.
    recipe
        Constants of the method to replace, e.g. ``{"n_epochs": 122}`` for ``"scllmda"``; ``sl.get.methods()`` shows
        them. Those of a space that is not made have no effect, and are refused.
    unlabeled
        Label that marks a cell as unlabeled, or several such, besides missing ones.
    batch_key
        Column of ``.obs`` with batches or donors of the reference, held out in turn for calibration. Never read for
        query cells.
    n_neighbors
        Neighbors per cell in the graphs; 15 is scanpy's default, the papers name none.
    max_false_rejection
        Share (0-1) of the reference's own cells that count as novel, which sets how novel a query cell must be to
        become ``"Unassigned"``: with 0.01, more novel than all but 1 % of the reference's cells. Smaller values reject
        fewer cells, None none. It is no promise for the query: from donor to donor of bone marrow 0.5 to 4 % of the
        cells of known types were rejected, and a third between very different platforms. If too many are, keep
        ``.obs[f"{key}_raw"]`` or lower the share. Where too few cells tell how far query and reference are apart, none
        is rejected, and you are warned.
    novelty_recipe
        Constants of novelty and rejection to replace, such as ``{"n_dims": 32}``; see
        ``scllmda.calibration.NoveltyRecipe``.
    min_probability
        With several columns in ``labels_key``, least probability of a label finer than the coarsest: a cell gets the
        finest label that has it, 0.5 being as likely as not. The probability of a label is the sum over its parts.
    set_coverage
        With 0.9, say, each cell gets the set of types that cannot be excluded: of the cells of each type that is alike
        in both, 90 % or more have it in their set (split conformal prediction on held-out reference cells). It is a
        promise between like donors, and none between studies; see the guide. For ``method="robust"``.
    majority_voting
        Query cells get the label, or the rejection, that most of those of their cluster have, as in CellTypist. True
        finds small clusters on the query's own graph (Leiden at CellTypist's resolution; needs igraph, the extra
        ``leiden``); a text is the column of ``.obs`` with a clustering of yours. Raw labels, scores and probabilities
        stay the cell's own.
    ontology_key
        Column of ``.obs`` with ontology ids of the labels, such as "cell_type_ontology_term_id" with
        "CL:0000236", one id for each label. If ``labels_key`` is a list, the ids of its finest column, or a list with a
        column of ids for each. Never read for query cells.
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
    ``.obs[f"{key}_ontology_term_id"]``
        With ``ontology_key``: the id of the label in ``.obs[key]`` (category), missing for ``"Unassigned"`` and for
        labels without id. Without, ids of an earlier call under ``key`` are removed.
    ``.obs[f"{key}_score"]``
        Probability of the raw label; 1 for labeled cells.
    ``.obs[f"{key}_novelty"]``
        How unlike the reference a cell and its neighbors are (0-1): the share of the reference's own cells that lie
        closer to other reference cells than this cell does, after the difference that most types share (the
        platform's) is taken out. It is a rank, not a probability: at 0.5 a cell is as ordinary as the middle of the
        reference, above about 0.99 it is ``"Unassigned"`` by default. A whole cluster of high values may be a type that
        the reference lacks, so look at its marker peaks; high values spread over all types rather mean that platforms
        or depths differ. Cells without an open peak have 1, labeled cells 0.
    ``.obsm[f"{key}_proba"]``
        DataFrame with a column per class ("/" in names reads U+2215, the division slash).
    ``.obsm[f"{key}_set"]``, ``.obs[f"{key}_set_label"]``
        With ``set_coverage``: the prediction sets, a DataFrame of true and false with the same columns; the likeliest
        type is in each, whether or not the cell is rejected, and those of cells without any open peak are empty. And
        the finest label that holds the whole set (category), ``"Unassigned"`` where there is none. Without, those of
        an earlier call under ``key`` are removed.
    ``.obsm[f"X_{key}_da"]``
        Aligned representation.
    ``.obsp[f"{key}_connectivities"]``, ``.obsp[f"{key}_ppmi"]``
        kNN and PPMI graphs, without edges between reference and query.
    ``.uns[key]``
        ``params``, ``classes``, ``history``, ``coverage``, ``reference``; with ``ontology_key``, ``ontology``
        (``label`` and ``term_id``, in one order); with ``set_coverage``, ``sets`` (``coverage``, and ``least``, the
        least probability with which each of the ``classes`` is in a set that it is not the likeliest of).

    Raises
    ------
    KeyError
        No such label, ontology, batch or cluster column, or representation.
    ValueError
        No cell or no second class is labeled; a label has several ontology ids; no cell is unlabeled; NaN in the
        representation; unknown method, or constant in ``recipe``; ``n_neighbors`` below 1; a "/" in ``key_added``;
        prediction sets by a method that holds out no cells.
    ImportError
        Harmony is not installed (``method="harmony_lr"``).

    See Also
    --------
    scllmda.tl.annotate : All steps in one call.
    scllmda.tl.cell_embeddings : Makes a representation.
    scllmda.get.methods : Lists the methods.

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
    choices = Choices.checked(
        method,
        recipe,
        novelty_recipe,
        in_given_space=True,
        n_neighbors=n_neighbors,
        max_false_rejection=max_false_rejection,
        min_probability=min_probability,
        set_coverage=set_coverage,
        majority_voting=majority_voting,
        key_added=key_added,
        device=device,
        rng=rng,
    )
    levels = as_levels(labels_key)
    ids = as_ontology_columns(ontology_key, levels)
    claim_annotation(atac, choices, levels, batch_key, ids, with_ontology=bool(ids), use_rep=use_rep)
    if use_rep not in atac.obsm:
        msg = f"Did not find .obsm[{use_rep!r}], only {sorted(atac.obsm)}. Run sl.tl.cell_embeddings(adata) first."
        raise KeyError(msg)
    X = np.asarray(atac.obsm[use_rep], dtype=np.float32)
    if not np.isfinite(X).all():
        msg = f".obsm[{use_rep!r}] holds NaN or infinite values; expected finite ones. Compute it again."
        raise ValueError(msg)
    inputs = inputs_of_one(data, atac, levels, ids, unlabeled, batch_key)
    clusters = choices.clusters(data, atac)
    n_query = atac.n_obs - len(inputs.labeled)
    start = logg.info(f"annotating {n_query} cells from {len(inputs.labeled)} with {choices.method.name!r}")
    coverage = {"n_cells_without_peaks": int((~X.any(axis=1)).sum())}
    source = SpaceSource(lambda: CellSpace(Cells(X), coverage), len(X))
    params = storable(
        labels_key=labels_key, ontology_key=ontology_key, use_rep=use_rep, unlabeled=unlabeled, batch_key=batch_key
    )
    label_cells(atac, inputs, source, choices, clusters=clusters, params=params, start=start)
    return data if copy else None
