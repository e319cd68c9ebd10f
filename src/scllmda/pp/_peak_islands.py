"""Gather peaks in islands around transcription starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from .. import _logging as logg
from .._anndata import read, require_peaks, write_slots
from .._checks import checked
from .._counts import CountBlocks, count_blocks
from .._genome_notes import genome_notes
from ..genomics import (
    Islands,
    PeakPositions,
    TranscriptionStarts,
    island_values,
    islands,
    read_tss,
    require_positions,
    require_same_genome,
)

if TYPE_CHECKING:
    from os import PathLike

    from mudata import MuData


@checked
def peak_islands(
    adata: AnnData | MuData | str | PathLike[str],
    tss: str | PathLike[str] | pd.DataFrame | None = None,
    *,
    bin_size: int = 5000,
    layer: str | None = None,
    mod: str = "atac",
) -> AnnData:
    r"""Gather peaks in islands around transcription starts, as annATAC does (Cui et al. 2025, BMC Biol 23:145).

    The genome is cut into bins of ``bin_size``, of which those are islands that hold a peak and a transcription start.
    The value of an island in a cell is the mean count of its peaks, rounded up. A peak belongs to the bin of its
    midpoint, ``(start + end) // 2``, and to no other, so that no count is counted twice. A gene starts at its first
    base on the forward strand, and at its last on the reverse strand (see :func:`scllmda.genomics.read_tss`). Where
    the bins lie does not depend on the peaks, so that studies with different peaks can be compared.

    Counts are read in blocks of cells, and never made dense: the cost is proportional to the non-zero ones.

    Parameters
    ----------
    adata
        Cells × peaks with raw or binary counts, or a MuData with the modality ``mod``; object or path. Not changed.
    tss
        Genes or transcription starts of the genome build that the peaks were called on: path of a BED, GTF or GFF
        (plain or gzipped), or a data frame with ``chrom``, ``start``, ``end`` (0-based, half-open) and ``strand``.
        annATAC's 16,700 human islands are about as many as bins with a protein-coding gene. ``None`` takes every bin
        that holds a peak.
    bin_size
        Width of the bins in base pairs.
    layer
        Layer with the counts, ``.X`` if None.
    mod
        Modality that holds the peaks, where a MuData is given.

    Returns
    -------
    New AnnData of the same cells × islands, with a copy of ``.obs`` and what the object notes of its genome build
    (``.uns["genome"]``, ``.uns["reference_sequences"]``, ``.uns["files"]``), by the order of contigs and starts. With

    `.X` : :class:`scipy.sparse.csr_matrix`
        Mean counts, rounded up, float32.
    `.var` : :class:`pandas.DataFrame`
        ``chrom``, ``start`` and ``end`` of each island, 0-based and half-open, named ``chrom:start-end``, and the
        number of its peaks ``n_peaks``. The last island of a contig may end after it.
    `.uns["peak_islands"]` : :class:`dict`
        ``bin_size``, ``n_islands``, ``n_peaks``, ``n_peaks_in_islands`` and ``n_tss`` (0 without ``tss``).

    Raises
    ------
    ValueError
        Transcription starts of another genome, no island, peaks that are no intervals, repeated peak names, invalid
        counts, or a ``tss`` that cannot be read.
    FileNotFoundError
        There is no file ``tss``, or none at the path of the object.
    TypeError
        An object that is neither AnnData nor MuData, or a ``tss`` that is neither a path nor a data frame.
    KeyError
        A MuData without the modality ``mod``, or an unknown layer.

    See Also
    --------
    scllmda.tl.pretrain : Learns from islands without labels.
    scllmda.tl.gene_activity : Scores genes by their peaks.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> from scllmda.pp import peak_islands
    >>> peaks = ["chr1:100-200", "chr1:600-700", "chr1:7000-7100"]
    >>> adata = AnnData(np.float32([[1, 2, 1], [0, 0, 3]]), var=pd.DataFrame(index=peaks))
    >>> genes = pd.DataFrame({"chrom": ["1"], "start": [900], "end": [6000], "strand": ["+"]})
    >>> found = peak_islands(adata, genes)
    >>> found.var_names.tolist(), found.X.toarray().tolist()
    (['chr1:0-5000'], [[2.0], [0.0]])
    >>> peak_islands(adata).X.toarray().tolist()
    [[2.0, 1.0], [0.0, 3.0]]
    """
    adata = read(adata, mod=mod)
    require_peaks(adata)
    starts = None if tss is None else read_tss(tss)
    where = require_positions(adata.var)
    for remark in (*where.remarks, *(() if starts is None else starts.remarks)):
        logg.warning(remark)
    if starts is not None:
        require_same_genome(where.intervals, starts)
    found = islands(where.intervals, bin_size, starts)
    n_peaks = np.asarray(found.assignment.sum(axis=0)).ravel().astype(np.int64)
    summary = {
        "bin_size": int(bin_size),
        "n_islands": len(found.bins),
        "n_peaks": adata.n_vars,
        "n_peaks_in_islands": int(n_peaks.sum()),
        "n_tss": 0 if starts is None else len(starts),
    }
    _require_islands(found, where, starts, bin_size)
    blocks = count_blocks(adata, layer)

    start = logg.info(f"gathering {adata.n_vars} peaks in islands of {bin_size} bp")
    X = _values(blocks, where, found)
    var = pd.DataFrame(
        {"chrom": found.bins.chrom, "start": found.bins.start, "end": found.bins.end, "n_peaks": n_peaks},
        index=found.bins.names(),
    )
    gathered = AnnData(X, obs=adata.obs.copy(), var=var, uns=genome_notes(adata))
    which = "with a transcription start" if starts is not None else "with and without a transcription start (no tss=)"
    logg.info(f"    {len(var)} islands {which} hold {summary['n_peaks_in_islands']} of {adata.n_vars} peaks")
    n_closed = int((np.diff(X.indptr) == 0).sum())
    if n_closed:
        logg.warning(
            f"{n_closed} of {adata.n_obs} cells have no open island; they are kept, with zeros. To leave them out: "
            "islands = islands[islands.X.getnnz(axis=1) > 0].copy()."
        )
    write_slots(gathered, {("uns", "peak_islands"): summary}, start=start)
    return gathered


def _require_islands(found: Islands, where: PeakPositions, starts: TranscriptionStarts | None, bin_size: int) -> None:
    if not len(found.bins):
        n_tss = 0 if starts is None else len(starts)
        msg = (
            f"No island is left: no bin of {bin_size} bp holds one of {len(where.rows)} peaks (first: "
            f"{where.intervals.names()[0]}) and one of {n_tss} transcription start sites; expected some. Pass tss= the "
            "annotation of the genome build that the peaks were called on, a larger bin_size=, or tss=None for every "
            "bin that holds a peak."
        )
        raise ValueError(msg)


def _values(blocks: CountBlocks, where: PeakPositions, found: Islands) -> sp.csr_matrix:
    """Return the values of islands, (n_cells, n_islands), block by block."""
    assignment = where.among_all(found.assignment)
    parts = [island_values(block, assignment) for block in blocks]
    return sp.csr_matrix(sp.vstack(parts)) if parts else sp.csr_matrix((0, len(found.bins)), dtype=np.float32)
