from __future__ import annotations

import numpy as np
import pandas as pd

from scllmda.genomics import Intervals, nearest_starts, read_tss


def test_nearest_of_all() -> None:
    rng = np.random.default_rng(0)
    chrom, position = rng.choice(["1", "chr2", "X"], 200), rng.integers(0, 5000, 200)
    strand = rng.choice(["+", "-"], 200)
    genes = pd.DataFrame({"chrom": chrom, "start": position, "end": position + 1, "strand": strand})
    where, start = rng.choice(["chr1", "2", "chr3"], 300), rng.integers(0, 6000, 300)
    peaks = Intervals(where.astype(str), start, start + rng.integers(1, 800, 300))
    nearest, distance = nearest_starts(peaks, read_tss(genes))
    bare = np.array([c.removeprefix("chr") for c in chrom])
    for i in range(300):
        center = (peaks.start[i] + peaks.end[i]) // 2
        far = np.where(bare == where[i].removeprefix("chr"), np.abs(position - center), 10**9)
        if where[i] == "chr3":
            assert (nearest[i], distance[i]) == (-1, 0)
            continue
        assert nearest[i] == far.argmin()
        sign = 1 if strand[nearest[i]] == "+" else -1
        assert distance[i] == sign * (center - position[nearest[i]])


def test_among_equals_the_first() -> None:
    genes = pd.DataFrame(
        {"chrom": "1", "start": [30, 10, 10, 50], "end": [31, 11, 11, 51], "strand": ["+", "-", "+", "+"]}
    )
    peaks = Intervals.from_names(["1:19-21", "1:10-11", "1:39-41", "1:60-61"])
    nearest, distance = nearest_starts(peaks, read_tss(genes))
    assert nearest.tolist() == [0, 1, 0, 3]
    assert distance.tolist() == [-10, 0, 10, 10]
