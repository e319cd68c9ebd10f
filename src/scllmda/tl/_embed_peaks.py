"""Peak sequences to peak vectors."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData

from .. import _logging as logg
from .. import encoders
from .._anndata import claim_slots, require_peaks_only, resolve, write_slots
from .._checks import checked
from .._counts import counts
from .._keys import SEQUENCE, peak_embedding
from ..encoders import Texts, VectorCache, describe, encode_sequences
from ..genomics import fasta_of
from ..pp import peak_windows, warn_if_unknown
from ._params import require_client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mudata import MuData

    from ..encoders import PeakEncoder, Sequences


@checked
def embed_peaks(
    adata: AnnData | MuData,
    encoder: str | PeakEncoder = "kmer",
    *,
    sequence_key: str = SEQUENCE,
    layer: str | None = None,
    key_added: str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    cache_dir: str | PathLike[str] | None = None,
    client: Any = None,
    genome: Any = None,
    window: int | None = None,
    mod: str = "atac",
    copy: bool = False,
) -> AnnData | MuData | None:
    """Embed the DNA sequence under every peak.

    Equal sequences are encoded once, whatever their case. The order of the peaks, a cache and a cluster change nothing
    in the vectors: sequences are sorted and cut into shards of 1,024, which are computed and cached one by one.

    Parameters
    ----------
    adata
        Cells × peaks with the sequences of ``sl.pp.peak_sequences``, or a MuData that holds them.
    encoder
        Name of an encoder (``sl.get.encoders()`` lists them), or any object like `scllmda.encoders.PeakEncoder`.
    sequence_key
        Column of ``.var`` with the sequences, not read if there is a ``genome``.
    layer
        Layer with the counts, ``.X`` if None; read by encoders that learn from openness.
    key_added
        Slot to write, ``f"X_{encoder.name}"`` if None.
    device
        Where a named encoder runs: "cpu", "cuda", …; "auto" takes a GPU when the encoder can use one.
    batch_size
        Sequences per call of the encoder, a shard at once if None: encoders split their work themselves.
    cache_dir
        Folder where vectors are kept, by encoder, revision and sequence, and looked up. A call that was killed goes on
        from its last shard, and a call with further peaks encodes only these. Several processes may share it. None
        keeps nothing: there is no hidden cache, for no encoder.
    client
        A ``dask.distributed.Client``: its workers encode, this process fills the cache. They need scllmda and, for a
        named encoder, its weights; an encoder object is sent to them. With ``genome``, they read the FASTA, which must
        be at the same path for them, and this process holds positions of peaks, never all sequences. Workers of another
        processor, device or number of threads may give other last bits than this one.
    genome
        FASTA to read the sequences from, as in :func:`scllmda.pp.peak_sequences`, instead of ``.var[sequence_key]``,
        a block at a time, unless the encoder learns from all of them. They are not written to the object. Peaks on
        contigs that the FASTA lacks have no sequence. Each worker of a ``client`` unpacks a compressed one for itself.
    window
        With ``genome``: width of the sequences in base pairs, as in :func:`scllmda.pp.peak_sequences`.
    mod
        Modality of a MuData that holds the peaks.
    copy
        Work on a copy and return it.

    Returns
    -------
    None, or the copy if ``copy``. Sets:

    ``.varm[key_added]``
        float32, peaks × dimensions of the encoder. Rows of NaN are peaks without a sequence: no A, C, G or T.
    ``.uns[key_added]``
        ``encoder`` (name), ``revision`` and ``n_dims``: what the vectors came from.

    Raises
    ------
    KeyError
        ``.var`` has no column ``sequence_key``.
    ValueError
        There are no peaks; sequences are missing, not strings or all without a known base; the encoder's name is
        unknown; ``device``, ``batch_size``, ``window`` or ``key_added`` is unusable; the genome is not that of the
        peaks, or it changed meanwhile; a worker has another file at its path; or the encoder returned vectors of the
        wrong shape, or with NaN or infinite values.
    TypeError
        ``encoder`` is neither a name nor an encoder, or ``client`` no Dask client.
    FileNotFoundError
        There is no such genome, here or for a worker.
    OSError
        ``cache_dir`` cannot be written to, or is full; then what was finished is in it.

    See Also
    --------
    scllmda.pp.peak_sequences : Writes the sequences.
    scllmda.get.encoders : Lists the encoders.
    scllmda.tl.cell_embeddings : Uses the vectors as prior.

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
    if window is not None and genome is None:
        msg = f"Found window={window} without a genome. Pass genome= the FASTA to read windows from, or leave it out."
        raise ValueError(msg)
    require_client(client)
    data, atac = resolve(adata, mod=mod, copy=copy)
    require_peaks_only(atac)
    if atac.n_vars == 0:
        msg = "Found no peaks, expected at least one."
        raise ValueError(msg)
    recipe = (encoder, device) if isinstance(encoder, str) else None
    encoder = pick_encoder(encoder, device)
    key = peak_embedding(encoder.name) if key_added is None else key_added
    origin = atac.uns.get(key)
    is_ours = isinstance(origin, Mapping) and {"encoder", "revision"} <= set(origin)
    claim_slots(atac, [("varm", key), ("uns", key)], read={}, is_ours=is_ours)
    # A cache goes by the revision, which an encoder that learns has only when it has learnt.
    learns = encoders.needs_fit(encoder)
    cache = None if cache_dir is None or learns else VectorCache(cache_dir, encoder)
    dna: AbstractContextManager[Sequences]
    if genome is None:
        dna = nullcontext(describe(Texts(_stored_sequences(atac, sequence_key))))
    else:
        dna = _genome_sequences(atac, fasta_of(genome), window, client, as_text=learns)
    with dna as sequences:
        n_known = int(sequences.is_known.sum())
        if n_known == 0:
            msg = (
                f"None of the {atac.n_vars} peaks (first: {atac.var_names[0]!r}) has a known base; expected A, C, G "
                "and T. Read their sequences from the FASTA that they were called on: genome=."
            )
            raise ValueError(msg)

        learn_from = counts(atac, layer) if learns else None
        start = logg.info(f"embedding {n_known} peaks with {encoder.name!r}")
        if n_known < atac.n_vars:
            logg.warning(
                f"{atac.n_vars - n_known} of {atac.n_vars} peaks have no sequence, nothing but N: "
                f"their rows of .varm[{key!r}] are NaN."
            )
        if encoders.needs_fit(encoder):
            encoder.fit(sequences.source.read(sequences.reader), learn_from)
            # Workers would make an unfitted one of the name.
            recipe = None
            cache = None if cache_dir is None else VectorCache(cache_dir, encoder)
        vectors = encode_sequences(encoder, sequences, cache=cache, client=client, recipe=recipe, batch_size=batch_size)
    origin = {"encoder": encoder.name, "revision": encoder.revision, "n_dims": encoder.n_dims}
    write_slots(atac, {("varm", key): vectors, ("uns", key): origin}, start=start)
    return data if copy else None


