"""A vector per cell, from which peaks are open and what their DNA is."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import fields
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _logging as logg
from .._anndata import claim_slots, obs_column, require_peaks_only, resolve, write_slots
from .._checks import checked
from .._counts import CountBlocks, count_blocks, counts
from .._keys import CELL_EMBEDDING, base_rate
from ..factorisation import Margins, fit, margins, on_device, on_workers, open_counts, tells_peaks_apart
from ..methods import Source, cell_models, embedding_models, make_recipe, represent
from ..methods import get as get_method
from ._decoder_slots import decoder_slots, is_embedding, pad
from ._evidence import require_evidence
from ._labels import encode_batches
from ._params import require_client, require_effect, storable
from ._peak_embeddings import find_peak_embeddings, peak_embeddings
from ._weights_embedding import embed_by_weights, settings_of_weights

if TYPE_CHECKING:
    import scipy.sparse as sp
    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray

FACTORISATION = "factorisation"
LIKELIHOODS = ("bernoulli", "poisson")
DOMAIN_PEAKS = ("shared", "union")
OLD_RECIPES = {"default": FACTORISATION, "published": "scllmda"}
"""Models by the names that ``recipe=`` had for them in scllmda 0.1."""


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
    model: str = FACTORISATION,
    recipe: Mapping[str, Any] | str | None = None,
    weights: str | PathLike[str] | None = None,
    n_epochs: int | None = None,
    client: Any = None,
    key_added: str = CELL_EMBEDDING,
    rng: int | np.random.Generator = 0,
    device: str = "auto",
    mod: str = "atac",
    copy: bool = False,
) -> AnnData | MuData | None:
    """Embed cells by factorising their open peaks, with the peaks' DNA as prior.

    The default model fits logit P(peak i open in cell j) = w_j · (g(seq_i) + v_i) + a_i + b_j to second order around
    the base rates, in closed form: see :func:`scllmda.factorisation.fit`. The others are the first stages of published
    systems: ``model="scllmda"`` (Liu et al. 2026, eq. 1-3) and ``"seqalignatac"`` (Liu et al. 2025, eq. 1-4) train a
    network from peak embeddings to one output unit per cell, whose weights are the embedding. ``model="epifoundation"``
    (Wu et al. 2025, eq. 2-6) reads the set of each cell's open peaks by a transformer that
    :func:`scllmda.tl.pretrain` trained to foretell expression. Where batches were named in that training, what is a
    batch's was learned beside the cells' vectors.

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
    model
        "factorisation", or a published system whose first stage embeds cells: "scllmda", "seqalignatac"; or one that
        embeds each cell by weights, whatever the others are: "epifoundation". These read neither domains nor batches,
        and have no decoder for new cells.
    recipe
        Constants of a published system to replace, as in :func:`scllmda.tl.annotate`: ``{"cell_lr": 3e-3}``. That the
        name of a model is taken too ("default", "published") is deprecated.
    weights
        Folder that :func:`scllmda.tl.pretrain` wrote, for "epifoundation"; as ``recipe={"weights": folder}``.
    n_epochs
        Of a published system, in the place of its ``cell_epochs``, which are 400.
    client
        A ``dask.distributed.Client``, whose workers do the passes of the factorisation over the counts; the result is
        the same. They need scllmda, no file of counts, and may die on the way.
    key_added
        Slots to write.
    rng
        Seed or generator; the same gives the same bytes.
    device
        Torch device of networks and of the passes over the counts; "auto" takes a GPU when there is one, without a
        network if the cells have 17 million open peaks or more. The embedding is the same on either,
        with ``likelihood="poisson"`` but for last bits.
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
        (n_peaks,), float32: the peaks' base rates; of the factorisation.
    ``.uns[key_added]``
        ``params``, and the frozen decoder for :func:`scllmda.tl.map_cells`: ``cell_covariance``, ``peak_covariance``
        and ``cell_gram`` (k, k), the priors and the evidence behind the loadings; with sequence ``prior``, g as a
        linear map: ``mean`` and ``scale`` (d,) of the peak embeddings, ``weights`` (d, k), ``held_out_r2``. Of a
        published system ``history`` instead; of one that embeds by weights ``coverage``, numbers of its peaks and of
        the object's peaks and the share of its counts that it knows, and neither ``.varm`` nor ``.var``. Its vectors
        are as wide as its weights say.

    Raises
    ------
    KeyError
        No such layer, column or peak embeddings.
    ValueError
        Negative, NaN or infinite counts; no open peak (in every domain); peak embeddings of the wrong length; several
        peak embeddings and ``use_varm=None``; unknown model; a published system without peak embeddings; a parameter
        that has no effect with the model; no weights, or weights of another model or genome.
    TypeError
        Neither AnnData nor MuData; no Dask client.
    FileNotFoundError
        There are no such weights.

    See Also
    --------
    scllmda.tl.map_cells : Places new cells in the same space.
    scllmda.get.portable_reference : Passes the fit on without counts.
    scllmda.tl.graph_da_annotate : Carries labels over in the space.

    Examples
    --------
    >>> import scllmda as sl
    >>> adata, _ = sl.datasets.simulate()
    >>> sl.tl.embed_peaks(adata)
    >>> sl.tl.cell_embeddings(adata, n_latent=32)
    >>> adata.obsm["X_scllmda"].shape
    (600, 32)
    """
    require_client(client)
    model, recipe = _as_model(model, recipe)
    for name, value, known in (
        ("model", model, (FACTORISATION, *cell_models(), *embedding_models())),
        ("likelihood", likelihood, LIKELIHOODS),
        ("domain_peaks", domain_peaks, DOMAIN_PEAKS),
    ):
        if value not in known:
            msg = f"Unknown {name} {value!r}; expected one of {list(known)}."
            raise ValueError(msg)
    by_weights = model in embedding_models()
    of_factorisation = {"domain_key": domain_key, "batch_key": batch_key, "client": client}
    require_effect(f"with model={model!r}", of_factorisation, possible=model == FACTORISATION)
    require_effect(f"with model={model!r}", {"recipe": recipe}, possible=model != FACTORISATION)
    require_effect(f"with model={model!r}", {"n_epochs": n_epochs}, possible=model in cell_models())
    require_effect(f"with model={model!r}", {"weights": weights}, possible=by_weights)
    require_effect(f"with model={model!r}", {"use_varm": use_varm}, possible=not by_weights)
    if by_weights:
        of_weights = settings_of_weights(model, recipe, None if weights is None else fspath(weights))
        data, atac = resolve(adata, mod=mod, copy=copy)
        embed_by_weights(atac, model, of_weights, layer=layer, key_added=key_added, device=device)
        return data if copy else None
    settings = None if model == FACTORISATION else _settings(model, recipe, n_latent, n_epochs)
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
    if settings is not None and embeddings is None:
        msg = (
            f"model={model!r} learns from peak embeddings and found none that tell peaks apart. "
            "Run sl.tl.embed_peaks(adata) first."
        )
        raise ValueError(msg)

    start = logg.info(
        f"embedding {atac.n_obs} cells by {len(expected.evident)} of {atac.n_vars} peaks, "
        f"sequence: {use_varm or 'none'}"
    )
    generator = np.random.default_rng(rng)
    if settings is None:
        with on_workers(client), on_device(device):
            slots, found = _by_factorisation(blocks, expected, embeddings, n_latent, generator, key_added)
    else:
        assert embeddings is not None
        slots, found = _by_network(counts(atac, layer), embeddings, model, settings, generator, device, key_added)
    params = storable(
        use_varm=use_varm,
        layer=layer,
        domain_key=domain_key,
        domain_peaks=domain_peaks,
        batch_key=batch_key,
        likelihood=likelihood,
        n_latent=n_latent,
        model=model,
        recipe=settings,
        rng=rng,
    )
    write_slots(atac, {**slots, ("uns", key_added): {"params": params, **found}}, start=start)
    return data if copy else None


def _as_model(model: str, recipe: Mapping[str, Any] | str | None) -> tuple[str, Mapping[str, Any] | None]:
    """Return the model and its constants; what scllmda 0.1 called a recipe is a model."""
    if not isinstance(recipe, str):
        return model, recipe
    if recipe not in OLD_RECIPES:
        msg = f"Found recipe={recipe!r}; expected constants by name. Models are chosen by model=."
        raise ValueError(msg)
    instead = OLD_RECIPES[recipe]
    warnings.warn(
        f"cell_embeddings(recipe={recipe!r}) is deprecated and will be an error in scllmda 0.3: pass "
        f"model={instead!r}. recipe= holds the constants of a model.",
        FutureWarning,
        stacklevel=4,
    )
    return instead, None


def _settings(model: str, recipe: Mapping[str, Any] | None, n_latent: int, n_epochs: int | None) -> Any:
    """Return the constants of a published system, whose last hidden layer has as many units as a cell dimensions."""
    given, method = dict(recipe or {}), get_method(model)
    of_model = method.of_space - {"cells"}
    if others := sorted({field.name for field in fields(method.recipe)} & set(given) - of_model):
        msg = f"{others} in recipe= have no effect on cell embeddings; expected some of {sorted(of_model)}."
        raise ValueError(msg)
    if n_epochs is not None:
        given["cell_epochs"] = n_epochs
    hidden = given.get("cell_hidden", method.recipe().cell_hidden)
    return make_recipe(model, {**given, "cell_hidden": (*hidden[:-1], n_latent)})


def _by_factorisation(
    blocks: CountBlocks,
    expected: Margins,
    embeddings: NDArray[np.floating] | None,
    n_latent: int,
    rng: np.random.Generator,
    key: str,
) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """Return the slots of the package's own embedding, and its decoder."""
    fitted = fit(blocks, expected, n_latent, embeddings=embeddings, rng=rng)
    slots = {
        ("obsm", key): pad(fitted.cells, n_latent),
        ("varm", key): pad(fitted.decoder.loadings, n_latent),
        ("var", base_rate(key)): fitted.decoder.rate,
    }
    return slots, decoder_slots(fitted.decoder)


class _Peaks(Source):
    """All counts and peak embeddings of an object."""

    def __init__(self, X: sp.csr_matrix, embeddings: NDArray[np.floating]) -> None:
        self._X, self._embeddings = X, embeddings

    @property
    def counts(self) -> sp.csr_matrix:
        """(n_cells, n_peaks) 1 where a peak is open."""
        return self._X

    @property
    def peak_embeddings(self) -> NDArray[np.floating]:
        """(n_peaks, d)."""
        return self._embeddings


def _by_network(
    X: sp.csr_matrix,
    embeddings: NDArray[np.floating],
    model: str,
    settings: Any,
    rng: np.random.Generator,
    device: str,
    key: str,
) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """Return the slots of a published system's first stage, and its history."""
    X.data[:] = 1
    source = _Peaks(X, embeddings)
    found = represent(source, X.shape[0], method=get_method(model), recipe=settings, rng=rng, device=device)
    return {("obsm", key): found.cells, ("varm", key): found.peaks}, {"history": dict(found.history)}
