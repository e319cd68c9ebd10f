"""Count fragments in peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from .. import _logging as logg
from .._anndata import PEAKS, write_slots
from .._checks import checked
from ..genomics import bare_contig
from ._barcodes import read_barcodes
from ._fragment_files import can_be_counted, count, require_fragments
from ._given_peaks import given_peaks
from ._samples import by_sample, named

if TYPE_CHECKING:
    import numpy.typing as npt
    from mudata import MuData

    from ._fragment_files import FragmentCounts, Fragments
    from ._given_peaks import GivenPeaks

ABOVE_CHANCE = 2
"""Times as many fragments in peaks as by chance below which the user is warned, as many as of peaks that overlap (see
:func:`scllmda.pp.match_peaks`). Of blood on hg19 it is 3.5 in the peaks of marrow and 58 in those of cell lines; of
blood on hg38 in peaks of hg19, 1.1 and 1.2."""
MOST_BY_CHANCE = 0.25
"""Share of fragments in peaks by chance from which nothing can be told: peaks cover much of the genome, as bins do."""
FEWEST_BY_CHANCE = 12
"""Fragments in peaks by chance from which something can be told, as of peaks."""
FEWEST_FRAGMENTS = 100
"""Fragments of a cell where no barcodes are given; as many as scanpy's tutorials ask of a cell's genes."""


@checked
def count_fragments(
    fragments: str | PathLike[str] | Sequence[str | PathLike[str]] | Mapping[str, str | PathLike[str]],
    peaks: AnnData | MuData | pd.DataFrame | pd.Index | Sequence[str] | str | PathLike[str],
    *,
    barcodes: Sequence[str] | pd.Index | str | PathLike[str] | None = None,
    min_fragments: int | None = None,
    counting: Literal["insertion", "fragment", "paired-insertion"] = "insertion",
    mod: str = "atac",
) -> AnnData:
    r"""Count fragments in peaks, with SnapATAC2 (extra ``fragments``).

    Counted in the peaks of a reference, cells share all peaks with it, while two peak sets that were called apart share
    few. What is left of each cell decides: of blood cells with 3 counts each in the peaks of marrow (fragments of two
    chromosomes alone) 58 % are labeled rightly by one donor and 53 % by another, and 91 % and 75 % in their own peaks,
    of which 49 are shared, but which hold more of what tells them apart.

    SnapATAC2 sorts the fragments in a temporary folder (as large as the fragments; ``TMPDIR`` says where), which is
    removed, and reads them from there in blocks, so that memory depends on the counts alone. Nothing is written beside
    the files. Equal fragments of a cell count as often as they are listed: remove duplicates before.

    Parameters
    ----------
    fragments
        File of fragments as Cell Ranger and others write it: contig, start, end (0-based, half-open), barcode, and
        whatever follows, separated by tabs; bgzip, gzip or plain, in any order, with or without ``#`` lines before.
        Several files are a list, or a dictionary of files by the names of samples. Then cells are called
        ``barcode-sample``, and ``.obs["sample"]`` is written. In a list, a sample has the name of its file (without
        ``fragments.tsv.gz``), or of its folder if nothing is left of that.
    peaks
        Peaks to count in, of the genome build of the fragments: a reference (object or path; only its ``.var`` and its
        notes of the genome build are read), a BED (plain or gzipped), names such as ``chr1:100-600``, or a data frame
        like ``.var``. Contigs may be called ``chr1`` or ``1``, whatever those of the fragments are called.
    barcodes
        Cells, in the order of the result: barcodes as the fragments have them (``barcode-sample`` where there are
        several files), or a file: ``barcodes.tsv``, gzipped or not, ``singlecell.csv`` or ``per_barcode_metrics.csv``
        of Cell Ranger, of which the called cells are taken. Cells without a fragment have zeros. If None, all barcodes
        with ``min_fragments``, sorted, which holds more than cells unless empty droplets were removed before.
    min_fragments
        Smallest number of fragments of a cell, counted on the contigs of the peaks. None is 100 without ``barcodes``,
        and 0 with them.
    counting
        What is counted, in SnapATAC2's words: ``"insertion"``, each end of a fragment (a cut site of the transposase)
        that lies in a peak; ``"paired-insertion"``, the same, but once where both ends lie in the same peak; or
        ``"fragment"``, each fragment that overlaps a peak. Cell Ranger counts insertions, so that they
        compare with its matrices: its sums over 1,000 cells are those of their fragments in 117 of 136 peaks by
        insertions (in 122 within one), and in 1 by fragments.
    mod
        Modality that holds the peaks, where ``peaks`` is a MuData.

    Returns
    -------
    New AnnData of cells × the given peaks, in their order and by their names, with

    `.X` : :class:`scipy.sparse.csr_matrix`
        Counts, whole numbers as float32.
    `.obs` : :class:`pandas.DataFrame`
        ``n_fragments``, the number of fragments on the contigs of the peaks, ``frip``, the share of these that overlap
        a peak, and ``sample`` where there are several files.
    `.var` : :class:`pandas.DataFrame`
        ``chrom``, ``start``, ``end`` (empty and 0 where the position of a peak is not known) and ``feature_types``.
    `.uns["count_fragments"]` : :class:`dict`
        ``counting``, ``min_fragments``, ``n_left_out`` (barcodes with fewer fragments), ``n_absent`` (given barcodes
        without a fragment, kept with zeros), ``fraction_in_peaks`` (share of all cells' fragments that overlap a peak)
        and ``fraction_by_chance`` (the same after shifting the peaks by 10 and 50 kb in either direction). You are
        warned where the former is less than twice the latter, as in peaks of another genome build.
    `.uns["genome"]` : :class:`str`
        And other notes of the genome build, as ``peaks`` has them; else as the header of the fragments has it.

    Raises
    ------
    ImportError
        SnapATAC2 is not installed.
    ValueError
        A file that holds no fragments, or of another genome build; no cell, or no fragment in any peak; peaks that are
        no intervals or repeat; barcodes that repeat, or none of which is in the fragments; samples of one name.
    OSError
        There is no such file, or it is damaged.
    TypeError
        ``fragments``, ``peaks`` or ``barcodes`` of another type.
    KeyError
        A MuData without the modality ``mod``.

    See Also
    --------
    scllmda.io.read : Reads counts that are there.
    scllmda.pp.match_peaks : Brings counts on other peaks together, without fragments.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import scllmda as sl
    >>> path = Path(tempfile.mkdtemp()) / "fragments.tsv"
    >>> _ = path.write_text("chr1\t110\t190\tAAAC-1\t1\nchr1\t150\t900\tAAAC-1\t2\nchr1\t120\t180\tTTTG-1\t1\n")
    >>> adata = sl.pp.count_fragments(path, ["chr1:100-200", "chr1:800-1000"], min_fragments=1)
    >>> adata.obs_names.tolist(), adata.X.toarray().tolist()
    (['AAAC-1', 'TTTG-1'], [[3.0, 1.0], [2.0, 0.0]])
    >>> sl.pp.count_fragments(path, adata, barcodes=["TTTG-1"], counting="fragment").X.toarray().tolist()
    [[1.0, 0.0]]
    """
    files = require_fragments(fragments)
    given = given_peaks(peaks, mod)
    _require_same_build(files, given)
    _require_countable(given)
    names = None if barcodes is None else read_barcodes(barcodes)
    asked = None if names is None else by_sample(names, list(files))
    fewest = (FEWEST_FRAGMENTS if names is None else 0) if min_fragments is None else int(min_fragments)

    start = logg.info(f"counting fragments in {len(given.names)} peaks")
    parts = {}
    for sample, file in files.items():
        of_file = None if asked is None else asked[sample]
        parts[sample] = count(file, given.where.intervals, barcodes=of_file, min_fragments=fewest, counting=counting)
    adata = _joined(parts, given)
    _require_cells(adata, parts, files, given, fewest, names)
    weights = adata.obs["n_fragments"]
    in_peaks = float(np.average(adata.obs["frip"], weights=weights))
    by_chance = float(np.average(np.concatenate([part.by_chance for part in parts.values()]), weights=weights))
    _require_overlap(adata, in_peaks, files, given)
    n_left_out, n_absent = sum(part.n_left_out for part in parts.values()), 0
    if names is not None and asked is not None:
        kept = names if fewest == 0 else names[np.isin(names, adata.obs_names)]
        n_left_out, n_absent = len(names) - len(kept), int((~np.isin(kept, adata.obs_names)).sum())
        adata = _in_order(adata, kept, asked)
    _note_genome(adata, files, given)
    _say(adata, in_peaks, n_left_out, n_absent, fewest)
    _warn_of_chance(adata, in_peaks, by_chance)
    summary = {
        "counting": counting,
        "min_fragments": fewest,
        "n_left_out": n_left_out,
        "n_absent": n_absent,
        "fraction_in_peaks": in_peaks,
        "fraction_by_chance": by_chance,
    }
    write_slots(adata, {("uns", "count_fragments"): summary}, start=start)
    return adata


def _require_same_build(files: Mapping[str, Fragments], given: GivenPeaks) -> None:
    for file in files.values():
        if None not in (file.build, given.build) and file.build != given.build:
            msg = (
                f"The fragments {str(file.path)!r} are of the genome build {file.build}, by their header, and the "
                f"peaks= of {given.build}, by their notes; expected one build. Count in peaks of {file.build}, the "
                "query's own for example, and lift those over: scllmda.pp.match_peaks(query, reference, chain=…)."
            )
            raise ValueError(msg)


def _require_countable(given: GivenPeaks) -> None:
    good = can_be_counted(given.where.intervals)
    if good.all():
        return
    first = given.where.intervals.names()[~good][0]
    found = (
        f"{(~good).sum()} of {len(given.names)} peaks are on contigs with ':' or '-' in their names (first: '{first}')"
    )
    if not good.any():
        msg = f"{found}; expected some that SnapATAC2 can read, on 'chr1' for example. Pass others as peaks=."
        raise ValueError(msg)
    logg.warning(f"{found}, which SnapATAC2 cannot read: they get zeros.")


def _joined(parts: Mapping[str, FragmentCounts], given: GivenPeaks) -> AnnData:
    """Return the cells of all samples on all peaks, also on those whose position is not known."""
    columns, intervals = given.where.rows, given.where.intervals
    X = sp.csr_matrix(sp.vstack([part.X for part in parts.values()]))
    X = sp.csr_matrix((X.data, columns[X.indices], X.indptr), shape=(X.shape[0], len(given.names)))
    obs = pd.DataFrame(
        {
            "n_fragments": np.concatenate([part.n_fragments for part in parts.values()]),
            "frip": np.concatenate([part.frip for part in parts.values()]),
        },
        index=[name for sample, part in parts.items() for name in named(part.barcodes, sample)],
    )
    if list(parts) != [""]:
        samples = np.repeat(list(parts), [len(part.barcodes) for part in parts.values()])
        obs["sample"] = pd.Categorical(samples, categories=list(parts))
    var = pd.DataFrame({"chrom": "", "start": 0, "end": 0, "feature_types": PEAKS}, index=given.names)
    for name in ("chrom", "start", "end"):
        var.iloc[columns, var.columns.get_loc(name)] = getattr(intervals, name)
    return AnnData(X, obs=obs, var=var)


def _require_cells(
    adata: AnnData,
    parts: Mapping[str, FragmentCounts],
    files: Mapping[str, Fragments],
    given: GivenPeaks,
    fewest: int,
    names: npt.NDArray[np.str_] | None,
) -> None:
    """Raise ValueError if no cell is left, with the reason."""
    if adata.n_obs:
        return
    file, most = next(iter(files.values())), max(part.most_fragments for part in parts.values())
    n_others = sum(part.n_left_out for part in parts.values())
    if most:
        msg = (
            f"None of {n_others} barcodes has min_fragments={fewest} fragments, {most} at most; expected cells. Pass a "
            "smaller min_fragments=."
        )
    elif names is not None and not n_others:
        msg = (
            f"None of the {len(names)} barcodes (first: {str(names[0])!r}) is in the fragments, whose first is "
            f"{file.barcode!r}; expected barcodes= as the fragments have them. Add or remove what stands before or "
            "after them, '-1' for example."
        )
    else:
        msg = f"No fragment is on a contig of the peaks. {_where(file, given)}"
    raise ValueError(msg)


def _require_overlap(adata: AnnData, in_peaks: float, files: Mapping[str, Fragments], given: GivenPeaks) -> None:
    if in_peaks == 0 or not adata.X.nnz:
        n = int(adata.obs["n_fragments"].sum())
        msg = f"None of {n} fragments lies in one of {adata.n_vars} peaks. {_where(next(iter(files.values())), given)}"
        raise ValueError(msg)


def _warn_of_chance(adata: AnnData, in_peaks: float, by_chance: float) -> None:
    """Warn where no more fragments lie in peaks than in peaks of another genome build."""
    n_by_chance = by_chance * adata.obs["n_fragments"].sum()
    if in_peaks >= ABOVE_CHANCE * by_chance or by_chance > MOST_BY_CHANCE or n_by_chance < FEWEST_BY_CHANCE:
        return
    logg.warning(
        f"{in_peaks:.2%} of the fragments lie in peaks, and {by_chance:.2%} do by chance, after shifting the peaks; "
        "expected at least twice as many, as in peaks of the fragments' genome build. If the peaks are of another one, "
        "count in peaks of the fragments' build, and pass chain= to scllmda.tl.annotate."
    )


def _where(file: Fragments, given: GivenPeaks) -> str:
    mine = set(map(bare_contig, given.where.intervals.chrom))
    apart = "" if bare_contig(file.contig) in mine else ", where no peak is"
    return (
        f"The first fragment is on {file.contig!r}{apart}, the first peak is '{given.where.intervals.names()[0]}'; "
        "expected peaks= of the fragments' genome build, on contigs by the same names (chr1 or 1). Pass such peaks."
    )


def _in_order(adata: AnnData, names: npt.NDArray[np.str_], asked: Mapping[str, list[str]]) -> AnnData:
    """Return the cells that were asked for, in that order; those that are not there have zeros."""
    rows = adata.obs_names.get_indexer(names)
    none = sp.csr_matrix((1, adata.n_vars), dtype=np.float32)
    obs = adata.obs.reindex(names)
    obs["n_fragments"] = obs["n_fragments"].fillna(0).astype(np.int64)
    if "sample" in obs:
        of_name = {name: sample for sample, barcodes in asked.items() for name in named(barcodes, sample)}
        obs["sample"] = pd.Categorical([of_name[name] for name in names], categories=list(asked))
    return AnnData(sp.csr_matrix(sp.vstack([adata.X, none]))[rows], obs=obs, var=adata.var)


def _note_genome(adata: AnnData, files: Mapping[str, Fragments], given: GivenPeaks) -> None:
    adata.uns.update(given.notes)
    builds = {file.build for file in files.values()} - {None}
    if given.build is None and "genome" not in adata.uns and len(builds) == 1:
        adata.uns["genome"] = builds.pop()


def _say(adata: AnnData, in_peaks: float, n_left_out: int, n_absent: int, fewest: int) -> None:
    text = f"Counted {adata.n_obs} cells × {adata.n_vars} peaks, with {in_peaks:.1%} of their fragments in peaks."
    if n_left_out:
        text += f" {n_left_out} barcodes with fewer than {fewest} fragments are left out (min_fragments=)."
    logg.result(text)
    if n_absent:
        logg.warning(f"{n_absent} of {adata.n_obs} barcodes have no fragment on a contig of the peaks: zeros.")
