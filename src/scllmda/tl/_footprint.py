"""Footprints: how transposase cuts lie around the sites of a motif."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import _logging as logg
from .._anndata import claim_slots, obs_column, require_peaks, resolve, write_slots
from .._checks import checked
from .._keys import FOOTPRINT
from .._label_text import has_label
from ..genomics import (
    GeneTable,
    InsertionCounts,
    Motif,
    OpenDna,
    Sites,
    fasta_of,
    named_motif,
    open_dna,
    read_gene_table,
    read_motifs,
    require_positions,
    scanned_sites,
    table_sites,
)
from ..pp import files_by_sample, fragment_blocks, look_at, named
from ._params import storable

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray


@checked
def footprint(
    adata: AnnData | MuData,
    fragments: str | PathLike[str] | Sequence[str | PathLike[str]] | Mapping[str, str | PathLike[str]],
    motif: Any = None,
    *,
    genome: str | PathLike[str],
    groupby: str = "scllmda",
    motifs: Any = None,
    sites: str | PathLike[str] | pd.DataFrame | None = None,
    flank: int = 250,
    norm_width: int = 50,
    shift: tuple[int, ...] = (0, 0),
    unlabeled: str | int | Sequence[str] = "unknown",
    key_added: str = FOOTPRINT,
    mod: str = "atac",
    copy: bool = False,
) -> AnnData | MuData | None:
    """Count transposase cuts around the sites of a motif, per label, and correct them for Tn5's preference.

    Where a protein sits on DNA, Tn5 does not cut, so that cuts are fewer in the motif than beside it. But Tn5 prefers
    some DNA to other, and a motif is the same DNA at each site. What its preference alone would give is computed from
    the words of six bases around all cuts in the peaks, away from the sites; cuts are divided by that. Preferences are
    of the enzyme, and estimated from all labeled cells together.

    Sites count in the direction of the motif. Each side of a fragment is a cut, between two bases: before its first
    and after its last base. Cell Ranger, and who follows it, has shifted both sides (by +4 and -5) to the middle of the
    nine base pairs that Tn5 doubles, so that they stand for one place, whichever side they are seen from.

    Parameters
    ----------
    adata
        Cells × peaks, or a MuData with the modality ``mod``. Only the positions of its peaks, its cells' names and
        labels are read.
    fragments
        File of fragments, or several by sample, as in :func:`scllmda.pp.count_fragments`: its barcodes are the names of
        the cells (``barcode-sample`` where there are several files). Plain, gzip or bgzip, in any order; read block by
        block.
    motif
        Id or name of a motif among ``motifs``, in any case; a ``scllmda.genomics.Motif``; or, with ``sites``, what
        to call them.
    genome
        FASTA of the genome build that the fragments were mapped to.
    groupby
        Column of ``.obs`` with labels.
    motifs
        Where the motif comes from: name of a release of JASPAR, path of a file in MEME, JASPAR or TRANSFAC format,
        motifs of ``Bio.motifs``, or (4, L) counts of A, C, G, T by name. None: vertebrates of JASPAR (extra
        ``motifs``).
    sites
        Sites, in the place of those that the motif is found to have in the peaks: path of a BED with six columns, or a
        data frame with ``chrom``, ``start``, ``end`` (0-based, half-open) and ``strand``. Those outside of peaks are
        left out.
    flank
        Base pairs on either side of a site's center.
    norm_width
        Base pairs at either end of the profile whose mean is set to 1.
    shift
        Base pairs to add to the starts and to the ends of fragments: ``(4, -5)`` for fragments that were not shifted,
        as those made from alignments by hand.
    unlabeled
        Label that marks a cell as unlabeled, or several such, besides missing ones. Such cells are left out.
    key_added
        Slot of ``.uns`` to write.
    mod
        Modality of a MuData that holds the peaks.
    copy
        Work on a copy and return it.

    Returns
    -------
    None, or the copy if ``copy``. Sets

    ``.uns[key_added]``
        ``params``; ``name`` of the motif; ``n_sites``; ``width`` of the sites, in base pairs; and as DataFrames
        ``profile``, described at :func:`scllmda.get.footprint`, and ``labels``, with ``n_cells`` that have fragments
        and ``n_insertions`` around sites, by label.

    Raises
    ------
    FileNotFoundError
        There are no such fragments, genome or sites.
    ValueError
        No peak has a site; no cut is near one; no cell has a fragment or a label; contigs of other names; an unknown
        motif; names of cells or peaks that repeat; ``norm_width`` above ``flank``; files that hold something else.
    KeyError
        No column ``groupby``, or no modality ``mod``.
    TypeError
        Neither motif nor sites, or a parameter of another type.
    ImportError
        Motifs of JASPAR, without the extra ``motifs``.

    See Also
    --------
    scllmda.get.footprint : The profile as a table.
    scllmda.pl.footprint : The profile as a figure.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import scllmda as sl
    >>> folder = Path(tempfile.mkdtemp())
    >>> genome, fragments = folder / "genome.fa", folder / "fragments.tsv"
    >>> reference, query = sl.datasets.simulate(fasta=genome, fragments=fragments)
    >>> motifs = {"TATA box": 20 * np.eye(4)[:, [3, 0, 3, 0, 0, 0]]}
    >>> sl.tl.footprint(query, fragments, "TATA box", genome=genome, groupby="cell_type", motifs=motifs)
    >>> int(sl.get.footprint(query)["position"].min())
    -250
    """
    if norm_width > flank:
        msg = f"Found norm_width={norm_width} and flank={flank}; expected a norm_width= of flank= at most."
        raise ValueError(msg)
    if len(shift) != 2:
        msg = f"Found shift={shift!r}; expected two numbers, of the starts and of the ends, such as (4, -5)."
        raise ValueError(msg)
    data, atac = resolve(adata, mod=mod, copy=copy)
    require_peaks(atac)
    files = {sample: look_at(path) for sample, path in files_by_sample(fragments).items()}
    fasta = fasta_of(genome)
    wanted, name = _wanted(motif, motifs, sites)
    labels = obs_column(data, atac, groupby, parameter="groupby")
    codes, names = _groups(atac, labels, groupby, unlabeled)
    is_ours = isinstance(atac.uns.get(key_added), Mapping) and "profile" in atac.uns[key_added]
    claim_slots(atac, [("uns", key_added)], read={}, is_ours=is_ours)
    where = require_positions(atac.var)

    start = logg.info(f"counting cuts around sites of {name}")
    dna = open_dna(fasta, where.intervals, flank=flank)
    found = scanned_sites(dna, wanted) if isinstance(wanted, Motif) else table_sites(dna, wanted)
    _require_sites(found, dna, name if isinstance(wanted, Motif) else None)
    counts = InsertionCounts(dna, found, len(names), flank)
    of_cell = _count(counts, files, atac.obs_names, codes, shift)
    _require_cuts(counts, of_cell, files, dna)
    n_cells = np.bincount(codes[(of_cell > 0) & (codes >= 0)], minlength=len(names))
    result = {
        "params": storable(
            groupby=groupby, flank=flank, norm_width=norm_width, shift=shift, unlabeled=unlabeled, genome=str(fasta)
        ),
        "name": name,
        "n_sites": len(found),
        "width": found.width,
        "profile": _profile(counts, names, norm_width),
        "labels": pd.DataFrame(
            {"n_cells": n_cells, "n_insertions": counts.observed.sum(axis=1)}, index=pd.Index(names, name="label")
        ),
    }
    write_slots(atac, {("uns", key_added): result}, start=start)
    logg.result(
        f"{int(counts.observed.sum()):,} cuts within {flank} bp of {len(found):,} sites, in "
        f"{int((of_cell > 0).sum()):,} of {atac.n_obs:,} cells"
    )
    return data if copy else None


def _wanted(motif: Any, motifs: Any, sites: Any) -> tuple[Motif | GeneTable, str]:
    """Return the motif whose sites are looked for, or sites that are given, and their name."""
    if sites is not None:
        name = motif.name if isinstance(motif, Motif) else str(motif or "sites")
        return read_gene_table(sites, "sites"), name
    if isinstance(motif, str):
        motif = named_motif(read_motifs(motifs), motif)
    if not isinstance(motif, Motif):
        msg = (
            f"Found motif={motif!r} ({type(motif).__name__}) and no sites=; expected the name of a motif, such as "
            "'SPI1', a scllmda.genomics.Motif, or sites= a BED."
        )
        raise TypeError(msg)
    return motif, motif.name


def _groups(
    atac: AnnData, labels: pd.Series, groupby: str, unlabeled: str | int | Sequence[str]
) -> tuple[NDArray[np.int64], list[str]]:
    """Return the group of each cell, -1 for unlabeled ones, and the groups' names."""
    if not atac.obs_names.is_unique:
        twice = atac.obs_names[atac.obs_names.duplicated()]
        msg = (
            f"{len(twice)} names of cells repeat (first: {twice[0]!r}); expected names that say which fragments are "
            "whose. Call cells of several samples 'barcode-sample', and pass fragments={'sample': path, …}."
        )
        raise ValueError(msg)
    known = has_label(labels, unlabeled)
    if not known.any():
        msg = f"No cell has a label in .obs[{groupby!r}]; expected some. Pass groupby= a column with labels."
        raise ValueError(msg)
    codes, names = pd.factorize(labels.astype(object).where(known).map(str, na_action="ignore"), sort=True)
    return codes.astype(np.int64), list(map(str, names))


