"""How fast sequences are read: `python benchmarks/peak_sequences.py`, seconds on a CPU.

`scllmda.genomics.fetch_sequences` against one pyfaidx query per peak, on a synthetic genome, both from a warm cache.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import scanpy as sc
from pyfaidx import Fasta

from scllmda.genomics import Intervals, fetch_sequences


def write_genome(path: Path, n_contigs: int, length: int, rng: np.random.Generator) -> None:
    bases = np.frombuffer(b"ACGTacgt", dtype=np.uint8)
    with path.open("wb") as file:
        for i in range(n_contigs):
            lines = np.full((length // 60, 61), ord("\n"), dtype=np.uint8)
            lines[:, :60] = bases[rng.integers(len(bases), size=(length // 60, 60), dtype=np.uint8)]
            file.write(f">chr{i + 1}\n".encode() + lines.tobytes())


def one_by_one(path: Path, peaks: Intervals) -> list[str]:
    with Fasta(path, as_raw=True) as genome:
        return [
            genome[chrom][start:end].upper()
            for chrom, start, end in zip(peaks.chrom, peaks.start.tolist(), peaks.end.tolist(), strict=True)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peaks", type=int, default=50_000)
    parser.add_argument("--contigs", type=int, default=10)
    parser.add_argument("--length", type=int, default=6_000_000, help="bases per contig, a multiple of 60")
    parser.add_argument("--repeats", type=int, default=3, help="the quickest run counts")
    options = parser.parse_args()
    sc.settings.verbosity = "error"  # random DNA is no richer in G and C here than there, which is warned about
    rng = np.random.default_rng(0)
    chrom = np.char.add("chr", rng.integers(1, options.contigs + 1, options.peaks).astype(str))
    start = rng.integers(0, options.length - 501, options.peaks)
    peaks = Intervals.from_columns(chrom, start, start + 501)
    with TemporaryDirectory() as folder:
        path = Path(folder, "genome.fa")
        write_genome(path, options.contigs, options.length, rng)
        Fasta(path).close()  # both find the index there
        found, seconds = {}, {}
        for name, read in {
            "pyfaidx, peak by peak": lambda: one_by_one(path, peaks),
            "scllmda": lambda: fetch_sequences(path, peaks)[0].tolist(),
        }.items():
            times = []
            for _ in range(options.repeats):
                begin = time.perf_counter()
                found[name] = read()
                times.append(time.perf_counter() - begin)
            seconds[name] = min(times)
    by_one, ours = seconds.values()
    one_list, our_list = found.values()
    print("| reader | seconds |\n|---|---|")
    for name, value in seconds.items():
        print(f"| {name} | {value:.2f} |")
    print(f"\n{options.peaks:,} peaks, {by_one / ours:.1f} times as fast, sequences equal: {one_list == our_list}")


if __name__ == "__main__":
    main()
