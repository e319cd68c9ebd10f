"""Labels for a query in one call."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .. import _logging as logg
from .._anndata import load, obs_column, read, require_unique_peaks, resolve, write_slots
from .._keys import SEQUENCE, peak_embedding
from ..factorisation import fit
from ..methods import annotate_cells, make_recipe
from ..pp import match_peaks, peak_sequences
from ._annotation_slots import annotation_slots
from ._cell_embeddings import binary_counts, has_known_base, peak_embeddings, require_evidence, tells_peaks_apart
from ._embed_peaks import embed_peaks, pick_encoder
from ._labels import Labels, encode_batches, encode_labels, require_query
from ._params import require_positive, require_slot_name, storable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mudata import MuData

    from ..encoders import PeakEncoder


@dataclass(frozen=True)
class _Cells:
    """Reference and query cells on shared peaks."""

    X: sp.csr_matrix
    """(n_cells, n_peaks) binary."""
    labels: Labels
    batch: NDArray[np.integer] | None
    peaks: list[AnnData]
    """Objects whose ``.var`` and ``.varm`` describe the peaks, to be asked in this order."""
    written: NDArray[np.integer]
    """Positions of the cells of the object that is written to."""
    coverage: dict[str, Any]


def annotate(
    adata: AnnData | MuData,
    reference: AnnData | MuData | str | PathLike[str] | None = None,
    *,
    labels_key: str = "cell_type",
    method: str = "robust",
    recipe: Mapping[str, Any] | None = None,
    encoder: str | PeakEncoder = "kmer",
    genome: Any = None,
    unlabeled: str = "unknown",
    batch_key: str | None = None,
    layer: str | None = None,
    n_latent: int = 64,
    n_neighbors: int = 15,
    min_overlap: float = 0.5,
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
        Column of the reference's ``.obs`` with cell types.
    method
        Annotator; ``sl.get.methods()`` lists them.
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
        Dimensions of the cell embedding; 64 is what the default method reads.
    n_neighbors
        Neighbours per cell in the graphs; 15 is scanpy's default, the papers name none.
    min_overlap
        Smallest overlap of a query and a reference peak; as in :func:`scllmda.pp.match_peaks`.
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
        Labels after and before rejection (category). ``"Unassigned"`` for cells without any open peak. Cells that came
        with a label keep it.
    ``.obs[f"{key}_score"]``
        Calibrated probability of the raw label, 0 for cells without any open peak.
    ``.obs[f"{key}_novelty"]``
        0-1: share of reference cells that are nearer to the rest of the reference, distances smoothed over the graphs.
    ``.obsm[f"{key}_proba"]``
        DataFrame with a column per class ("/" in names reads U+2215, the division slash).
    ``.obsm[f"X_{key}_da"]``
        Aligned representation.
    ``.obsp[f"{key}_connectivities"]``, ``.obsp[f"{key}_ppmi"]``
        kNN and PPMI graphs of the written cells, without edges between reference and query.
    ``.uns[key]``
        ``params``, ``classes``, ``history``, ``coverage`` (peaks matched and used, sequence used), ``reference`` (with
        ``reference=``, its cells' aligned representation and label codes, for plots).

    Raises
    ------
    KeyError
        No such label or batch column, layer or modality.
    ValueError
        No cell or no second class is labelled; no query cell; no shared peak; repeated peak names; negative, NaN or
        infinite counts; no known base under any peak; peak embeddings of the wrong shape, or nothing but NaN; unknown
        method, recipe constant or encoder; a number below 1; a "/" in ``key_added``; a path of another kind.
    TypeError
        Neither AnnData nor MuData; no encoder.
    FileNotFoundError
        No such reference or genome.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> sl.get.annotation(query).columns.tolist()
    ['label', 'raw', 'score', 'novelty']
    """
    data, target = resolve(adata, mod=mod, copy=copy)
    settings = make_recipe(method, recipe)
    require_positive(n_latent=n_latent, n_neighbors=n_neighbors)
    require_slot_name(key_added)
    # The device is for networks; an encoder that is given has its own.
    encoder = pick_encoder(encoder, device if isinstance(encoder, str) else "auto")
    start = logg.info("annotating")
    if reference is None:
        cells = _one_object(data, target, labels_key, unlabeled, batch_key, layer)
    else:
        cells = _two_objects(target, load(reference), labels_key, unlabeled, batch_key, layer, min_overlap, mod)
    is_query = cells.labels.codes < 0
    evident = require_evidence(cells.X, is_query)
    embeddings, source = _sequence(cells.peaks, cells.X[~is_query], encoder, genome)
    if embeddings is not None and not tells_peaks_apart(embeddings[evident]):
        embeddings, source = None, "none"

    generator = np.random.default_rng(rng)
    n_query = int(is_query.sum())
    logg.info(
        f"    {n_query} query and {len(is_query) - n_query} reference cells, {len(evident)} peaks open in both, "
        f"sequence: {source}, method: {method}"
    )
    fitted = fit(cells.X, n_latent, embeddings=embeddings, domain=is_query, rng=generator)
    annotation = annotate_cells(
        fitted.cells,
        cells.labels.codes,
        len(cells.labels.classes),
        method=method,
        recipe=recipe,
        n_neighbors=n_neighbors,
        batch=cells.batch,
        rng=generator,
        device=device,
    )
    known: dict[str, Any] = {"n_cells": len(is_query) - n_query, "labels_key": labels_key}
    if reference is not None:
        known |= {"X_da": annotation.aligned[~is_query], "codes": cells.labels.codes[~is_query]}
    uns = {
        "params": storable(
            method=method,
            recipe=settings,
            labels_key=labels_key,
            encoder=encoder.name,
            unlabeled=unlabeled,
            batch_key=batch_key,
            layer=layer,
            n_latent=n_latent,
            n_neighbors=n_neighbors,
            min_overlap=min_overlap,
            rng=rng,
        ),
        "coverage": {**cells.coverage, "n_used": len(evident), "sequence": source},
        "reference": known,
    }
    slots = annotation_slots(key_added, annotation, cells.labels.classes, cells.written, target.obs_names, uns)
    write_slots(target, slots, start=start)
    return data if copy else None


