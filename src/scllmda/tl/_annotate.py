"""Labels for a query in one call."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from anndata import AnnData

from .. import _logging as logg
from .._anndata import resolve
from .._checks import checked
from ..factorisation import on_device, on_workers
from ..genomics import fasta_of
from ._annotation_slots import claim_annotation
from ._choices import Choices
from ._embed_peaks import pick_encoder
from ._inputs import inputs_of_one, inputs_of_two
from ._label_cells import label_cells
from ._labels import as_levels
from ._ontology import as_ontology_columns
from ._params import require_client, require_effect, storable
from ._sequences import Sequences
from ._sources import make_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from mudata import MuData

    from ..encoders import PeakEncoder
    from ..methods import Method


@checked
def annotate(
    adata: AnnData | MuData,
    reference: AnnData | MuData | str | PathLike[str] | None = None,
    *,
    labels_key: str | Sequence[str] = "cell_type",
    method: str | Method = "robust",
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
    set_coverage: float | None = None,
    majority_voting: str | bool | None = None,
    ontology_key: str | Sequence[str] | None = None,
    min_overlap: float | None = None,
    chain: str | PathLike[str] | None = None,
    frozen: bool = False,
    client: Any = None,
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
        Annotator; ``sl.get.methods()`` lists them. ``"scllmda"`` and ``"seqalignatac"`` are the whole published
        systems, which embed cells by the DNA of their peaks; without sequence their second stage alone runs, on the
        package's own embedding, with a warning. ``"annatac"`` compares cells by bins of the genome, needs no shared
        peak and reads raw counts; ``"epifoundation"`` takes a cell for the set of its open peaks. Both can begin with
        weights, see :func:`scllmda.tl.pretrain`. The baselines (``"lsi_knn"``, ``"lsi_lr"``,
        ``"harmony_lr"``, ``"spectral_lr"``, ``"nearest_centroid"``) read counts on shared peaks alone, neither sequence
        nor ``n_latent``. None of these can be ``frozen``. Or a method of yours, see ``scllmda.methods.Method``.
    recipe
        Constants of the method to replace; ``sl.get.methods()`` shows them. ``{"cells": "factorisation"}`` runs a
        published system's second stage on the package's own embedding; ``{"preset": "small"}`` makes ``"annatac"`` or
        ``"epifoundation"`` one for CPUs.
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
        Column of the reference's ``.obs`` with ontology ids of the labels, such as "cell_type_ontology_term_id" with
        "CL:0000236", one id for each label. If ``labels_key`` is a list, the ids of its finest column, or a list with a
        column of ids for each. Never read for query cells.
    min_overlap
        Smallest overlap of a query and a reference peak, 0.5 if None; as in :func:`scllmda.pp.match_peaks`.
    chain
        UCSC chain file from the query's genome build to the reference's; as in :func:`scllmda.pp.match_peaks`.
    frozen
        Map the query to the space that :func:`scllmda.tl.cell_embeddings` fitted to the reference
        (:func:`scllmda.tl.map_cells`) instead of embedding both jointly: quicker, and a cell's vector does not depend
        on the other query cells, but less accurate. Always so if the reference has no counts
        (:func:`scllmda.get.portable_reference`).
    client
        A ``dask.distributed.Client``, whose workers encode peaks, do the passes of the embedding over the counts, and
        map the query; the result is the same. They need scllmda, no file of counts, and may die on the way. What reads
        the embedding (graphs, regressions, novelty) is done here.
    key_added
        Prefix of the slots.
    rng
        Seed or generator; the same gives the same bytes.
    device
        Torch device of networks and of the embedding's passes over the counts; "auto" takes a GPU when there is one,
        for the embedding if the cells have 17 million open peaks or more. The embedding is the same on either.
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
    ``.obs[f"{key}_ontology_term_id"]``
        With ``ontology_key``: the id of the label in ``.obs[key]`` (category), missing for ``"Unassigned"`` and for
        labels without id. Without, ids of an earlier call under ``key`` are removed.
    ``.obs[f"{key}_score"]``
        Calibrated probability of the raw label, 0 for cells without any open peak.
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
        kNN and PPMI graphs of the written cells, without edges between reference and query.
    ``.varm[f"{key}_loadings"]``, ``.var[f"{key}_rate"]``, ``.var[f"{key}_peak"]``, ``.varm[f"{key}_n_open"]``
        By the default method, for :func:`scllmda.get.evidence`: loadings (half precision) and base rates of the peaks
        that cells were placed by; the number of the peak that each counts as (several may be one of the reference's),
        -1 for none; and reference cells of each class in which it is open, if the reference has counts.
        ``.uns[key]["evidence"]`` has what belongs to no peak, and ``.obsp[f"{key}_pooled"]``, where cells were pooled,
        with whom.
    ``.uns[key]``
        ``params``, ``classes``, ``history``, ``coverage`` (peaks matched and used, where sequence came from, whose was
        not used and why, what share of the loadings it predicts on held-out peaks), ``reference`` (names of its cells
        whose label the others contradict; with ``reference=``, its cells' aligned representation and label codes, for
        plots; of a very large one, of which the default method looks at ``most_reference`` cells, of these cells, and
        their number); by the default method, ``evidence``; with ``ontology_key``, ``ontology`` (``label`` and
        ``term_id``, in one order); with ``set_coverage``, ``sets`` (``coverage``, and ``least``, the least probability
        with which each of the ``classes`` is in a set that it is not the likeliest of).

    What was found is said in one line at scanpy's default verbosity, with warnings where it could be wrong.

    Raises
    ------
    KeyError
        No such label, ontology, batch or cluster column, layer or modality.
    ValueError
        No cell or no second class is labeled; a label has several ontology ids; no query cell; no shared peak, or no
        shared island; repeated peak names; negative, NaN or infinite counts; no known base under any peak; peak
        embeddings of the wrong shape, or nothing but NaN; unknown method, recipe constant or encoder; a number below 1,
        or no share; a "/" in ``key_added``; a path of another kind; a method that reads counts with a frozen reference;
        prediction sets by a method that holds out no cells; a parameter that has no effect in this call.
    TypeError
        Neither AnnData nor MuData; no encoder; no Dask client.
    FileNotFoundError
        No such reference or genome.
    ImportError
        Harmony is not installed (``method="harmony_lr"``), or hdf5plugin, and the reference's file needs it.
    OSError
        The reference's file is damaged.

    See Also
    --------
    scllmda.get.annotation : The result as a table.
    scllmda.get.evidence : The peaks that a label rests on.
    scllmda.pl.transfer_umap : The result in a map.
    scllmda.pl.report : The result as a page.
    scllmda.tl.graph_da_annotate : The last step alone, in a space of yours.
    scllmda.get.methods : Lists the methods.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.annotate(query, reference)
    >>> sl.get.annotation(query).columns.tolist()
    ['label', 'raw', 'score', 'novelty']
    """
    require_client(client)
    data, target = resolve(adata, mod=mod, copy=copy, what="query")
    choices = Choices.checked(
        method,
        recipe,
        novelty_recipe,
        n_neighbors=n_neighbors,
        max_false_rejection=max_false_rejection,
        min_probability=min_probability,
        set_coverage=set_coverage,
        majority_voting=majority_voting,
        key_added=key_added,
        device=device,
        rng=rng,
    )
    levels, overlap = as_levels(labels_key), {"chain": chain, "min_overlap": min_overlap}
    ids = as_ontology_columns(ontology_key, levels)
    of_two = {**overlap, "frozen": frozen or None, "reference_layer": reference_layer}
    require_effect("without reference=", of_two, possible=reference is not None)
    without = f"with method={choices.method.name!r}, which reads neither sequence nor an embedding"
    require_effect(without, {"genome": genome, "client": client}, possible=choices.reads_sequence)
    if genome is not None:
        fasta_of(genome)
    if frozen:
        choices.require_embedding()
    # The device is for networks; an encoder that is given has its own.
    sequences = Sequences(pick_encoder(encoder, device if isinstance(encoder, str) else "auto"), genome, client)
    if reference is not None and reference is data:
        msg = "Query and reference are one object, which would be written to. Pass a copy: reference.copy()."
        raise ValueError(msg)
    # Of a query with a reference, neither labels nor batches nor ids are read.
    columns = (levels, batch_key, ids) if reference is None else ()
    claim_annotation(target, choices, *columns, with_ontology=bool(ids))
    clusters = choices.clusters(data, target, "query")
    start = logg.info("annotating")
    if reference is None:
        inputs = inputs_of_one(data, target, levels, ids, unlabeled, batch_key)
    else:
        inputs = inputs_of_two(target, reference, levels, ids, unlabeled, batch_key, mod)
    pairing = {"chain": chain, "min_overlap": 0.5 if min_overlap is None else min_overlap}
    layers = layer, layer if reference_layer is None else reference_layer
    source = make_source(target, inputs, choices, sequences, layers, pairing, n_latent, frozen=frozen)
    params = storable(
        labels_key=labels_key,
        ontology_key=ontology_key,
        encoder=sequences.encoder.name,
        genome=None if genome is None else str(genome),
        unlabeled=unlabeled,
        batch_key=batch_key,
        layer=layer,
        reference_layer=reference_layer,
        min_overlap=pairing["min_overlap"],
        chain=None if chain is None else str(chain),
        frozen=source.is_frozen,
    )
    choices = choices.for_sequence(there=source.has_sequence)
    with on_workers(client), on_device(device):
        label_cells(target, inputs, source, choices, clusters=clusters, params=params, start=start)
    return data if copy else None
