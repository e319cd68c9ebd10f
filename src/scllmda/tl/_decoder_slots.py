"""The frozen decoder of a fitted object, to slots and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from ..factorisation import Decoder, SequencePrior

_SQUARE = ("cell_covariance", "peak_covariance", "cell_gram")


def pad(columns: NDArray[np.float32], n_latent: int) -> NDArray[np.float32]:
    """Return (n, n_latent): the dimensions that counts supported (n, k), followed by zeros."""
    return np.pad(columns, ((0, 0), (0, max(n_latent - columns.shape[1], 0))))


def decoder_slots(decoder: Decoder) -> dict[str, Any]:
    """Return what goes to ``.uns`` of a decoder whose padded loadings go to ``.varm``."""
    slots = {"rate": decoder.rate, **{name: getattr(decoder, name) for name in _SQUARE}}
    return slots if decoder.prior is None else slots | {"prior": asdict(decoder.prior)}


def read_decoder(adata: AnnData, key: str) -> Decoder:
    """Return the decoder of a fitted object.

    Raises
    ------
    KeyError
        The object was not fitted, or by the published recipe, which has no decoder for new cells.
    ValueError
        Peaks or dimensions of the slots do not fit together.
    """
    fitted = adata.uns.get(key)
    if key not in adata.varm or not isinstance(fitted, dict) or "cell_gram" not in fitted:
        msg = (
            f"The reference is not fitted: expected .varm[{key!r}] and a decoder in .uns[{key!r}], found varm "
            f"{sorted(adata.varm)} and uns {sorted(adata.uns)}. Run sl.tl.cell_embeddings(reference) first."
        )
        raise KeyError(msg)
    loadings = np.asarray(adata.varm[key], dtype=np.float32)
    rate = np.asarray(fitted["rate"], dtype=np.float32)
    square = {name: np.asarray(fitted[name], dtype=np.float64) for name in _SQUARE}
    k = len(square["cell_gram"])
    if len(rate) != adata.n_vars or any(v.shape != (k, k) for v in square.values()) or loadings.shape[1] < k:
        msg = (
            f".uns[{key!r}] was fitted to {len(rate)} peaks in {k} dimensions, and .varm[{key!r}] has "
            f"{adata.n_vars} and {loadings.shape[1]}; expected the same. "
            "Was it subset after sl.tl.cell_embeddings(reference)? Run that again."
        )
        raise ValueError(msg)
    prior = None
    if "prior" in fitted:
        stored = fitted["prior"]
        mean, scale, weights = (np.asarray(stored[name]) for name in ("mean", "scale", "weights"))
        prior = SequencePrior(mean, scale, weights, float(stored["held_out_r2"]))
    return Decoder(loadings[:, :k], rate, rate, **square, prior=prior)
