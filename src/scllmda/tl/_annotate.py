"""Labels for a query in one call."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData

from .. import _logging as logg
from .._anndata import load, obs_column, read, require_peaks, resolve, write_slots
from .._checks import checked
from .._counts import counts, has_counts
from .._keys import CELL_EMBEDDING, AnnotationKeys
from ..genomics import fasta_of
from ..methods import annotate_cells, has_own_representation, make_novelty_recipe, make_recipe
from ._annotation_report import contradicted, report
from ._annotation_slots import annotation_slots, claim_annotation
from ._cell_space import (
    frozen_space,
    require_counts,
    require_open_peaks,
    space_of_method,
    space_of_one,
    space_of_two,
)
from ._decoder_slots import is_fitted
from ._embed_peaks import pick_encoder
from ._joint_counts import joint_counts_of_one, joint_counts_of_two
from ._labels import Labels, as_levels, encode_batches, encode_labels, require_columns, require_query
from ._params import require_effect, storable
from ._sequences import Sequences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mudata import MuData
    from numpy.typing import NDArray

    from ..encoders import PeakEncoder


@checked
def annotate(
    adata: AnnData | MuData,
    reference: AnnData | MuData | str | PathLike[str] | None = None,
    *,
    labels_key: str | Sequence[str] = "cell_type",
    method: str = "robust",
    recipe: Mapping[str, Any] | None = None,
    encoder: str | PeakEncoder = "kmer",
    genome: Any = None,
    unlabeled: str | int | Sequence[str] = "unknown",
    batch_key: str | None = None,
    layer: str | None = None,
    reference_layer: str | None = None,
    n_latent: int = 128,
    n_neighbors: int = 15,
    max_false_rejection: float | None = 0.01,
    novelty_recipe: Mapping[str, Any] | None = None,
    min_probability: float = 0.5,
    majority_voting: str | None = None,
    min_overlap: float | None = None,
    chain: str | PathLike[str] | None = None,
    frozen: bool = False,
    key_added: str = "scllmda",
    rng: int | np.random.Generator = 0,
    device: str = "auto",
    mod: str = "atac",
    copy: bool = False,
) -> AnnData | MuData | None:
    """Annotate unlabeled cells from labeled ones: match peaks, embed peaks and cells, carry labels over.

    Parameters
    ----------
    adata
        Query: cells × peaks with raw or binary counts. Without ``reference``, labeled and unlabeled cells in one
        object.
    reference
        Labeled cells, as object or path (``.h5ad``, ``.h5mu``, ``.zarr``). Never written to. Every cell of ``adata``
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
        Label that marks a cell as unlabeled, or several such, besides missing ones. Such reference cells are left out.
    batch_key
        Column of the reference's ``.obs`` with batches or donors, held out in turn for calibration. Never read for
        query cells.
    layer
        Layer with the counts, ``.X`` if None; of both objects, unless ``reference_layer`` is given.
    reference_layer
        Layer of the reference with its counts, where it is another one; "X" for ``.X``.
    n_latent
        Dimensions of the cell embedding, at most; the default method reads the 64 principal ones.
    n_neighbors
        Neighbors per cell in the graphs; 15 is scanpy's default, the papers name none.
    max_false_rejection
        Cells more novel than all but this share of the reference's own are ``"Unassigned"``; None rejects none. What
        share of a query's known cells that is depends on how far the domains are apart; where too few cells tell, none
        is rejected.
    novelty_recipe
        Constants of novelty and rejection to replace, such as ``{"n_dims": 32}``; see
        ``scllmda.calibration.NoveltyRecipe``.
    min_probability
        With several columns in ``labels_key``, least probability of a label finer than the coarsest: a cell gets the
        finest label that has it, 0.5 being as likely as not. The probability of a label is the sum over its parts.
    majority_voting
        Column of ``.obs`` with a clustering (``"leiden"``): query cells get the label, or the rejection, that most of
        those of their cluster have, as in CellTypist. Raw labels, scores and probabilities stay the cell's own.
    min_overlap
        Smallest overlap of a query and a reference peak, 0.5 if None; as in :func:`scllmda.pp.match_peaks`.
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
        of the loadings it predicts on held-out peaks), ``reference`` (names of its cells whose label the others
        contradict; with ``reference=``, its cells' aligned representation and label codes, for plots).

    What was found is said in one line at scanpy's default verbosity, with warnings where it could be wrong.

    Raises
    ------
    KeyError
        No such label, batch or cluster column, layer or modality.
    ValueError
        No cell or no second class is labeled; no query cell; no shared peak; repeated peak names; negative, NaN or
        infinite counts; no known base under any peak; peak embeddings of the wrong shape, or nothing but NaN; unknown
        method, recipe constant or encoder; a number below 1, or no share; a "/" in ``key_added``; a path of another
        kind; a baseline with a frozen reference; a parameter that has no effect in this call.
    TypeError
        Neither AnnData nor MuData; no encoder.
    FileNotFoundError
        No such reference or genome.
    ImportError
        Harmony is not installed (``method="harmony_lr"``), or hdf5plugin, and the reference's file needs it.
    OSError
        The reference's file is damaged.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> sl.get.annotation(query).columns.tolist()
    ['label', 'raw', 'score', 'novelty']
    """
    data, target = resolve(adata, mod=mod, copy=copy, what="query")
    settings, levels = make_recipe(method, recipe), as_levels(labels_key)
    of_novelty = make_novelty_recipe(novelty_recipe)
    of_two = {
        "chain": chain,
        "min_overlap": min_overlap,
        "frozen": frozen or None,
        "reference_layer": reference_layer,
    }
    require_effect("without reference=", of_two, possible=reference is not None)
    # Baselines make their own representation of counts.
    has_own_space = has_own_representation(method)
    without = f"with method={method!r}, which reads no sequence"
    require_effect(without, {"genome": genome}, possible=not has_own_space)
    if genome is not None:
        fasta_of(genome)
    if frozen:
        require_counts(method)
    # The device is for networks; an encoder that is given has its own.
    encoder = pick_encoder(encoder, device if isinstance(encoder, str) else "auto")
    if reference is not None and reference is data:
        msg = "Query and reference are one object, which would be written to. Pass a copy: reference.copy()."
        raise ValueError(msg)
    # Of a query with a reference, neither labels nor batches are read.
    claim_annotation(
        target,
        key_added,
        labels_key=levels if reference is None else (),
        batch_key=batch_key if reference is None else None,
        majority_voting=majority_voting,
    )
    generator = np.random.default_rng(rng)
    clusters = None
    if majority_voting is not None:
        clusters = obs_column(data, target, majority_voting, parameter="majority_voting", what="query")
    start = logg.info("annotating")
    sequences = Sequences(encoder, genome)
    pairing = {"min_overlap": 0.5 if min_overlap is None else min_overlap, "chain": chain}
    of_known = layer if reference_layer is None else reference_layer
    none_allowed = False
    if reference is None:
        inputs = _one_object(data, target, levels, unlabeled, batch_key)
        joint = joint_counts_of_one(target, inputs.codes, layer)
    else:
        inputs = _two_objects(target, reference, levels, unlabeled, batch_key, mod)
        if not has_counts(inputs.known, of_known) and inputs.known.X is None:
            # Counts in a layer that was not named are asked for, where there is nothing to do without.
            frozen = frozen or is_fitted(inputs.known, CELL_EMBEDDING) or not inputs.known.layers
        joint = None
        if frozen:
            require_counts(method)
        else:
            # Sequences of both can do without shared peaks.
            none_allowed = (
                not has_own_space
                and not sequences.learns
                and sequences.known(inputs.known)
                and sequences.carried(target)
            )
            joint = joint_counts_of_two(
                target,
                inputs.known,
                inputs.labeled,
                inputs.codes[: len(inputs.labeled)],
                (layer, of_known),
                pairing,
                none_allowed=none_allowed,
            )
    if joint is not None:
        require_open_peaks(joint, on_shared=not none_allowed)
    order = np.arange(len(inputs.codes)) if joint is None else joint.order
    at = np.argsort(order)
    codes, batch = inputs.codes[order], None if inputs.batch is None else inputs.batch[order]
    learn_from = None
    if sequences.learns and not has_own_space and sequences.known(inputs.known):
        learn_from = counts(inputs.known, of_known)[inputs.labeled]
    if joint is None:
        space = frozen_space(target, inputs.known, inputs.labeled, sequences, layer, pairing)
    elif has_own_space:
        space = space_of_method(joint, codes, batch, method, settings, generator)
    elif reference is None:
        space = space_of_one(target, joint, sequences, learn_from, n_latent, generator)
    else:
        space = space_of_two(
            target,
            inputs.known,
            joint,
            sequences,
            learn_from,
            lifted=chain is not None,
            n_latent=n_latent,
            rng=generator,
        )
    annotation = annotate_cells(
        space.cells,
        codes,
        len(inputs.labels.classes),
        method=method,
        recipe=recipe,
        n_neighbors=n_neighbors,
        max_false_rejection=max_false_rejection,
        novelty_recipe=novelty_recipe,
        batch=batch,
        rng=generator,
        device=device,
    )
    of_reference = at[inputs.codes >= 0]
    kept: dict[str, Any] = {
        "n_cells": len(of_reference),
        "labels_key": levels[-1],
        "contradicted": contradicted(annotation, codes, of_reference, inputs.known.obs_names[inputs.labeled]),
    }
    if reference is not None:
        kept |= {"X_da": annotation.aligned[of_reference], "codes": inputs.codes[inputs.codes >= 0]}
    uns = {
        "params": storable(
            method=method,
            recipe=settings,
            labels_key=labels_key,
            encoder=encoder.name,
            genome=None if genome is None else str(genome),
            unlabeled=unlabeled,
            batch_key=batch_key,
            layer=layer,
            reference_layer=reference_layer,
            n_latent=space.cells.X.shape[1],
            n_neighbors=n_neighbors,
            max_false_rejection=max_false_rejection,
            novelty_recipe=of_novelty,
            min_probability=min_probability,
            majority_voting=majority_voting,
            min_overlap=pairing["min_overlap"],
            chain=None if chain is None else str(chain),
            frozen=frozen,
            rng=rng,
        ),
        "coverage": space.coverage,
        "reference": kept,
    }
    slots = annotation_slots(
        key_added,
        annotation,
        inputs.labels,
        at[inputs.written],
        target.obs_names,
        uns,
        min_probability=min_probability,
        clusters=clusters,
    )
    write_slots(target, slots, start=start)
    keys, is_query = AnnotationKeys(key_added), inputs.codes[inputs.written] < 0
    report(
        slots["obs", keys.label][is_query],
        slots["obs", keys.score][is_query],
        method,
        annotation,
        space.coverage,
        len(kept["contradicted"]),
        key=key_added,
        frozen=joint is None,
        has_sequence=not has_own_space and (sequences.known(target) or sequences.known(inputs.known)),
        rejects=max_false_rejection is not None,
        large_shift=of_novelty.large_shift,
    )
    return data if copy else None


@dataclass(frozen=True)
class _Inputs:
    """What is annotated from what, in the order of the user's objects."""

    known: AnnData
    """Holds the labeled cells."""
    labeled: NDArray[np.intp]
    """Their positions in it."""
    labels: Labels
    codes: NDArray[np.integer]
    """(n_cells,) of labeled reference cells, then the query (-1); of one object in its order."""
    batch: NDArray[np.integer] | None
    """(n_cells,)."""
    written: NDArray[np.intp]
    """Positions, among these cells, of those of the object that is written to."""


def _one_object(
    data: AnnData | MuData,
    target: AnnData,
    levels: Sequence[str],
    unlabeled: str | int | Sequence[str],
    batch_key: str | None,
) -> _Inputs:
    """Read labels of an object with labeled and unlabeled cells."""
    labels = encode_labels([obs_column(data, target, key) for key in levels], unlabeled)
    require_query(labels.codes, levels[-1], unlabeled)
    require_columns(labels, levels[-1], target.obs_names.name)
    require_peaks(target)
    batch = None
    if batch_key is not None:
        batch = encode_batches(obs_column(data, target, batch_key, parameter="batch_key"))
    labeled = np.flatnonzero(labels.codes >= 0)
    return _Inputs(target, labeled, labels, labels.codes, batch, np.arange(target.n_obs))


def _two_objects(
    target: AnnData,
    reference: AnnData | MuData | str | PathLike[str],
    levels: Sequence[str],
    unlabeled: str | int | Sequence[str],
    batch_key: str | None,
    mod: str,
) -> _Inputs:
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
    labeled = np.flatnonzero(labels.codes >= 0)
    batch = None
    if batch_key is not None:
        batch = encode_batches(obs_column(data, known, batch_key, parameter="batch_key", what="reference"))
        batch = np.concatenate([batch[labeled], np.full(target.n_obs, -1)])
    codes = np.concatenate([labels.codes[labeled], np.full(target.n_obs, -1)])
    return _Inputs(known, labeled, labels, codes, batch, np.arange(len(labeled), len(codes)))
