"""Files of fragments, and the counts in them, by SnapATAC2."""

from __future__ import annotations

import gzip
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from anndata import ImplicitModificationWarning

from .._files import damage_named, require_file, require_unpacked
from ..genomics import Intervals, bare_contig, known_build
from ._samples import files_by_sample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from ..genomics import Intervals

GZIP_MAGIC = b"\x1f\x8b"
_LONGEST_CONTIG = 2**31 - 1
"""Base pairs that SnapATAC2 is told each contig has: more than any has, since it stops at a fragment after the end."""
_SHIFTS = (-50_000, -10_000, 10_000, 50_000)
"""Base pairs by which peaks are shifted to count what chance gives: away from each, and in the same region."""
_FORMAT = "contig, start, end and barcode in columns separated by tabs, plain or gzipped"


@dataclass(frozen=True)
class Fragments:
    """A file of fragments, of which the first lines were looked at."""

    path: Path
    contig: str
    """Contig of the first fragment."""
    barcode: str
    """Barcode of the first fragment."""
    build: str | None
    """Genome build that the header notes, by UCSC's name; Cell Ranger writes it there."""


@dataclass(frozen=True, eq=False)
class FragmentCounts:
    """The n cells of a file, by the order of their barcodes."""

    barcodes: npt.NDArray[np.str_]
    """(n,)"""
    X: sp.csr_matrix
    """(n, n_peaks): counts, float32."""
    n_fragments: npt.NDArray[np.int64]
    """(n,): fragments on contigs of the peaks."""
    frip: npt.NDArray[np.float64]
    """(n,): share of these fragments that overlap a peak."""
    by_chance: npt.NDArray[np.float64]
    """(n,): share of these fragments that overlap a peak once the peaks are shifted."""
    n_left_out: int
    """Number of other barcodes, with fewer fragments."""
    most_fragments: int
    """Largest number of fragments of any barcode."""


def require_snapatac2() -> Any:
    """Import SnapATAC2; raise ImportError with what to install."""
    try:
        import snapatac2
    except ImportError as error:
        msg = (
            "To count fragments, expected the package snapatac2, which is not installed. Install it: "
            "pip install 'scllmda[fragments]'"
        )
        raise ImportError(msg) from error
    return snapatac2


def look_at(path: Path) -> Fragments:
    """Return what the first lines of a file tell; raise, before any work, if they hold no fragment."""
    require_file(path, "a file of fragments")
    require_unpacked(path, "fragments that are plain or packed by gzip or bgzip", but={"gzip"})
    with path.open("rb") as file:
        is_gzipped = file.read(2) == GZIP_MAGIC
    build = None
    with damage_named(path, of_anndata=False), gzip.open(path) if is_gzipped else path.open("rb") as lines:
        for line in lines:
            text = line[:1000].decode("utf-8", errors="replace").rstrip("\r\n")
            if not text.startswith("#"):
                break
            if text.startswith("# reference_path="):
                build = known_build(text)
        else:
            text = ""
    fields = text.split("\t")
    if len(fields) < 4 or not all(field.isascii() and field.isdigit() for field in fields[1:3]):
        found = f"its first line is {text[:80]!r}" if text else "it is empty"
        msg = (
            f"{str(path)!r} is no file of fragments ({found}); "
            f"expected {_FORMAT}. A line with names of columns has to begin with '#', or to be removed."
        )
        raise ValueError(msg)
    return Fragments(path, fields[0], fields[3], build)


def require_fragments(fragments: Any) -> dict[str, Fragments]:
    """Raise, before any work, unless SnapATAC2 is there and every file holds fragments; return the files by sample."""
    require_snapatac2()
    return {sample: look_at(path) for sample, path in files_by_sample(fragments).items()}


def can_be_counted(peaks: Intervals) -> npt.NDArray[np.bool_]:
    """Return (n_peaks,) whether SnapATAC2 can read a peak: not on contigs with ':' or '-', such as HLA genes."""
    return np.array([":" not in contig and "-" not in contig for contig in peaks.chrom], dtype=bool)


