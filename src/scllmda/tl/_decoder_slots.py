"""The frozen decoder of a fitted object, to slots and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._keys import CELL_EMBEDDING, base_rate
from ..factorisation import Decoder, SequencePrior

_SQUARE = ("cell_covariance", "peak_covariance", "cell_gram")


def pad(columns: NDArray[np.float32], n_latent: int) -> NDArray[np.float32]:
    """Return (n, n_latent): the k dimensions of the fit (n, k), followed by columns of zeros."""
    return np.pad(columns, ((0, 0), (0, max(n_latent - columns.shape[1], 0))))


def decoder_slots(decoder: Decoder) -> dict[str, Any]:
    """Return the parts of a decoder that go to ``.uns``. What belongs to a peak lies in ``.var`` and ``.varm``."""
    slots = {name: getattr(decoder, name) for name in _SQUARE}
    return slots if decoder.prior is None else slots | {"prior": asdict(decoder.prior)}


def is_embedding(adata: AnnData, key: str) -> bool:
    """Return whether a cell embedding, fitted or mapped, was written under a key."""
    found = adata.uns.get(key)
    return isinstance(found, Mapping) and "params" in found and "classes" not in found


def is_fitted(adata: AnnData, key: str) -> bool:
    """Return whether a decoder was written under a key."""
    return is_embedding(adata, key) and "cell_gram" in adata.uns[key]


def read_decoder(adata: AnnData, key: str) -> Decoder:
    """Return the decoder of a fitted object.

    Raises
    ------
    KeyError
        The object was not fitted, or by the published recipe, which has no decoder for new cells.
    ValueError
        Dimensions of the slots do not fit together, or they hold NaN.
    """
    fitted = adata.uns.get(key)
    of_peak, named = base_rate(key), "" if key == CELL_EMBEDDING else f", key_added={key!r}"
    if (
        key not in adata.varm
        or of_peak not in adata.var
        or not isinstance(fitted, Mapping)
        or "cell_gram" not in fitted
    ):
        msg = (
            f"The reference is not fitted: expected .varm[{key!r}], .var[{of_peak!r}] and a decoder in .uns[{key!r}], "
            f"found varm {sorted(adata.varm)}, var {sorted(adata.var)} and uns {sorted(adata.uns)}. Run "
            f"sl.tl.cell_embeddings(reference{named}) first; again, if it was fitted by scllmda 0.1."
        )
        raise KeyError(msg)
    loadings = np.asarray(adata.varm[key], dtype=np.float32)
    rate = adata.var[of_peak].to_numpy(np.float32)
    square = {name: np.asarray(fitted[name], dtype=np.float64) for name in _SQUARE}
    k = len(square["cell_gram"])
    if any(v.shape != (k, k) for v in square.values()) or loadings.ndim != 2 or loadings.shape[1] < k:
        msg = (
            f".uns[{key!r}] was fitted in {k} dimensions, and .varm[{key!r}] has shape {loadings.shape}; expected as "
            "many at least. Run sl.tl.cell_embeddings(reference) again."
        )
        raise ValueError(msg)
    if not np.isfinite(rate).all() or not np.isfinite(loadings).all():
        msg = (
            f".var[{of_peak!r}] or .varm[{key!r}] holds NaN or infinite values, as after joining objects of other "
            "peaks; expected finite ones. Run sl.tl.cell_embeddings(reference) again."
        )
        raise ValueError(msg)
    prior = None
    if "prior" in fitted:
        stored = fitted["prior"]
        mean, scale, weights = (np.asarray(stored[name]) for name in ("mean", "scale", "weights"))
        prior = SequencePrior(mean, scale, weights, float(stored["held_out_r2"]))
    return Decoder(loadings[:, :k], rate, rate, **square, prior=prior)
