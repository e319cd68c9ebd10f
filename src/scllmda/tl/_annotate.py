"""Labels for a query in one call."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData

from .. import _logging as logg
from .._anndata import load, obs_column, read, require_unique_peaks, resolve, write_slots
from ..methods import annotate_cells, make_recipe
from ._annotation_slots import annotation_slots
from ._embed_jointly import embed_in_frozen_space, embed_one_object, embed_two_objects
from ._embed_peaks import pick_encoder
from ._labels import as_levels, encode_batches, encode_labels, require_columns, require_query
from ._params import require_positive, require_share, require_slot_name, storable
from ._represent_jointly import (
    has_own_representation,
    represent_one_object,
    represent_two_objects,
    require_counts,
)
from ._sequences import Sequences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mudata import MuData

    from ..encoders import PeakEncoder


def annotate(
    adata: AnnData | MuData,
    reference: AnnData | MuData | str | PathLike[str] | None = None,
    *,
    labels_key: str | Sequence[str] = "cell_type",
    method: str = "robust",
    recipe: Mapping[str, Any] | None = None,
    encoder: str | PeakEncoder = "kmer",
    genome: Any = None,
    unlabeled: str = "unknown",
    batch_key: str | None = None,
    layer: str | None = None,
    n_latent: int = 128,
    n_neighbors: int = 15,
    max_false_rejection: float | None = 0.01,
    min_probability: float = 0.5,
    majority_voting: str | None = None,
    min_overlap: float = 0.5,
    chain: str | PathLike[str] | None = None,
    frozen: bool = False,
    key_added: str = "scllmda",
    rng: int | np.random.Generator = 0,
    device: str = "auto",
    mod: str = "atac",
    copy: bool = False,
) -> AnnData | MuData | None:
    """Annotate unlabelled cells from labelled ones: match peaks, embed peaks and cells, carry labels over.

    Parameters
    ----------
    adata
        Query: cells × peaks with raw or binary counts. Without ``reference``, labelled and unlabelled cells in one
        object.
    reference
        Labelled cells, as object or path (``.h5ad``, ``.h5mu``, ``.zarr``). Never written to. Every cell of ``adata``
        is a query cell then, and ``adata.obs[labels_key]`` is not read.
    labels_key
        Column of the reference's ``.obs`` with cell types; or several from coarse to fine, as ``["lineage",
        "cell_type"]``, where each label is a part of one coarser label: a cell may be certain of its lineage and silent
        on the rest.
    method
        Annotator; ``sl.get.methods()`` lists them. The baselines (``"lsi_knn"``, ``"lsi_lr"``, ``"harmony_lr"``,
        ``"spectral_lr"``, ``"nearest_centroid"``) make their own representation of the counts on shared peaks: they
        read neither sequence nor ``n_latent``, and cannot be ``frozen``.
    recipe
        Constants of the method to replace; ``sl.get.methods()`` shows them.
    encoder
        Whose peak embeddings to use: name (``sl.get.encoders()``) or object. Taken from ``.varm[f"X_{encoder}"]``, else
        computed from ``.var["sequence"]``, else from ``genome``; without any of them counts alone are used.
    genome
        FASTA of the reference's genome build; as in :func:`scllmda.pp.peak_sequences`.
    unlabeled
        Label that marks a cell as unlabelled, besides a missing one. Such reference cells are left out.
    batch_key
        Column of the reference's ``.obs`` with batches or donors, held out in turn for calibration. Never read for
        query cells.
    layer
        Layer with the counts, of both objects; ``.X`` if None.
    n_latent
        Dimensions of the cell embedding, at most; the default method reads the 64 principal ones.
    n_neighbors
        Neighbours per cell in the graphs; 15 is scanpy's default, the papers name none.
    max_false_rejection
        Cells more novel than all but this share of the reference's own are ``"Unassigned"``; None rejects none. What
        share of a query's known cells that is depends on how far the domains are apart.
    min_probability
        With several columns in ``labels_key``, least probability of a label finer than the coarsest: a cell gets the
        finest label that has it, 0.5 being as likely as not. The probability of a label is the sum over its parts.
    majority_voting
        Column of ``.obs`` with a clustering (``"leiden"``): query cells get the label, or the rejection, that most of
        those of their cluster have, as in CellTypist. Raw labels, scores and probabilities stay the cell's own.
    min_overlap
        Smallest overlap of a query and a reference peak; as in :func:`scllmda.pp.match_peaks`.
    chain
        UCSC chain file from the query's genome build to the reference's; as there.
    frozen
        Map the query to the space that :func:`scllmda.tl.cell_embeddings` fitted to the reference
        (:func:`scllmda.tl.map_cells`) instead of embedding both jointly: quicker, and a cell's vector does not depend
        on the other query cells, but less accurate. Always so if the reference has no counts
        (:func:`scllmda.get.portable_reference`).
    key_added
        Prefix of the slots.
    rng
        Seed or generator; the same gives the same bytes.
    device
        Torch device of networks; "auto" takes a GPU when there is one.
    mod
        Modality of a MuData that holds the peaks.
    copy
        Work on a copy and return it.

    Returns
    -------
    None, or the copy if ``copy``. Sets, with ``key`` for ``key_added``, and nothing else:

    ``.obs[key]``, ``.obs[f"{key}_raw"]``
        Labels after and before rejection (category); the latter are of the finest column throughout. ``"Unassigned"``
        for cells that are too novel, and for those without any open peak. Cells that came with a label keep it.
    ``.obs[f"{key}_score"]``
        Calibrated probability of the raw label, 0 for cells without any open peak.
    ``.obs[f"{key}_novelty"]``
        0-1: share of reference cells that are less remote from the rest of the reference, as distance and compared with
        cells around, both smoothed over the graphs.
    ``.obsm[f"{key}_proba"]``
        DataFrame with a column per class ("/" in names reads U+2215, the division slash).
    ``.obsm[f"X_{key}_da"]``
        Aligned representation.
    ``.obsp[f"{key}_connectivities"]``, ``.obsp[f"{key}_ppmi"]``
        kNN and PPMI graphs of the written cells, without edges between reference and query.
    ``.uns[key]``
        ``params``, ``classes``, ``history``, ``coverage`` (peaks matched and used, where sequence came from, what share
        of the loadings it predicts on held-out peaks), ``reference`` (with
        ``reference=``, its cells' aligned representation and label codes, for plots).

    Raises
    ------
    KeyError
        No such label, batch or cluster column, layer or modality.
    ValueError
        No cell or no second class is labelled; no query cell; no shared peak; repeated peak names; negative, NaN or
        infinite counts; no known base under any peak; peak embeddings of the wrong shape, or nothing but NaN; unknown
        method, recipe constant or encoder; a number below 1, or no share; a "/" in ``key_added``; a path of another
        kind; a baseline with a frozen reference.
    TypeError
        Neither AnnData nor MuData; no encoder.
    FileNotFoundError
        No such reference or genome.
    ImportError
        Harmony is not installed (``method="harmony_lr"``).

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> sl.get.annotation(query).columns.tolist()
    ['label', 'raw', 'score', 'novelty']
    """
    data, target = resolve(adata, mod=mod, copy=copy)
    settings, levels = make_recipe(method, recipe), as_levels(labels_key)
    require_positive(n_latent=n_latent, n_neighbors=n_neighbors)
    require_share(max_false_rejection=max_false_rejection, min_probability=min_probability)
    require_slot_name(key_added)
    # The device is for networks; an encoder that is given has its own.
    encoder = pick_encoder(encoder, device if isinstance(encoder, str) else "auto")
    generator = np.random.default_rng(rng)
    clusters = None
    if majority_voting is not None:
        clusters = obs_column(data, target, majority_voting, parameter="majority_voting")
    start = logg.info("annotating")
    sequences = Sequences(encoder, genome)
    if reference is None:
        labels = encode_labels([obs_column(data, target, key) for key in levels], unlabeled)
        require_query(labels.codes, levels[-1], unlabeled)
        require_columns(labels, levels[-1], target.obs_names.name)
        batch = (
            None if batch_key is None else encode_batches(obs_column(data, target, batch_key, parameter="batch_key"))
        )
        require_unique_peaks(target)
        codes, written = labels.codes, np.arange(target.n_obs)
        if has_own_representation(method):
            embedded = represent_one_object(target, codes, batch, layer, method, settings, generator)
        else:
            embedded = embed_one_object(target, codes, sequences, layer, n_latent, generator)
    else:
        if target.n_obs == 0:
            msg = "The query has no cells; expected at least one."
            raise ValueError(msg)
        reference_data = load(reference)
        known = read(reference_data, mod=mod)
        labels = encode_labels([obs_column(reference_data, known, key) for key in levels], unlabeled)
        require_columns(labels, levels[-1], target.obs_names.name)
        labelled = np.flatnonzero(labels.codes >= 0)
        batch = None
        if batch_key is not None:
            batch = encode_batches(obs_column(reference_data, known, batch_key, parameter="batch_key"))
            batch = np.concatenate([batch[labelled], np.full(target.n_obs, -1)])
        codes = np.concatenate([labels.codes[labelled], np.full(target.n_obs, -1)])
        written = np.arange(len(labelled), len(codes))
        pairing = {"min_overlap": min_overlap, "chain": chain}
        if frozen or (known.X is None and layer not in known.layers):
            require_counts(method)
            embedded = embed_in_frozen_space(target, known, labelled, sequences, layer, pairing)
        elif has_own_representation(method):
            embedded = represent_two_objects(
                target, known, labelled, codes, batch, layer, pairing, method, settings, generator
            )
        else:
            embedded = embed_two_objects(target, known, labelled, sequences, layer, pairing, n_latent, generator)
    n_query = int((codes < 0).sum())
    logg.info(
        f"    {n_query} query and {len(codes) - n_query} reference cells, {embedded.coverage['n_used']} peaks used, "
        f"sequence: {embedded.coverage['sequence']}, method: {method}"
    )
    annotation = annotate_cells(
        embedded.cells,
        codes,
        len(labels.classes),
        method=method,
        recipe=recipe,
        n_neighbors=n_neighbors,
        max_false_rejection=max_false_rejection,
        batch=batch,
        rng=generator,
        device=device,
    )
    kept: dict[str, Any] = {"n_cells": len(codes) - n_query, "labels_key": levels[-1]}
    if reference is not None:
        kept |= {"X_da": annotation.aligned[codes >= 0], "codes": codes[codes >= 0]}
    uns = {
        "params": storable(
            method=method,
            recipe=settings,
            labels_key=labels_key,
            encoder=encoder.name,
            unlabeled=unlabeled,
            batch_key=batch_key,
            layer=layer,
            n_latent=embedded.cells.shape[1],
            n_neighbors=n_neighbors,
            max_false_rejection=max_false_rejection,
            min_probability=min_probability,
            majority_voting=majority_voting,
            min_overlap=min_overlap,
            rng=rng,
        ),
        "coverage": embedded.coverage,
        "reference": kept,
    }
    slots = annotation_slots(
        key_added,
        annotation,
        labels.levels,
        written,
        target.obs_names,
        uns,
        min_probability=min_probability,
        clusters=clusters,
    )
    write_slots(target, slots, start=start)
    return data if copy else None