def count(
    fragments: Fragments,
    peaks: Intervals,
    *,
    barcodes: Sequence[str] | None,
    min_fragments: int,
    counting: str,
) -> FragmentCounts:
    """Count the fragments of a file in peaks, from a sorted copy on disk.

    Parameters
    ----------
    fragments
        File.
    peaks
        Intervals; those that cannot be counted get zeros.
    barcodes
        Cells to count, of which those without a fragment are not returned; all if None.
    min_fragments
        Smallest number of fragments of a cell, on contigs of the peaks.
    counting
        What is counted, in SnapATAC2's words.
    """
    snap = require_snapatac2()
    names, spelled = _spellings(peaks)
    contigs = {name.rpartition(":")[0] for name in names}
    with TemporaryDirectory(prefix="scllmda-", ignore_cleanup_errors=True) as folder, _panics_named(fragments.path):
        data = snap.pp.import_fragments(
            fragments.path,
            dict.fromkeys(contigs, _LONGEST_CONTIG),
            file=Path(folder) / "fragments.h5ad",
            min_num_fragments=0,
            chrM=[],
            sorted_by_barcode=False,
            whitelist=None if barcodes is None else list(barcodes),
            tempdir=Path(folder),
        )
        try:
            n_all = data.n_obs
            n_fragments = data.obs["n_fragment"].to_numpy().astype(np.int64) if n_all else np.zeros(0, dtype=np.int64)
            most = int(n_fragments.max(initial=0))
            kept = np.flatnonzero(n_fragments >= max(min_fragments, 1))
            if not len(kept):
                X = sp.csr_matrix((0, len(peaks)), dtype=np.float32)
                return FragmentCounts(np.zeros(0, np.str_), X, n_fragments[kept], np.zeros(0), np.zeros(0), n_all, most)
            if len(kept) < n_all:
                data.subset(obs_indices=kept)
            with warnings.catch_warnings():
                # It makes an AnnData without names before it gives the names.
                warnings.simplefilter("ignore", ImplicitModificationWarning)
                found = snap.pp.make_peak_matrix(data, use_rep=names, counting_strategy=counting)
            regions = {"frip": names, **{str(shift): _spellings(_shifted(peaks, shift))[0] for shift in _SHIFTS}}
            shares = {name: np.asarray(of) for name, of in snap.metrics.frip(data, regions, inplace=False).items()}
        finally:
            data.close()
    X = sp.csr_matrix(sp.csr_matrix(found.X, dtype=np.float32) @ spelled)
    X.sort_indices()
    found_barcodes = np.asarray(found.obs_names, dtype=np.str_)
    by_chance = np.mean([shares[str(shift)] for shift in _SHIFTS], axis=0)
    return FragmentCounts(found_barcodes, X, n_fragments[kept], shares["frip"], by_chance, n_all - len(kept), most)


def _shifted(peaks: Intervals, by: int) -> Intervals:
    """Return intervals at another place of their contigs, those at the beginning cut off there."""
    return Intervals(peaks.chrom, np.maximum(peaks.start + by, 0), np.maximum(peaks.end + by, 1))


def _spellings(peaks: Intervals) -> tuple[list[str], sp.csr_matrix]:
    """Return each peak's name with its contig as UCSC (chr1) and as Ensembl (1) has it, and which peak (m, n) it is."""
    contigs = {}
    for contig in map(str, np.unique(peaks.chrom)):
        bare = bare_contig(contig)
        contigs[contig] = list(dict.fromkeys([contig, bare, "chrM" if bare == "MT" else f"chr{bare}"]))
    rows: list[int] = []
    names: list[str] = []
    for row in np.flatnonzero(can_be_counted(peaks)).tolist():
        spellings = contigs[str(peaks.chrom[row])]
        names += [f"{contig}:{peaks.start[row]}-{peaks.end[row]}" for contig in spellings]
        rows += [row] * len(spellings)
    ones = np.ones(len(names), dtype=np.float32)
    return names, sp.csr_matrix((ones, (np.arange(len(names)), rows)), shape=(len(names), len(peaks)))


@contextmanager
def _panics_named(path: Path) -> Iterator[None]:
    """Name the file where SnapATAC2 stops at a line that it cannot read; what it raises is no Exception."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        msg = (
            f"Cannot read the fragments {str(path)!r} ({error}); expected a whole file with {_FORMAT}, and no empty "
            "line. If it was cut off, copy it again; else remove the line that the message names."
        )
        raise OSError(msg) from error
