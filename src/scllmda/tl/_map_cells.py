"""New cells in the frozen space of a fitted reference."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .. import _logging as logg
from .._anndata import claim_slots, read, resolve, write_slots
from .._checks import checked
from .._counts import BLOCK_SIZE, count_blocks
from .._keys import CELL_EMBEDDING
from .._peak_pairs import JointPeaks, pair_peaks, query_only_peaks
from ..factorisation import Decoder, on_workers
from ._decoder_slots import is_embedding, is_fitted, pad, read_decoder
from ._map_query import extend_decoder, map_blocks
from ._params import require_client, storable
from ._peak_embeddings import peak_embeddings

if TYPE_CHECKING:
    from mudata import MuData


@checked
def map_cells(
    query: AnnData | MuData,
    reference: AnnData | MuData | str | PathLike[str],
    *,
    use_rep: str = CELL_EMBEDDING,
    use_varm: str | None = None,
    layer: str | None = None,
    min_overlap: float = 0.5,
    chain: str | PathLike[str] | None = None,
    block_size: int = BLOCK_SIZE,
    client: Any = None,
    key_added: str = CELL_EMBEDDING,
    mod: str = "atac",
    copy: bool = False,
) -> AnnData | MuData | None:
    """Embed cells in the space of a reference that :func:`scllmda.tl.cell_embeddings` was run on, without refitting.

    Loadings, base rates and priors of logit P(peak i open in cell j) = w_j · (g(seq_i) + v_i) + a_i + b_j are frozen;
    each cell's w_j is a convex fit of its own, the posterior mean to second order around the base rates. A cell's
    vector does not depend on the cells around it (but for base rates of peaks that the reference lacks), nor on
    ``block_size`` or where the counts are.

    Query peaks are paired with the reference's as in :func:`scllmda.pp.match_peaks`. Where the reference knows g and
    the query has embeddings of its peaks, peaks that the reference lacks count as well, with loadings g(seq_i): even
    cells of another genome build or without a single shared peak can be mapped.

    Parameters
    ----------
    query
        New cells × peaks; in memory, backed or with a Dask array, read row block by row block.
    reference
        Fitted object or its path; counts are not needed, see :func:`scllmda.get.portable_reference`. Not changed.
    use_rep
        Key under which the reference was fitted.
    use_varm
        Key of the query's ``.varm`` with peak embeddings; None takes the one that the reference was fitted with, if
        the query has it. Written by :func:`scllmda.tl.embed_peaks` with the same encoder.
    layer
        Layer of the query with its counts, ``.X`` if None. They are binarized if the reference's were.
    min_overlap
        Smallest overlap of a query and a reference peak; as in :func:`scllmda.pp.match_peaks`.
    chain
        UCSC chain file from the query's genome build to the reference's; as in :func:`scllmda.pp.match_peaks`.
    block_size
        Cells that are read and mapped at once.
    client
        A ``dask.distributed.Client``, whose workers map the blocks; the result is the same.
    key_added
        Slots to write.
    mod
        Modality of a MuData that holds the peaks.
    copy
        Work on a copy and return it.

    Returns
    -------
    None, or the copy if ``copy``. Sets

    ``.obsm[key_added]``
        (n_cells, n_latent) as in the reference, float32; zero for cells without an open peak among those used.
    ``.uns[key_added]``
        ``params`` and ``coverage``: peaks paired, ``n_own`` (peaks by their sequence alone) and
        ``fraction_of_counts_shared`` (share of the used counts on peaks that the reference has).

    Raises
    ------
    KeyError
        The reference is not fitted; no such layer, embeddings or modality.
    ValueError
        No shared peak and no sequence to do without; another genome build; no open peak among those used; embeddings
        of another length; negative, NaN or infinite counts; repeated peak names; ``block_size`` below 1.
    TypeError
        Neither AnnData nor MuData; no Dask client.
    FileNotFoundError
        No such reference or chain file.

    See Also
    --------
    scllmda.tl.cell_embeddings : Fits the space.
    scllmda.tl.annotate : Carries labels over, with ``frozen=True`` in this way.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.cell_embeddings(reference, n_latent=32)
    >>> sl.tl.map_cells(query, reference)
    >>> query.obsm["X_scllmda"].shape
    (400, 32)
    """
    require_client(client)
    data, atac = resolve(query, mod=mod, copy=copy, what="query")
    fitted = read(reference, mod=mod, what="reference")
    claim_slots(
        atac,
        [("obsm", key_added), ("uns", key_added)],
        read={("uns", use_rep): "the reference's decoder"} if fitted is atac else {},
        is_ours=is_embedding(atac, key_added),
    )
    if is_fitted(atac, key_added):
        logg.warning(
            f"The query's own decoder in .uns[{key_added!r}] will be overwritten: no cells can be mapped to it any "
            "more. Pass key_added= another name to keep it."
        )
    decoder = read_decoder(fitted, use_rep)
    embeddings = _query_embeddings(atac, decoder, fitted.uns[use_rep]["params"], use_varm)
    start = logg.info(f"mapping {atac.n_obs} cells")
    pairs = pair_peaks(atac, fitted, min_overlap=min_overlap, chain=chain, none_allowed=embeddings is not None)
    peaks = JointPeaks(pairs, query_only_peaks(pairs, embeddings))
    counts = count_blocks(atac, layer, block_size=block_size, what="query").onto(peaks.assignment)
    if fitted.uns[use_rep]["params"]["likelihood"] == "bernoulli":
        counts = counts.binary()
    decoder, shared = extend_decoder(decoder, counts, peaks, embeddings)
    with on_workers(client):
        cells = pad(map_blocks(decoder, counts, peaks.in_query), fitted.varm[use_rep].shape[1])
    params = storable(use_rep=use_rep, use_varm=use_varm, layer=layer, min_overlap=min_overlap)
    coverage = {**pairs.report, "n_own": len(peaks.query_only), **shared}
    slots = {("obsm", key_added): cells, ("uns", key_added): {"params": params, "coverage": coverage}}
    write_slots(atac, slots, start=start)
    return data if copy else None


def _query_embeddings(
    query: AnnData, decoder: Decoder, params: dict[str, Any], use_varm: str | None
) -> NDArray[np.float32] | None:
    """Return the query's peak embeddings (n_peaks, d); None if it has none, or the reference was fitted without."""
    key = params.get("use_varm") if use_varm is None else use_varm
    if decoder.prior is None or key is None or (use_varm is None and key not in query.varm):
        return None
    return peak_embeddings(query, key, len(decoder.prior.mean))
