"""Write the DNA under every peak."""

from __future__ import annotations

from contextlib import contextmanager
from os import PathLike, fspath
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

from .. import _logging as logg
from .._anndata import claim_slots, require_peaks_only, resolve, write_slots
from .._checks import checked
from .._files import columns_of_their_own
from .._keys import SEQUENCE
from ..genomics import ACCEPTED_FORMS, CHROM_COLUMNS, fasta_of, fasta_windows, peak_positions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    import numpy.typing as npt
    from anndata import AnnData
    from mudata import MuData

    from ..genomics import FastaFile, FastaWindows


class Genome(Protocol):
    """Anything that knows its FASTA, such as a SnapATAC2 ``Genome``."""

    @property
    def fasta(self) -> str | PathLike[str]:
        """Path of the FASTA."""


@checked
def peak_sequences(
    adata: AnnData | MuData,
    genome: str | PathLike[str] | Genome | None = None,
    *,
    window: int | None = None,
    missing: Literal["raise", "drop", "n"] = "raise",
    key_added: str | None = SEQUENCE,
    mod: str = "atac",
    copy: bool = False,
) -> AnnData | MuData | None:
    r"""Write the DNA sequence under every peak.

    Peaks are read from ``.var["chrom"]`` (or ``"chr"``, ``"seqnames"``), ``.var["start"]`` and ``.var["end"]``, 0-based
    and half-open, if all are there, else from ``.var_names`` such as ``chr1:100-200``. ``chr1`` finds ``1`` in the
    FASTA, and the other way round. Peaks of which it is not known where they lie are left without a known base, or
    dropped, with a warning (see :func:`scllmda.genomics.peak_positions`).

    A few peaks that start inside their contig and end after it, as where peaks were widened, get N beyond its end and
    are warned about: at most 1 % of the peaks, or one.

    Parameters
    ----------
    adata
        Cells × peaks, or a MuData with the modality ``mod``.
    genome
        Path of the FASTA of the genome build that the peaks were called on (plain, gzipped or bgzipped; a compressed
        one is unpacked into a temporary folder at each call; the ``.fai`` of a plain one is used if it fits the file,
        and made again if not), or an object whose ``.fasta`` is that path, such as ``snapatac2.genome.hg38``. ``None``
        takes ``.uns["files"]["genome"]``, where ``muon.atac.tl.locate_genome`` writes it.
    window
        Width in base pairs of the sequences, centered on ``(start + end) // 2``; N beyond the ends of the contig.
        ``None`` takes the peaks themselves.
    missing
        What becomes of peaks whose contig is not in the FASTA: ``"raise"`` an error, ``"drop"`` them from the object,
        or give them a sequence of ``"n"``.
    key_added
        Column of ``.var`` to write. ``None`` reads and checks the sequences and stores nothing:
        ``sl.tl.embed_peaks(adata, genome=...)`` reads them again for the time of encoding.
    mod
        Modality of a MuData that holds the peaks.
    copy
        Return a copy instead of writing to ``adata``.

    Returns
    -------
    ``None``, or the copy. Writes

    `.var[key_added]` : :class:`str`
        Sequence of each peak, upper-case A, C, G, T; N for other IUPAC codes, gaps and X, and beyond the ends of the
        contig.

    With ``missing="drop"`` the object has lost the peaks without a contig.

    Raises
    ------
    FileNotFoundError
        There is no such FASTA.
    ValueError
        No genome given or noted in the object; more than a tenth of the peaks are no intervals; no valid FASTA, or
        proteins or blanks in it; contigs that the FASTA lacks; more than a few peaks past the end of their contig, or
        more than one in 10,000 that starts there, whatever ``missing`` says, since they belong to another genome build;
        peaks to drop from a backed AnnData or a view of a MuData; or no peak that would be left.
    TypeError
        ``adata`` or ``genome`` is of another type.
    KeyError
        The MuData has no modality ``mod``.

    See Also
    --------
    scllmda.tl.embed_peaks : Makes a vector of each sequence.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from anndata import AnnData
    >>> from scllmda.pp import peak_sequences
    >>> adata = AnnData(np.ones((1, 2)), var=pd.DataFrame(index=["chr1:0-3", "chr1:4-8"]))
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "genome.fa").write_text(">chr1\nacgtacgt\n")
    ...     peak_sequences(adata, f"{folder}/genome.fa")
    >>> adata.var["sequence"].tolist()
    ['ACG', 'ACGT']
    """
    data, atac = resolve(adata, mod=mod, copy=copy)
    require_peaks_only(atac)
    if missing == "drop":
        _require_droppable(data, atac)
    if key_added is not None:
        positions = {("var", name): "positions" for name in (*CHROM_COLUMNS, "start", "end") if name in atac.var}
        claim_slots(atac, [("var", key_added)], read=positions, is_ours=_is_dna(atac, key_added))
    fasta = _fasta_path(genome, data, atac)
    start = logg.info(f"reading the sequences of {atac.n_vars} peaks")
    with peak_windows(atac.var, fasta, window=window, missing=missing) as (file, windows):
        kept = windows.contig >= 0 if missing == "drop" else np.ones(atac.n_vars, dtype=bool)
        if not kept.any() and len(kept):
            msg = (
                f"None of the {len(kept)} peaks lies on a contig of {fasta!r} (first peak: {atac.var_names[0]}); "
                "dropping them would leave no peak. Pass the FASTA of the genome that the peaks were called on."
            )
            raise ValueError(msg)
        sequences = windows.take(kept).read_in_chunks(file)
    warn_if_unknown(int(pd.Series(sequences, dtype=object).str.strip("N").eq("").sum()), len(sequences), fasta)
    if not kept.all():
        _drop_peaks(data, atac, kept)
    write_slots(atac, {} if key_added is None else {("var", key_added): sequences}, start=start)
    return data if copy else None


