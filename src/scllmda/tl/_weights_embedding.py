"""Cell embeddings by the weights of a pre-training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anndata import AnnData

from .. import _logging as logg
from .._anndata import claim_slots, require_peaks, write_slots
from ..methods import get as get_method
from ..methods import make_recipe
from ._decoder_slots import is_embedding
from ._params import storable
from ._unlabeled import unlabeled_cells


def settings_of_weights(model: str, recipe: Mapping[str, Any] | None, weights: str | None) -> Any:
    """Return the constants of a model that embeds cells by weights.

    Raises
    ------
    TypeError, ValueError
        No such constant; weights given twice, or not at all.
    """
    given = dict(recipe or {})
    if weights is not None:
        if given.get("weights", weights) != weights:
            msg = f"Found weights={weights!r} and recipe={{'weights': {given['weights']!r}}}; expected one of both."
            raise ValueError(msg)
        given["weights"] = weights
    found = make_recipe(model, given)
    if found.weights is None:
        msg = (
            f"model={model!r} embeds cells by the weights of a pre-training, and there are none. Pass weights= the "
            f"folder that sl.tl.pretrain(mdata, {model!r}, output=folder) wrote."
        )
        raise ValueError(msg)
    return found


def embed_by_weights(
    adata: AnnData, model: str, settings: Any, *, layer: str | None, key_added: str, device: str
) -> None:
    """Write the vectors that a pre-trained network makes of cells.

    Parameters
    ----------
    adata
        Written to.
    model
        Name of a method that embeds cells.
    settings
        Its constants.
    layer
        With the counts, ``.X`` if None.
    key_added
        Slots to write.
    device
        Torch device.
    """
    require_peaks(adata)
    claim_slots(adata, [("obsm", key_added), ("uns", key_added)], read={}, is_ours=is_embedding(adata, key_added))
    method = get_method(model)
    assert method.embed is not None
    start = logg.info(f"embedding {adata.n_obs} cells by the weights {settings.weights!r}")
    cells, numbers = method.embed(unlabeled_cells(adata, layer), settings, device)
    params = storable(layer=layer, model=model, n_latent=cells.shape[1], recipe=settings)
    write_slots(
        adata,
        {("obsm", key_added): cells, ("uns", key_added): {"params": params, "coverage": dict(numbers)}},
        start=start,
    )
