"""Expression of cells whose open peaks alone are known."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from .. import _logging as logg
from .._anndata import resolve
from .._checks import checked
from .._counts import counts
from ..genomics import fasta_of
from ..methods import Expression, Predicted, expression_method, make_expression_recipe
from ..methods import predict_expression as predict
from ._embed_peaks import pick_encoder
from ._evidence import require_open_peaks
from ._expression_slots import claim_expression, only, write_expression
from ._joint_counts import joint_counts_of_two
from ._pairs import Pairs, read_pairs
from ._params import require_effect, storable
from ._sequences import Sequences
from ._side_counts import side_counts
from ._sources import JointSource
from ._unlabeled import unlabeled_cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mudata import MuData

    from ..encoders import PeakEncoder


@checked
def predict_expression(
    adata: AnnData | MuData,
    reference: MuData | str | PathLike[str],
    *,
    method: str = "auto",
    recipe: Mapping[str, Any] | None = None,
    var_names: Sequence[str] | None = None,
    encoder: str | PeakEncoder = "kmer",
    genome: Any = None,
    layer: str | None = None,
    reference_layer: str | None = None,
    rna_layer: str | None = None,
    n_latent: int = 128,
    min_overlap: float | None = None,
    chain: str | PathLike[str] | None = None,
    key_added: str = "expression",
    rng: int | np.random.Generator = 0,
    device: str = "auto",
    mod: str = "atac",
    rna_mod: str = "rna",
    copy: bool = False,
) -> AnnData | MuData | None:
    """Predict which genes cells express from their open peaks, and from cells of which both were measured.

    Parameters
    ----------
    adata
        Cells × peaks with raw or binary counts. Expression in it, if there is, is not read.
    reference
        MuData (or its path) with open peaks and expression of the same cells, paired by their names; never written to.
        Or a folder that :func:`scllmda.tl.pretrain` wrote, whose network foretells as it is, without any reference.
    method
        ``"ridge"`` is a linear map of the package's own embedding of both objects' cells, smoothed over neighbors.
        ``"epifoundation"`` (Wu et al. 2025, eq. 13-14) is a transformer over a cell's open peaks, trained on the
        reference's expression in ten levels; with ``recipe={"weights": folder}`` it begins with a pre-training. "auto"
        is "ridge" with a reference, which was the better of both where it was measured, and what the folder is of
        without one.
    recipe
        Constants of the method to replace: ``{"depth": False}`` of "ridge", ``{"preset": "small"}`` of
        "epifoundation".
    var_names
        Names of the genes to write, all if None. Of many cells all genes take much memory: 4 bytes per cell and gene.
    encoder, genome
        Whose peak embeddings "ridge" uses, where there are sequences; as in :func:`scllmda.tl.annotate`.
    layer
        Layer with the counts of open peaks, ``.X`` if None; of both objects, unless ``reference_layer`` is given.
    reference_layer
        Layer of the reference's open peaks, where it is another one; "X" for ``.X``.
    rna_layer
        Layer of the reference's expression, ``.X`` if None: whole numbers are counts, and made log(1 + counts per
        10,000 of the cell); others have to be log-normalized.
    n_latent
        Dimensions of the cell embedding, at most.
    min_overlap, chain
        How peaks of both are paired; as in :func:`scllmda.tl.annotate`.
    key_added
        Slots, or modality, to write.
    rng
        Seed or generator; the same gives the same bytes.
    device
        Torch device of networks; "auto" takes a GPU when there is one.
    mod, rna_mod
        Modalities of a MuData that hold peaks and expression.
    copy
        Work on a copy and return it.

    Returns
    -------
    None, or the copy if ``copy``. Of an AnnData sets

    ``.obsm[key_added]``
        (n_cells, n_genes), float32: log(1 + counts per 10,000) as it is expected of the cell; of a pre-trained network
        the probability that the cell expresses the gene. Cells without an open peak that is read get the mean of the
        reference, or of the other cells.
    ``.uns[key_added]``
        ``genes`` (n_genes,), the columns' names; ``is_probability``; ``params``, ``history`` and ``coverage``.

    In a MuData the modality ``mdata[key_added]`` is added, or replaced, with the same as ``.X`` and ``.var_names``, and
    the same ``.uns[key_added]``; the others are left as they are. Genes are named alike in two modalities then, if
    expression was measured too, and mudata says that names are not unique.

    See Also
    --------
    scllmda.metrics.expression_report : Compares with observed expression.
    scllmda.tl.gene_activity : Scores genes by their peaks, without a reference.

    Notes
    -----
    Of single cells most of what is measured is chance. Beside correlations with single cells' expression give those of
    the means of types: what is above them is what prediction adds to annotation.

    Raises
    ------
    TypeError
        Neither AnnData nor MuData; a reference of which open peaks alone are known.
    KeyError
        No such layer or modality.
    ValueError
        Unknown method, constant or gene; names of cells or genes of the reference repeat; cells of which one of both
        is not known; expression that is neither counts nor log-normalized; no shared peak; another genome; a modality
        that is read as ``key_added``; a parameter that has no effect in this call.
    FileNotFoundError
        No such reference.

    Examples
    --------
    >>> import numpy as np, scllmda as sl
    >>> from anndata import AnnData
    >>> from mudata import MuData
    >>> reference, query = sl.datasets.simulate(n_reference=90, n_query=60, n_peaks=300, n_types=3)
    >>> types = reference.obs["cell_type"].cat.codes.to_numpy()
    >>> rates = 1 + 5 * (np.arange(6) % 3 == types[:, None])
    >>> rna = AnnData(np.random.default_rng(0).poisson(rates).astype(np.float32), obs=reference.obs[[]])
    >>> sl.tl.predict_expression(query, MuData({"atac": reference, "rna": rna}))
    >>> query.obsm["expression"].shape
    (60, 6)
    """
    folder = _is_folder(reference)
    found = expression_method(method, by_weights=folder)
    given = dict(recipe or {})
    if folder:
        require_effect("where the reference is a folder", {"weights": given.get("weights")}, possible=False)
        given["weights"] = str(reference)
    settings = make_expression_recipe(found, given)
    of_reference = {
        "reference_layer": reference_layer,
        "rna_layer": rna_layer,
        "min_overlap": min_overlap,
        "chain": None if chain is None else str(chain),
    }
    require_effect("where the reference is a folder", of_reference, possible=not folder)
    reads_sequence = not folder and "embedding" in found.reads
    require_effect(f"with method={found.name!r}, which reads no sequence", {"genome": genome}, possible=reads_sequence)
    if genome is not None:
        fasta_of(genome)
    encoder = pick_encoder(encoder, device if isinstance(encoder, str) else "auto")
    data, target = resolve(adata, mod=mod, copy=copy, what="query")
    claim_expression(data, target, key_added, (mod, rna_mod))
    start = logg.info(f"predicting expression by {found.name!r}")
    coverage: Mapping[str, Any] = {}
    if found.predict_by_weights is not None and folder:
        predicted = only(found.predict_by_weights(unlabeled_cells(target, layer), settings, device), var_names)
    else:
        pairs = read_pairs(reference, mod=mod, rna_mod=rna_mod, rna_layer=rna_layer, what="reference")
        _require_another(data, target, pairs)
        source = _source(
            target,
            pairs.atac,
            (layer, layer if reference_layer is None else reference_layer),
            {"chain": chain, "min_overlap": 0.5 if min_overlap is None else min_overlap},
            Sequences(encoder, genome),
            by_place=found.reads == {"sides"},
            n_latent=n_latent,
            rng=rng,
        )
        of_call = {"method": found, "recipe": settings, "rng": np.random.default_rng(rng), "device": device}
        predicted = _by_reference(source, pairs.expression.only(var_names), of_call)
        coverage = source.coverage
    params = storable(
        method=found.name,
        recipe=settings,
        encoder=encoder.name,
        layer=layer,
        n_latent=n_latent,
        rng=rng,
        **of_reference,
    )
    write_expression(data, target, predicted, {"params": params, "coverage": dict(coverage)}, key_added, start=start)
    return data if copy else None


def _is_folder(reference: Any) -> bool:
    """Return whether a reference is the folder of a network, and no object or path of one."""
    if not isinstance(reference, str | PathLike):
        return False
    path = Path(reference).expanduser()
    return path.is_dir() and (path / "config.json").is_file()


def _require_another(data: AnnData | MuData, target: AnnData, pairs: Pairs) -> None:
    """Raise ValueError if cells are to be foretold from themselves."""
    if pairs.data is data or pairs.atac is target:
        msg = (
            "Query and reference are one object, whose expression is known. Pass a part of its cells as reference: "
            "reference=mdata[cells].copy()."
        )
        raise ValueError(msg)


def _source(
    query: AnnData,
    reference: AnnData,
    layers: tuple[str | None, str | None],
    pairing: Mapping[str, Any],
    sequences: Sequences,
    *,
    by_place: bool,
    n_latent: int,
    rng: int | np.random.Generator,
) -> JointSource:
    """Return what methods read of the cells of two objects, as annotators do; cells of the reference are all alike.

    Parameters
    ----------
    query, reference
        Cells × peaks.
    layers
        With the counts, of the query and of the reference.
    pairing
        What peaks are to be paired by.
    sequences
        Where DNA comes from.
    by_place
        Whether peaks are compared by where they lie, so that none need be shared.
    n_latent
        Dimensions of the embedding, at most.
    rng
        Of the embedding.
    """
    everyone, alike = np.arange(reference.n_obs), np.zeros(reference.n_obs, dtype=np.intp)
    of_query = sequences.of_query(lifted=pairing["chain"] is not None)
    sequences = replace(sequences, learn_from=lambda: counts(reference, layers[1], what="reference"))
    by_sequence = sequences.known(reference) and sequences.carried(query) and not sequences.learns
    none_allowed = by_place or by_sequence
    joint = joint_counts_of_two(
        query, reference, everyone, alike, layers, pairing, none_allowed=none_allowed, one_build=by_place
    )
    require_open_peaks(joint, on_shared=not none_allowed)
    return JointSource(
        query,
        reference,
        joint,
        sequences,
        of_query,
        n_latent,
        sides=lambda: side_counts(query, reference, everyone, joint, layers, pairing["chain"]),
        has_sequence=sequences.known(reference) or of_query.known(query),
        rng=np.random.default_rng(rng),
    )


def _by_reference(source: JointSource, expression: Expression, of_call: Mapping[str, Any]) -> Predicted:
    """Foretell the query's expression, in the order of its cells."""
    order, n_reference = source.order, expression.values.shape[0]
    is_query = order >= n_reference
    in_order = Expression(sp.csr_matrix(expression.values[order[~is_query]]), expression.genes)
    predicted, seen = predict(source, is_query, in_order, **of_call)
    if not seen.all():
        logg.warning(
            f"{(~seen).sum():,} of {len(seen):,} cells have no open peak that is read; they get the mean expression of "
            "the reference."
        )
    back = np.argsort(order[is_query])
    return replace(predicted, values=predicted.values[back])
