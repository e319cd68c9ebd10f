"""Peak sequences to peak vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm import tqdm

from .. import _logging as logg
from .. import encoders
from .._anndata import resolve, write_slots
from .._keys import SEQUENCE, peak_embedding
from ._params import require_slot_name

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from ..encoders import PeakEncoder


def embed_peaks(
    adata: AnnData | MuData,
    encoder: str | PeakEncoder = "kmer",
    *,
    sequence_key: str = SEQUENCE,
    key_added: str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    mod: str = "atac",
    copy: bool = False,
) -> AnnData | MuData | None:
    """Embed the DNA sequence under every peak.

    Equal sequences are encoded once.

    Parameters
    ----------
    adata
        Cells × peaks with the sequences of ``sl.pp.peak_sequences``, or a MuData that holds them.
    encoder
        Name of an encoder (``sl.get.encoders()`` lists them), or any object like `scllmda.encoders.PeakEncoder`.
    sequence_key
        Column of ``.var`` with the sequences.
    key_added
        Slot to write, ``f"X_{encoder.name}"`` if None.
    device
        Where a named encoder runs: "cpu", "cuda", …; "auto" takes a GPU when the encoder can use one.
    batch_size
        Sequences per call of the encoder, all at once if None: encoders split their work themselves.
    mod
        Modality of a MuData that holds the peaks.
    copy
        Work on a copy and return it.

    Returns
    -------
    None, or the copy if ``copy``. Sets:

    ``.varm[key_added]``
        float32, peaks × dimensions of the encoder.
    ``.uns[key_added]``
        ``encoder`` (name), ``revision`` and ``n_dims``: what the vectors came from.

    Raises
    ------
    KeyError
        ``.var`` has no column ``sequence_key``.
    ValueError
        There are no peaks; sequences are missing or not strings; the encoder's name is unknown; ``device``,
        ``batch_size`` or ``key_added`` is unusable; or the encoder returned vectors of the wrong shape, or with NaN or
        infinite values.
    TypeError
        ``encoder`` is neither a name nor an encoder.

    Examples
    --------
    >>> import anndata as ad
    >>> import scllmda as sl
    >>> adata = ad.AnnData(shape=(0, 2))
    >>> adata.var["sequence"] = ["ACGTACGT", "TTTTGGGG"]
    >>> sl.tl.embed_peaks(adata)
    >>> adata.varm["X_kmer"].shape
    (2, 514)
    """
    if batch_size is not None and batch_size < 1:
        msg = f"batch_size={batch_size} found, expected a positive integer, or None for the encoder's own choice."
        raise ValueError(msg)
    data, atac = resolve(adata, mod=mod, copy=copy)
    codes, sequences = _distinct_sequences(atac, sequence_key)
    encoder = pick_encoder(encoder, device)
    key = peak_embedding(encoder.name) if key_added is None else key_added
    require_slot_name(key)

    start = logg.info(f"embedding {codes.size} peaks, {len(sequences)} distinct, with {encoder.name!r}")
    vectors = _encode(encoder, sequences, batch_size)
    if len(sequences) < codes.size:
        vectors = vectors[codes]
    origin = {"encoder": encoder.name, "revision": encoder.revision, "n_dims": encoder.n_dims}
    write_slots(atac, {("varm", key): vectors, ("uns", key): origin}, start=start)
    return data if copy else None


def _distinct_sequences(adata: AnnData, key: str) -> tuple[np.ndarray, list[str]]:
    """Return the place of each peak's sequence among the distinct ones, and those, validated."""
    if key not in adata.var:
        msg = (
            f"Did not find .var[{key!r}], expected the sequence of every peak. "
            "Run sl.pp.peak_sequences(adata, genome) first, or pass sequence_key= the column that holds them."
        )
        raise KeyError(msg)
    if adata.n_vars == 0:
        msg = "Found no peaks, expected at least one."
        raise ValueError(msg)
    codes, distinct = pd.factorize(adata.var[key])
    not_text = [i for i, sequence in enumerate(distinct) if not isinstance(sequence, str)]
    n_missing = int((codes == -1).sum())
    n_not_text = int(np.isin(codes, not_text).sum())
    if n_missing or n_not_text:
        msg = (
            f".var[{key!r}] of {adata.n_vars} peaks: {n_missing} missing, {n_not_text} not text; expected a DNA string "
            "for each. Run sl.pp.peak_sequences(adata, genome) again, or keep the peaks that have one: "
            f"adata[:, adata.var[{key!r}].notna()]."
        )
        raise ValueError(msg)
    return codes, list(distinct)


def pick_encoder(encoder: str | PeakEncoder, device: str) -> PeakEncoder:
    """Return a named encoder, or the object itself if it is one."""
    if isinstance(encoder, str):
        return encoders.get(encoder, device=device)
    if not isinstance(encoder, encoders.PeakEncoder) or isinstance(encoder, type):
        msg = (
            f"Found encoder={encoder!r}, expected a name or an object with name, revision, n_dims and encode(). "
            "sl.get.encoders() lists the names, sl.encoders.PeakEncoder describes the object."
        )
        raise TypeError(msg)
    if device != "auto":
        msg = f"device={device!r} is for encoders given by name; {encoder.name!r} is an object: set its device there."
        raise ValueError(msg)
    return encoder


def _encode(encoder: PeakEncoder, sequences: list[str], batch_size: int | None) -> np.ndarray:
    """Return the checked vectors, encoded in batches with a progress bar."""
    if batch_size is None:
        return _checked(encoder.encode(sequences, progress=True), encoder, len(sequences))
    vectors = np.empty((len(sequences), encoder.n_dims), dtype=np.float32)
    with tqdm(total=len(sequences), desc=encoder.name, unit=" sequences", disable=None) as bar:
        for first in range(0, len(sequences), batch_size):
            batch = sequences[first : first + batch_size]
            vectors[first : first + len(batch)] = _checked(encoder.encode(batch), encoder, len(batch))
            bar.update(len(batch))
    return vectors


def _checked(vectors: np.ndarray, encoder: PeakEncoder, n: int) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.shape != (n, encoder.n_dims):
        msg = (
            f"The encoder {encoder.name!r} returned an array of shape {vectors.shape} for {n} sequences, "
            f"expected {(n, encoder.n_dims)}. Mend its encode() or its n_dims."
        )
        raise ValueError(msg)
    n_bad = int((~np.isfinite(vectors)).any(axis=1).sum())
    if n_bad:
        msg = (
            f"The encoder {encoder.name!r} returned NaN or infinite values for {n_bad} of {n} sequences, "
            "expected finite ones. Mend its encode()."
        )
        raise ValueError(msg)
    return vectors