def _stored_sequences(adata: AnnData, key: str) -> list[str]:
    """Return the validated sequence of each peak."""
    if key not in adata.var:
        msg = (
            f"Did not find .var[{key!r}], expected the sequence of every peak. Run sl.pp.peak_sequences(adata, genome) "
            "first, pass sequence_key= the column that holds them, or genome= the FASTA to read them from."
        )
        raise KeyError(msg)
    column = adata.var[key]
    sequences = column.tolist()
    is_text = np.fromiter((isinstance(sequence, str) for sequence in sequences), dtype=bool, count=len(sequences))
    if not is_text.all():
        n_missing = int(column.isna().sum())
        msg = (
            f".var[{key!r}] of {adata.n_vars} peaks: {n_missing} missing, {(~is_text).sum() - n_missing} not text; "
            "expected a DNA string for each. Run sl.pp.peak_sequences(adata, genome) again, or keep the peaks that "
            f"have one: adata[:, adata.var[{key!r}].notna()]."
        )
        raise ValueError(msg)
    return sequences


@contextmanager
def _genome_sequences(
    adata: AnnData, fasta: Path, window: int | None, client: Any, *, as_text: bool
) -> Iterator[Sequences]:
    """Open a FASTA and describe the sequences of the peaks there: they are read in turn, or now if ``as_text``."""
    start = logg.info(f"reading the sequences of {adata.n_vars} peaks")
    with peak_windows(adata.var, fasta, window=window, missing="n") as (file, windows):
        if as_text:
            sequences = describe(Texts(windows.read_in_chunks(file).tolist()))
        else:
            sequences = describe(windows, file, client)
        logg.info("    finished", time=start)
        warn_if_unknown(int((~sequences.is_known).sum()), adata.n_vars, fasta)
        yield sequences


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
        msg = (
            f"device={device!r} is for encoders given by name; {encoder.name!r} is an object: leave device out, or set "
            "it there."
        )
        raise ValueError(msg)
    return encoder
