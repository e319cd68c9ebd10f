"""A vector per cell, from which peaks are open and what their DNA is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _logging as logg
from .._anndata import claim_slots, obs_column, require_peaks_only, resolve, write_slots
from .._checks import checked
from .._counts import count_blocks, counts
from .._keys import CELL_EMBEDDING, SEQUENCE, base_rate
from ..factorisation import Margins, fit, margins, open_counts, tells_peaks_apart
from ._decoder_slots import decoder_slots, is_embedding, pad
from ._labels import encode_batches
from ._params import storable

if TYPE_CHECKING:
    import pandas as pd
    import scipy.sparse as sp
    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray

RECIPES = ("default", "published")
LIKELIHOODS = ("bernoulli", "poisson")
DOMAIN_PEAKS = ("shared", "union")


@checked
def cell_embeddings(
    adata: AnnData | MuData,
    *,
    use_varm: str | None = None,
    layer: str | None = None,
    domain_key: str | None = None,
    domain_peaks: str = "shared",
    batch_key: str | None = None,
    likelihood: str = "bernoulli",
    n_latent: int = 128,
    recipe: str = "default",
    n_epochs: int = 400,
    key_added: str = CELL_EMBEDDING,
    rng: int | np.random.Generator = 0,
    device: str = "auto",
    mod: str = "atac",
    copy: bool = False,
) -> AnnData | MuData | None:
    """Embed cells by factorising their open peaks, with the peaks' DNA as prior.

    The default recipe fits logit P(peak i open in cell j) = w_j · (g(seq_i) + v_i) + a_i + b_j to second order around
    the base rates, in closed form: see :func:`scllmda.factorisation.fit`. ``recipe="published"`` is scLLMDA's first
    stage (Liu et al. 2026, eq. 1-3): a network from peak embeddings to one output unit per cell, whose weights are the
    embedding.

    Parameters
    ----------
    adata
        Cells × peaks, in memory, backed or with a Dask array: rows are read block by block, once per pass, and memory
        does not grow with the counts.
    use_varm
        Key of ``.varm`` with peak embeddings. None takes the one that :func:`scllmda.tl.embed_peaks` wrote, or counts
        alone if there is none.
    layer
        Layer with the counts, ``.X`` if None.
    domain_key
        Column of ``.obs`` with domains (platform, reference and query).
    domain_peaks
        Of cells in several domains. "shared": peaks that a whole domain should have open and has closed are no evidence
        at all (:func:`scllmda.factorisation.margins` says when). "union": peaks closed in a whole domain are
        evidence on cells of the domains that have them, as after joining two peak sets, where the zeros of the other
        are no measurement.
    batch_key
        Column of ``.obs`` with batches that get base rates of their own. Off by default: where batches differ in their
        proportions of cell types it takes those for a batch effect.
    likelihood
        "bernoulli": a peak is open or not, counts are binarized. "poisson": counts as they are. Binarized counts told
        cell types apart better wherever it was measured.
    n_latent
        Dimensions; 128 as in scLLMDA. The counts support k of them, found by held-out likelihood; the rest are zero.
    recipe
        "default" or "published".
    n_epochs
        Of the published recipe, which trains for 400 and never stops early.
    key_added
        Slots to write.
    rng
        Seed or generator; the same gives the same bytes.
    device
        Torch device of the published recipe; "auto" takes a GPU when there is one.
    mod
        Modality of a MuData that holds the peaks.
    copy
        Work on a copy and return it.

    Returns
    -------
    None, or the copy if ``copy``. Sets

    ``.obsm[key_added]``
        (n_cells, n_latent), float32: the cells, w_j, posterior means; zero for cells without evidence.
    ``.varm[key_added]``
        (n_peaks, n_latent), float32: the peaks, g + v_i, orthonormal under the base rates; zero for peaks that are no
        evidence. A cell opens a peak about 1 + w_j · (g + v_i) times as often as its depth and the base rate say.
    ``.var[f"{key_added}_rate"]``
        (n_peaks,), float32: the peaks' base rates; not with the published recipe.
    ``.uns[key_added]``
        ``params``, and the frozen decoder for :func:`scllmda.tl.map_cells`: ``cell_covariance``, ``peak_covariance``
        and ``cell_gram`` (k, k), the priors and the evidence behind the loadings; with sequence ``prior``, g as a
        linear map: ``mean`` and ``scale`` (d,) of the peak embeddings, ``weights`` (d, k), ``held_out_r2``. With the
        published recipe ``history`` instead.

    Raises
    ------
    KeyError
        No such layer, column or peak embeddings.
    ValueError
        Negative, NaN or infinite counts; no open peak (in every domain); peak embeddings of the wrong length; several
        peak embeddings and ``use_varm=None``; unknown recipe; the published recipe without peak embeddings.

    Examples
    --------
    >>> import scllmda as sl
    >>> adata, _ = sl.datasets.simulate()
    >>> sl.tl.embed_peaks(adata)
    >>> sl.tl.cell_embeddings(adata, n_latent=32)
    >>> adata.obsm["X_scllmda"].shape
    (600, 32)
    """
    for name, value, known in (
        ("recipe", recipe, RECIPES),
        ("likelihood", likelihood, LIKELIHOODS),
        ("domain_peaks", domain_peaks, DOMAIN_PEAKS),
    ):
        if value not in known:
            msg = f"Unknown {name} {value!r}; expected one of {list(known)}."
            raise ValueError(msg)
    if batch_key is not None and domain_peaks == "union":
        msg = "batch_key= needs base rates of peaks that all cells are seen through; pass domain_peaks='shared'."
        raise ValueError(msg)
    data, atac = resolve(adata, mod=mod, copy=copy)
    require_peaks_only(atac)
    domain = None if domain_key is None else encode_batches(obs_column(data, atac, domain_key, parameter="domain_key"))
    batch = None if batch_key is None else encode_batches(obs_column(data, atac, batch_key, parameter="batch_key"))
    use_varm = find_peak_embeddings(atac) if use_varm is None else use_varm
    claim_slots(
        atac,
        [("obsm", key_added), ("varm", key_added), ("var", base_rate(key_added)), ("uns", key_added)],
        read={} if use_varm is None else {("varm", use_varm): "use_varm"},
        is_ours=is_embedding(atac, key_added),
    )
    embeddings = None if use_varm is None else peak_embeddings(atac, use_varm)
    blocks = count_blocks(atac, layer)
    blocks = blocks.binary() if likelihood == "bernoulli" else blocks
    measured = open_counts(blocks, domain)[0] > 0 if domain is not None and domain_peaks == "union" else None
    expected = margins(blocks, domain, measured=measured, batch=batch)
    require_evidence(expected, domain)
    if embeddings is not None and not tells_peaks_apart(embeddings[expected.evident]):
        embeddings = use_varm = None
    if recipe == "published" and embeddings is None:
        msg = (
            "recipe='published' learns from peak embeddings and found none that tell peaks apart. "
            "Run sl.tl.embed_peaks(adata) first."
        )
        raise ValueError(msg)

    start = logg.info(
        f"embedding {atac.n_obs} cells by {len(expected.evident)} of {atac.n_vars} peaks, "
        f"sequence: {use_varm or 'none'}"
    )
    generator = np.random.default_rng(rng)
    params = storable(
        use_varm=use_varm,
        layer=layer,
        domain_key=domain_key,
        domain_peaks=domain_peaks,
        batch_key=batch_key,
        likelihood=likelihood,
        n_latent=n_latent,
        recipe=recipe,
        rng=rng,
    )
    if recipe == "published":
        assert embeddings is not None
        X = counts(atac, layer)
        X.data[:] = 1
        cells, peaks, decoder = _published(X, embeddings, n_latent, n_epochs, int(generator.integers(2**31)), device)
        params["n_epochs"], rate = n_epochs, None
    else:
        fitted = fit(blocks, expected, n_latent, embeddings=embeddings, rng=generator)
        cells, peaks = pad(fitted.cells, n_latent), pad(fitted.decoder.loadings, n_latent)
        decoder, rate = decoder_slots(fitted.decoder), fitted.decoder.rate
    slots = {
        ("obsm", key_added): cells,
        ("varm", key_added): peaks,
        ("uns", key_added): {"params": params, **decoder},
    }
    if rate is not None:
        slots["var", base_rate(key_added)] = rate
    write_slots(atac, slots, start=start)
    return data if copy else None


def find_peak_embeddings(adata: AnnData) -> str | None:
    """Return the ``.varm`` key that ``tl.embed_peaks`` wrote, None if there is none."""
    found = [k for k in adata.varm if isinstance(adata.uns.get(k), dict) and "encoder" in adata.uns[k]]
    if len(found) > 1:
        msg = f"Found several peak embeddings: {found}. Pass use_varm= the one to use."
        raise ValueError(msg)
    return found[0] if found else None


def peak_embeddings(adata: AnnData, key: str, n_dims: int | None = None) -> NDArray[np.float32]:
    """Return (n_peaks, d) peak embeddings; rows of NaN are peaks without a sequence (nothing but N).

    Parameters
    ----------
    adata
        Whose peaks.
    key
        Of ``.varm``.
    n_dims
        d of the reference's, if these are a query's.

    Raises
    ------
    KeyError
        No such key.
    ValueError
        Not two-dimensional, nothing but NaN, or not as long as the reference's.
    """
    if key not in adata.varm:
        msg = f"Did not find .varm[{key!r}], only {sorted(adata.varm)}. Run sl.tl.embed_peaks(adata) first."
        raise KeyError(msg)
    Z = np.asarray(adata.varm[key], dtype=np.float32)
    if Z.ndim == 2 and SEQUENCE in adata.var:
        Z = np.where(has_known_base(adata.var[SEQUENCE])[:, None], Z, np.nan)
    if Z.ndim != 2 or not np.isfinite(Z).all(axis=1).any():
        msg = (
            f".varm[{key!r}] has shape {Z.shape} and no peak with a known sequence and finite values, or is not two-"
            "dimensional; expected peaks × dimensions. Run sl.tl.embed_peaks(adata) again."
        )
        raise ValueError(msg)
    if n_dims is not None and Z.shape[1] != n_dims:
        msg = (
            f".varm[{key!r}] of the query has {Z.shape[1]} dimensions, the reference's peak embeddings have {n_dims}; "
            "expected the same encoder. Run sl.tl.embed_peaks(query, …) with it."
        )
        raise ValueError(msg)
    return Z


def has_known_base(sequences: pd.Series) -> NDArray[np.bool_]:
    """Return (n_peaks,) whether a sequence is more than N."""
    return sequences.astype(str).str.contains("[ACGT]", case=False).to_numpy(dtype=bool)


def require_evidence(expected: Margins, domain: NDArray[np.generic] | None) -> None:
    """Raise if no peak is evidence."""
    if len(expected.evident) == 0:
        where = "in any cell" if domain is None else "in every domain"
        msg = (
            f"None of {len(expected.rate)} peaks is open {where} of {len(expected.view)} cells; expected counts of "
            "shared peaks."
        )
        raise ValueError(msg)


def _published(
    X: sp.csr_matrix, embeddings: NDArray[np.floating], n_latent: int, n_epochs: int, seed: int, device: str
) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, Any]]:
    """Return cells (n_cells, k), peaks (n_peaks, k) and the history of scLLMDA's first stage."""
    from ..nn import PublishedRecipe, embed_by_accessibility

    if not np.isfinite(embeddings).all():
        msg = "recipe='published' needs the embedding of every peak; found peaks without one. Drop them first."
        raise ValueError(msg)
    recipe = PublishedRecipe(hidden=(512, 256, n_latent), n_epochs=n_epochs)
    cells, peaks, history = embed_by_accessibility(X, embeddings, recipe, seed=seed, device=device)
    cells[np.diff(X.indptr) == 0] = 0
    return cells, peaks, {"history": {"loss": history}}
