"""The motifs of an object's peaks, as the tools that read motifs need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _logging as logg
from .._genome_notes import noted_build
from ..genomics import JASPAR, Motif, gc_content, motifs_in, read_motifs, taxonomic_group
from ..pp import peak_sequences
from ._peak_embeddings import has_known_base

if TYPE_CHECKING:
    import scipy.sparse as sp
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PeakMotifs:
    """Motifs, and which peaks have a site of which."""

    motifs: list[Motif]
    matches: sp.csr_matrix
    """(n_peaks, n_motifs), bool."""
    gc: NDArray[np.float64]
    """(n_peaks,): share of G and C; NaN for peaks of which no base is known."""

    def table(self) -> pd.DataFrame:
        """Return a row per motif, by its id: ``name``, ``family`` ("" if not known), ``n_peaks`` with a site."""
        return pd.DataFrame(
            {
                "name": [motif.name for motif in self.motifs],
                "family": [motif.family or "" for motif in self.motifs],
                "n_peaks": np.asarray(self.matches.sum(axis=0)).ravel().astype(np.int64),
            },
            index=pd.Index([motif.id for motif in self.motifs], dtype=object),
        )


def motifs_of(adata: AnnData, source: Any, tax_group: str | None) -> list[Motif]:
    """Return motifs, those of JASPAR for the species of the peaks' genome if ``source`` does not say which.

    Raises
    ------
    ValueError
        None of them is of the taxonomic group of the genome that the object notes.
    """
    note = noted_build(adata, "data")
    of_genome = None if note is None or note.build is None else taxonomic_group(note.build)
    motifs = read_motifs(source, tax_group=tax_group or of_genome or "vertebrates")
    groups = {motif.tax_group for motif in motifs if motif.tax_group is not None}
    if of_genome is not None and note is not None and groups and of_genome not in groups:
        msg = (
            f"The motifs are of {', '.join(sorted(groups))} and the peaks of {note.text!r} ({note.where}), of "
            f"{of_genome}; expected motifs of one group with the genome. Pass motifs= or tax_group={of_genome!r}, or "
            f"correct {note.where}."
        )
        raise ValueError(msg)
    if groups and of_genome is None and tax_group is None and (source is None or isinstance(source, str)):
        logg.info(f"    motifs of {', '.join(sorted(groups))}: .uns['genome'] names no known build that says otherwise")
    return motifs


def source_name(source: Any) -> str:
    """Return in one word where motifs are from, for what is stored with a result."""
    if source is None:
        return JASPAR
    return str(source) if isinstance(source, str | PathLike) else type(source).__name__


def require_sequences(adata: AnnData, sequence_key: str, genome: Any) -> None:
    """Raise KeyError if it is not known what DNA is under the peaks."""
    if sequence_key in adata.var or genome is not None:
        return
    msg = (
        f"Did not find .var[{sequence_key!r}], the DNA under each peak. Run sl.pp.peak_sequences(adata, genome) first, "
        "with the FASTA that the peaks were called on, or pass genome= its path."
    )
    raise KeyError(msg)


def peak_motifs(adata: AnnData, motifs: list[Motif], *, p_value: float, sequence_key: str, genome: Any) -> PeakMotifs:
    """Return which peaks have a site of which motif.

    Parameters
    ----------
    adata
        Object with peaks. Not changed.
    motifs
        Motifs.
    p_value
        Of a site.
    sequence_key
        Column of ``.var`` with sequences.
    genome
        FASTA to read them from instead.
    """
    dna = _sequences(adata, sequence_key, genome)
    gc = gc_content(dna)
    n_known = int(np.isfinite(gc).sum())
    if n_known < len(gc):
        logg.warning(f"{len(gc) - n_known} of {len(gc)} peaks have no known base, and take no part.")
    logg.info(f"    looking for {len(motifs)} motifs in {sum(map(len, dna)):,} bases")
    return PeakMotifs(motifs, motifs_in(dna, motifs, p_value=p_value), gc)


def _sequences(adata: AnnData, key: str, genome: Any) -> Sequence[str]:
    if genome is None:
        column = adata.var[key]
    else:
        scratch = AnnData(var=adata.var.copy())
        peak_sequences(scratch, genome, missing="n", key_added=key)
        column = scratch.var[key]
    if not has_known_base(column).any():
        where = f".var[{key!r}]" if genome is None else "the genome"
        msg = (
            f"None of the {adata.n_vars} peaks (first: {adata.var_names[0]!r}) has a known base, by {where}; expected "
            "A, C, G and T. Pass genome= the FASTA that the peaks were called on."
        )
        raise ValueError(msg)
    return column.astype(object).where(column.notna(), "").astype(str).tolist()
