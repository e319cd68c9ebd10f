"""The vectors of peaks' DNA that an object carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._keys import SEQUENCE

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray


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
