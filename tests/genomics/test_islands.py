"""Islands against a loop over peaks, cells and bins."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import read_h5ad
from hypothesis import given
from hypothesis import strategies as st

from scllmda.genomics import (
    Intervals,
    bare_contig,
    island_values,
    islands,
    peak_positions,
    read_tss,
    require_same_genome,
)

CONTIGS = st.sampled_from(["chr1", "1", "chr2", "10", "chrM", "MT"])
PEAKS = st.lists(st.tuples(CONTIGS, st.integers(0, 90), st.integers(1, 40)), max_size=15)
STARTS = st.none() | st.lists(st.tuples(CONTIGS, st.integers(0, 110)), min_size=1, max_size=10)


def intervals(peaks: list[tuple[str, int, int]]) -> Intervals:
    chrom, start, width = zip(*peaks, strict=True) if peaks else ((), (), ())
    start = np.array(start, dtype=np.int64)
    return Intervals(np.array(chrom, dtype="U5"), start, start + np.array(width, dtype=np.int64))


def starts_at(places: list[tuple[str, int]]) -> pd.DataFrame:
    table = pd.DataFrame(places, columns=["chrom", "start"])
    return table.assign(end=table["start"] + 1)


def by_hand(
    peaks: list[tuple[str, int, int]], bin_size: int, starts: list[tuple[str, int]] | None
) -> dict[tuple[str, int], list[int]]:
    """Return the peaks in each island, by bare contig and number of the bin, in order."""
    members = defaultdict(list)
    for i, (chrom, start, width) in enumerate(peaks):
        members[bare_contig(chrom), math.floor((start + start + width) / 2 / bin_size)].append(i)
    # (start + end) // 2 and its bin: rounding twice downwards is rounding once.
    if starts is not None:
        kept = {(bare_contig(chrom), position // bin_size) for chrom, position in starts}
        members = {place: found for place, found in members.items() if place in kept}
    return dict(sorted(members.items()))


@given(peaks=PEAKS, starts=STARTS, bin_size=st.integers(1, 60))
def test_like_a_loop(peaks: list, starts: list | None, bin_size: int) -> None:
    found = islands(intervals(peaks), bin_size, None if starts is None else read_tss(starts_at(starts)))
    expected = by_hand(peaks, bin_size, starts)
    assert [(bare_contig(c), s // bin_size) for c, s in zip(found.bins.chrom, found.bins.start, strict=True)] == list(
        expected
    )
    assert (found.bins.start % bin_size == 0).all()
    assert (found.bins.width == bin_size).all()
    dense = np.zeros((len(peaks), len(expected)))
    for column, members in enumerate(expected.values()):
        dense[members, column] = 1
        assert found.bins.chrom[column] == min(peaks[i][0] for i in members)
    assert found.assignment.format == "csr"
    assert found.assignment.dtype == np.float32
    np.testing.assert_array_equal(found.assignment.toarray(), dense)


@given(peaks=PEAKS, starts=STARTS, seed=st.integers(0, 99))
def test_the_order_of_peaks_and_starts_changes_nothing(peaks: list, starts: list | None, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(peaks))
    tss = shuffled = None
    if starts is not None:
        tss, shuffled = read_tss(starts_at(starts)), read_tss(starts_at(starts).sample(frac=1, random_state=seed))
    one = islands(intervals(peaks), 20, tss)
    other = islands(intervals([peaks[i] for i in order]), 20, shuffled)
    assert one.bins.names().tolist() == other.bins.names().tolist()
    np.testing.assert_array_equal(one.assignment.toarray()[order], other.assignment.toarray())


def test_a_peak_that_spans_bins_belongs_to_that_of_its_midpoint() -> None:
    peaks = Intervals.from_names(["1:4000-5999", "1:4000-6000", "1:0-20000"])
    found = islands(peaks, 5000, None)
    assert found.bins.names().tolist() == ["1:0-5000", "1:5000-10000", "1:10000-15000"]
    assert found.assignment.toarray().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_strands_decide_which_bin_is_an_island() -> None:
    peaks = Intervals.from_names(["chr1:100-200", "chr1:9900-10000", "chr1:10000-10100"])
    genes = pd.DataFrame({"chrom": ["1"], "start": [4000], "end": [10_000]})
    for strand, expected in (("+", "chr1:0-5000"), ("-", "chr1:5000-10000")):
        assert islands(peaks, 5000, read_tss(genes.assign(strand=strand))).bins.names().tolist() == [expected]


def test_no_island() -> None:
    found = islands(Intervals.from_names(["1:0-10"]), 5000, read_tss(starts_at([("1", 5000), ("2", 0)])))
    assert len(found.bins) == 0
    assert found.assignment.shape == (1, 0)


@pytest.mark.parametrize("bin_size", [0, -5])
def test_bins_have_a_width(bin_size: int) -> None:
    with pytest.raises(ValueError, match=f"Found bin_size={bin_size}; expected a width"):
        islands(Intervals.from_names(["1:0-10"]), bin_size, None)


@given(
    counts=st.lists(st.lists(st.sampled_from([0, 0, 0, 0.1, 1, 2, 7, 1000]), min_size=6, max_size=6), max_size=4),
    column=st.lists(st.integers(-1, 2), min_size=6, max_size=6),
)
def test_values_like_a_loop(counts: list[list[float]], column: list[int]) -> None:
    X = np.array(counts, dtype=np.float32).reshape(-1, 6)
    dense = np.array([[float(c == j) for j in range(3)] for c in column])
    found = island_values(sp.csr_matrix(X), sp.csr_matrix(dense))
    expected = np.zeros((len(X), 3))
    for i, cell in enumerate(X):
        for j in range(3):
            values = [float(v) for v, c in zip(cell, column, strict=True) if c == j]
            expected[i, j] = math.ceil(math.fsum(values) / len(values)) if values else 0
    assert found.dtype == np.float32
    assert found.has_canonical_format
    assert (found.data > 0).all()
    np.testing.assert_array_equal(found.toarray(), expected)


def test_zeros_that_are_stored_are_none() -> None:
    X = sp.csr_matrix((np.array([0.0, 2.0]), np.array([0, 1]), np.array([0, 2])), shape=(1, 2))
    found = island_values(X, sp.csr_matrix(np.eye(2)))
    assert (found.nnz, found.toarray().tolist()) == (1, [[0, 2]])


class TestSameGenome:
    def test_other_contigs(self) -> None:
        peaks = Intervals.from_names(["chr1:0-10", "chr2:0-10"])
        with pytest.raises(ValueError, match=r"on other contigs \(NC_000001\.11\) than the peaks \(chr1, chr2\)"):
            require_same_genome(peaks, read_tss(starts_at([("NC_000001.11", 5)])))
        require_same_genome(peaks, read_tss(starts_at([("1", 500)])))

    def test_starts_anywhere(self) -> None:
        rng = np.random.default_rng(0)
        start = np.sort(rng.choice(10_000, 1000, replace=False)) * 3000
        peaks = Intervals(np.full(1000, "chr1"), start, start + 500)
        inside = starts_at([("1", s + 250) for s in start[::2]])
        require_same_genome(peaks, read_tss(inside))
        anywhere = starts_at([("1", s) for s in rng.integers(0, 30_000_000, 2000)])
        with pytest.raises(ValueError, match=r"of 2000 transcription start sites lie in a peak, .*pass tss=None"):
            require_same_genome(peaks, read_tss(anywhere))

    @pytest.mark.parametrize(
        ("file", "build", "others"),
        [
            ("granja2019_bmmc_10x_hg19.h5ad", "hg19", ["hg38", "mm10"]),
            ("celllines_gm_hek_k562_h1_hg19.h5ad", "hg19", ["hg38", "mm10"]),
            ("chen2019_cortex_snareseq_mm10_atac.h5ad", "mm10", ["hg19", "hg38"]),
        ],
    )
    def test_real_builds(self, file: str, build: str, others: list[str], shared_data: Path) -> None:
        peaks = peak_positions(read_h5ad(shared_data / file, backed="r").var).intervals
        require_same_genome(peaks, read_tss(shared_data / "genes" / f"gencode_genes_{build}.bed.gz"))
        require_same_genome(peaks, read_tss(shared_data / f"{build}_gencode_tss_unique.bed.gz"))
        for other in others:
            tss = read_tss(shared_data / "genes" / f"gencode_genes_{other}.bed.gz")
            with pytest.raises(ValueError, match="They are of another genome build"):
                require_same_genome(peaks, tss)