def _count(
    counts: InsertionCounts,
    files: Mapping[str, Any],
    cells: pd.Index,
    codes: NDArray[np.int64],
    shift: Sequence[int],
) -> NDArray[np.int64]:
    """Count the cuts of all files, and return (n_cells,) the fragments of each cell."""
    of_cell = np.zeros(len(cells), dtype=np.int64)
    for sample, file in files.items():
        for block in fragment_blocks(file):
            code, barcodes = pd.factorize(block["barcode"])
            cell = cells.get_indexer(named(barcodes, sample))[code]
            of_cell += np.bincount(cell[cell >= 0], minlength=len(cells))
            kept = (cell >= 0) & (codes[cell] >= 0)
            for end, by in zip(("start", "end"), shift, strict=True):
                place = counts.dna.place(block["contig"][kept], block[end].to_numpy()[kept] + int(by))
                counts.add(place, codes[cell[kept]])
    return of_cell


def _require_sites(sites: Sites, dna: OpenDna, motif: str | None) -> None:
    if len(sites):
        return
    n = len(dna.regions)
    msg = (
        f"None of {n} peaks has a site of the motif {motif!r}; expected some. Pass another motif=, or sites= a BED of "
        "where it is bound."
    )
    if motif is None:
        msg = (
            f"None of the sites= lies in one of {n} peaks (first: {dna.regions.names()[0]}); expected some. Pass sites "
            "of the genome build that the peaks were called on."
        )
    raise ValueError(msg)