@contextmanager
def peak_windows(
    var: pd.DataFrame, fasta: str | PathLike[str], *, window: int | None, missing: Literal["raise", "drop", "n"]
) -> Iterator[tuple[FastaFile, FastaWindows]]:
    """Open a FASTA and find there the window of every peak of ``.var``, with all checks of :func:`peak_sequences`.

    Peaks of which it is not known where they lie have a window of nothing but N, as have those on contigs that the
    FASTA lacks.

    Parameters
    ----------
    var
        n peaks.
    fasta
        Path of the FASTA.
    window
        Width in base pairs, that of the peaks if None.
    missing
        ``"raise"`` an error for contigs that the FASTA lacks.
    """
    where = peak_positions(var)
    if len(var) and not len(where.rows):
        msg = (
            f"None of the {len(var)} peaks is an interval by its name (first: {var.index[0]!r}); expected "
            f"{ACCEPTED_FORMS}, or positions in .var['chrom'], .var['start'] and .var['end']."
        )
        raise ValueError(msg)
    for remark in where.remarks:
        logg.warning(remark)
    with fasta_windows(fasta, where.intervals, window=window, missing=missing) as (file, known):
        yield file, known.among(len(var), where.rows, window or 1)


def warn_if_unknown(n_unknown: int, n: int, fasta: str | PathLike[str]) -> None:
    """Warn if more than half of n sequences have no known base."""
    if n_unknown > n / 2:
        logg.warning(
            f"{n_unknown} of {n} sequences are nothing but N. Check that the peaks were called on the genome build of "
            f"{fspath(fasta)!r}, and that the FASTA is not masked."
        )


def _fasta_path(genome: str | PathLike[str] | Genome | None, data: AnnData | MuData, atac: AnnData) -> str:
    if genome is None:
        noted = [holder.uns["files"]["genome"] for holder in (atac, data) if "genome" in holder.uns.get("files", {})]
        if not noted:
            msg = (
                "Found neither genome= nor .uns['files']['genome']; expected the FASTA that the peaks were called on. "
                "Pass its path, or note it with muon.atac.tl.locate_genome(adata, path)."
            )
            raise ValueError(msg)
        genome = noted[0]
    return fspath(fasta_of(genome))


def _is_dna(adata: AnnData, column: str) -> bool:
    """Return whether a column of ``.var`` holds sequences, by the first of them."""
    return column in adata.var and bool(adata.var[column].iloc[:100].astype(str).str.fullmatch("[ACGTN]*").all())


def _require_droppable(data: AnnData | MuData, atac: AnnData) -> None:
    if atac.isbacked:
        msg = (
            "Found a backed AnnData and missing='drop'; peaks can only be dropped from one in memory. "
            "Call .to_memory() before, or pass missing='n'."
        )
        raise ValueError(msg)
    if data.is_view:
        msg = (
            "Found a view of a MuData and missing='drop'; peaks can only be dropped from a MuData of its own. "
            "Call .copy() before, or pass copy=True or missing='n'."
        )
        raise ValueError(msg)


def _drop_peaks(data: AnnData | MuData, atac: AnnData, kept: npt.NDArray[np.bool_]) -> None:
    logg.info(f"    dropping {(~kept).sum()} of {len(kept)} peaks, their contigs are not in the FASTA")
    atac._inplace_subset_var(kept)
    if data is not atac:
        # The axes have to follow.
        with columns_of_their_own():
            data.update()
