"""The gene that starts nearest to each peak."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ._intervals import Intervals, bare_contig

if TYPE_CHECKING:
    import numpy.typing as npt

    from ._peak_positions import PeakPositions
    from ._tss import TranscriptionStarts


def nearest_starts(peaks: Intervals, starts: TranscriptionStarts) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Return the start of transcription nearest to the center of each peak, and how far the center lies from it.

    ``chr1`` and ``1`` are the same contig, as are ``chrM`` and ``MT``. Among equally near starts, the first is taken.

    Parameters
    ----------
    peaks
        n peaks, in any order.
    starts
        Of genes, in any order.

    Returns
    -------
    Indices into ``starts``, -1 for peaks on a contig without one, shape (n,); and distances in base pairs, below 0
    upstream of the gene by its strand, shape (n,), 0 where there is no start.

    Examples
    --------
    >>> import pandas as pd
    >>> from scllmda.genomics import Intervals, nearest_starts, read_tss
    >>> columns = ["chrom", "start", "end", "strand"]
    >>> starts = read_tss(pd.DataFrame([("1", 500, 900, "+"), ("1", 100, 200, "-")], columns=columns))
    >>> nearest, distance = nearest_starts(Intervals.from_names(["chr1:390-410", "chr1:250-270", "chr2:0-9"]), starts)
    >>> nearest.tolist(), distance.tolist()
    ([0, 1, -1], [-100, -61, 0])
    """
    code, contigs = pd.factorize(np.concatenate([peaks.chrom, starts.chrom]))
    contig = pd.factorize(np.asarray([bare_contig(name) for name in contigs], dtype=object))[0][code]
    of_peak, of_start = contig[: len(peaks)], contig[len(peaks) :]
    center = (peaks.start + peaks.end) // 2
    nearest = np.full(len(peaks), -1, dtype=np.intp)
    for one in np.intersect1d(of_peak, of_start):
        rows, known = np.flatnonzero(of_peak == one), np.flatnonzero(of_start == one)
        # The first start at each place stands for all there.
        position, first = np.unique(starts.position[known], return_index=True)
        after = np.searchsorted(position, center[rows]).clip(max=len(position) - 1)
        either = known[first[np.stack([np.maximum(after - 1, 0), after])]]
        far = np.abs(center[rows] - starts.position[either])
        is_after = (far[1] < far[0]) | ((far[1] == far[0]) & (either[1] < either[0]))
        nearest[rows] = np.where(is_after, either[1], either[0])
    is_known = nearest >= 0
    distance = np.zeros(len(peaks), dtype=np.int64)
    of_nearest = nearest[is_known]
    sign = np.where(starts.strand[of_nearest] == "-", -1, 1)
    distance[is_known] = sign * (center[is_known] - starts.position[of_nearest])
    return nearest, distance


def nearest_genes(peaks: PeakPositions, starts: TranscriptionStarts) -> pd.DataFrame:
    """Return the ``gene`` that starts nearest to each of all peaks, and the ``distance`` of :func:`nearest_starts`.

    Both are missing for peaks on a contig without genes, and for those whose position is not known.
    """
    nearest, distance = nearest_starts(peaks.intervals, starts)
    found = nearest >= 0
    table = pd.DataFrame(
        {"gene": starts.name[nearest[found]].astype(object), "distance": pd.array(distance[found], dtype="Int64")},
        index=peaks.rows[found],
    )
    return table.reindex(np.arange(peaks.n_peaks))