def _require_cuts(counts: InsertionCounts, of_cell: NDArray[np.int64], files: Mapping[str, Any], dna: OpenDna) -> None:
    if counts.observed.any():
        return
    file = next(iter(files.values()))
    if not of_cell.any():
        msg = (
            f"None of the {len(of_cell)} cells is in the fragments, whose first barcode is {file.barcode!r}; expected "
            "adata.obs_names as the fragments have them, or 'barcode-sample' with fragments={'sample': path, …}."
        )
    else:
        msg = (
            f"None of {int(of_cell.sum())} fragments of these cells has an end near a site. The first fragment is on "
            f"{file.contig!r}, the first peak is {dna.regions.names()[0]}; expected fragments= of the genome build "
            "that the peaks were called on, on contigs by the same names (chr1 or 1)."
        )
    raise ValueError(msg)


def _profile(counts: InsertionCounts, names: Sequence[str], norm_width: int) -> pd.DataFrame:
    """Return the profile as a table of labels and positions."""
    observed, expected = counts.observed.astype(float), counts.expected()
    position = np.arange(-counts.flank, counts.flank + 1)
    ends = abs(position) > counts.flank - norm_width
    with np.errstate(divide="ignore", invalid="ignore"):
        corrected = observed / expected
        corrected /= observed[:, ends].sum(axis=1, keepdims=True) / expected[:, ends].sum(axis=1, keepdims=True)
        uncorrected = observed / observed[:, ends].mean(axis=1, keepdims=True)
    if len(few := [name for name, n in zip(names, observed[:, ends].sum(axis=1), strict=True) if n == 0]):
        logg.warning(f"No cut lies at the ends of the profile of {few}, by which it is scaled: it has NaN.")
    corrected[~np.isfinite(corrected)] = uncorrected[~np.isfinite(uncorrected)] = np.nan
    return pd.DataFrame(
        {
            "label": pd.Categorical(np.repeat(list(names), len(position)), categories=list(names)),
            "position": np.tile(position, len(names)),
            "n_insertions": counts.observed.ravel(),
            "expected": expected.ravel(),
            "profile": corrected.ravel(),
            "uncorrected": uncorrected.ravel(),
        }
    )