def _one_object(
    data: AnnData | MuData, adata: AnnData, labels_key: str, unlabeled: str, batch_key: str | None, layer: str | None
) -> _Cells:
    """Take labelled and unlabelled cells of the same object."""
    labels = encode_labels(obs_column(data, adata, labels_key), unlabeled)
    require_query(labels.codes, labels_key, unlabeled)
    batch = None if batch_key is None else encode_batches(obs_column(data, adata, batch_key, parameter="batch_key"))
    require_unique_peaks(adata)
    X = binary_counts(adata, layer)
    return _Cells(X, labels, batch, [adata], np.arange(adata.n_obs), {"n_peaks": adata.n_vars})


def _two_objects(
    query: AnnData,
    reference_data: AnnData | MuData,
    labels_key: str,
    unlabeled: str,
    batch_key: str | None,
    layer: str | None,
    min_overlap: float,
    mod: str,
) -> _Cells:
    """Put the query on the reference's peaks, behind the reference's labelled cells."""
    reference = read(reference_data, mod=mod)
    if query.n_obs == 0:
        msg = "The query has no cells; expected at least one."
        raise ValueError(msg)
    labels = encode_labels(obs_column(reference_data, reference, labels_key), unlabeled)
    batch = None
    if batch_key is not None:
        batch = encode_batches(obs_column(reference_data, reference, batch_key, parameter="batch_key"))
    matched = match_peaks(query, reference, min_overlap=min_overlap, layer=layer)
    labelled = np.flatnonzero(labels.codes >= 0)
    known = binary_counts(reference, layer)[labelled]
    X = sp.csr_matrix(sp.vstack([known, binary_counts(matched)]))
    unknown = np.full(query.n_obs, -1)
    return _Cells(
        X,
        Labels(np.concatenate([labels.codes[labelled], unknown]), labels.classes),
        None if batch is None else np.concatenate([batch[labelled], unknown]),
        [reference, query] if query.var_names.equals(reference.var_names) else [reference],
        np.arange(len(labelled), X.shape[0]),
        {"n_peaks": reference.n_vars, **matched.uns["match_peaks"]},
    )


def _sequence(
    objects: list[AnnData], known: sp.csr_matrix, encoder: PeakEncoder, genome: Any
) -> tuple[NDArray[np.float32] | None, str]:
    """Return peak embeddings (n_peaks, d) and where they are from; None and "none" if there is no sequence.

    Encoders that learn from openness learn from ``known``, the counts of the reference.
    """
    key = peak_embedding(encoder.name)
    for peaks in objects:
        if key in peaks.varm:
            return peak_embeddings(peaks, key), f".varm[{key!r}]"
    with_sequence = [peaks for peaks in objects if SEQUENCE in peaks.var]
    if not with_sequence and genome is None:
        return None, "none"
    # A scratch object, so that nothing is written to the user's.
    scratch = AnnData(known, var=(with_sequence or objects)[0].var.copy())
    if not with_sequence:
        peak_sequences(scratch, genome, missing="n")
    source = f".var[{SEQUENCE!r}]" if with_sequence else "genome"
    if not has_known_base(scratch.var[SEQUENCE]).any():
        msg = (
            f"None of the {scratch.n_vars} peaks (first: {scratch.var_names[0]!r}) has a known base, sequence from "
            f"{source}; expected A, C, G and T. Pass genome= the FASTA that the peaks were called on."
        )
        raise ValueError(msg)
    embed_peaks(scratch, encoder)
    return peak_embeddings(scratch, key), source
