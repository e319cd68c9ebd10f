"""What a GPU is worth: `python benchmarks/gpu.py FOLDER --tokenizer FILE`, by hand, minutes; needs an NVIDIA GPU.

encode
    `tl.embed_peaks` of random peaks of 500 bp by a network of DNABERT-2's size with random weights, which reads the
    byte pairs of `FILE`, DNABERT-2's `tokenizer.json`; and the bf16 FLOP/s of the network, once there are tokens. On
    processors it takes hours, and is not run.
embed
    `tl.cell_embeddings` of simulated cells, by the GPU and by all processors of the same machine, and the share of
    cells whose vectors are the same.
annotate
    `tl.annotate` of one donor of bone marrow by the other (`FOLDER` has the data), with the networks of published
    systems, and the share of the cells whose labels are the same.

Rows go to `gpu.csv`, a table of docs/benchmarks/many_cells.md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from _real_data import GRANJA
from cell_embeddings import simulate
from encoders import dnabert2_sized, flops_of, random_peaks, seconds

import scllmda as sl
from scllmda.encoders._dnabert2 import byte_pair_tokens, read_tokenizer

ENCODED = (100_000, 500)
"""Peaks, and their width in base pairs."""
EMBEDDED = (200_000, 100_000, 2_000)
"""Cells, peaks, and open peaks of a cell."""
AT_ONCE = 20_000
"""Cells that are simulated at a time, which bounds the memory that it takes."""
ANNOTATED: dict[str, dict[str, Any]] = {"seqalignatac": {}, "annatac": {"preset": "small"}}
"""Methods and what is replaced of their recipes."""


def encode(tokenizer: Path) -> Iterator[dict[str, Any]]:
    n_peaks, width = ENCODED
    encoder = dnabert2_sized("cuda", None, tokenize=byte_pair_tokens(read_tokenizer(tokenizer)))
    peaks = random_peaks(np.full(n_peaks, width))
    encoder.encode(peaks[:2_000])  # the first products of each kind are slower
    adata = ad.AnnData(shape=(0, n_peaks))
    adata.var["sequence"] = peaks
    taken = seconds(partial(sl.tl.embed_peaks, adata, encoder))
    tokens = encoder._tokenize(peaks)
    with torch.inference_mode(), torch.autocast("cuda", dtype=torch.bfloat16):
        start = perf_counter()
        for _ in encoder._batches(tokens):
            pass
        torch.cuda.synchronize()
        rate = flops_of(tokens.lengths) / (perf_counter() - start) / 1e12
    yield {"what": "encode", "size": f"{n_peaks:,} peaks of {width} bp", "gpu": taken, "tflops": rate}


def embed() -> Iterator[dict[str, Any]]:
    n_cells, n_peaks, per_cell = EMBEDDED
    parts = [
        simulate(min(AT_ONCE, n_cells - first), n_peaks, per_cell, np.random.default_rng(first))[0]
        for first in range(0, n_cells, AT_ONCE)
    ]
    adata = ad.AnnData(sp.vstack(parts, format="csr"))
    taken, found = {}, {}
    for device in ("cuda", "cpu"):
        taken[device] = seconds(partial(sl.tl.cell_embeddings, adata, device=device))
        found[device] = adata.obsm["X_scllmda"]
    same = float((found["cuda"] == found["cpu"]).all(axis=1).mean())
    size = f"{n_cells:,} × {n_peaks:,}, {per_cell:,} a cell"
    yield {"what": "embed", "size": size, "gpu": taken["cuda"], "processors": taken["cpu"], "same": same}


def annotate(folder: Path) -> Iterator[dict[str, Any]]:
    adata = ad.read_h5ad(folder / GRANJA.file)
    sides = GRANJA.sides(adata.obs["batch"]).to_numpy(str)
    reference, query = (adata[sides == side].copy() for side in ("D6T1", "D5T1"))
    for method, recipe in ANNOTATED.items():
        taken, found = {}, {}
        for device in ("cuda", "cpu"):
            call = partial(sl.tl.annotate, query, reference, labels_key="cell_type_coarse", method=method)
            taken[device] = seconds(partial(call, recipe=recipe or None, device=device))
            found[device] = query.obs["scllmda_raw"].to_numpy(str)
        same = float((found["cuda"] == found["cpu"]).mean())
        yield {"what": method, "size": GRANJA.file, "gpu": taken["cuda"], "processors": taken["cpu"], "same": same}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the .h5ad")
    parser.add_argument("--tokenizer", type=Path, help="DNABERT-2's tokenizer.json; without it nothing is encoded")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("There is no GPU here that PyTorch can use: nothing was measured.")
        return
    steps = [] if options.tokenizer is None else [encode(options.tokenizer)]
    rows = []
    for step in (*steps, embed(), annotate(options.data)):
        for row in step:
            rows.append({**row, "device": torch.cuda.get_device_name(), "n_processors": os.cpu_count()})
            print(rows[-1], flush=True)
            columns = ["what", "size", "gpu", "processors", "same", "tflops", "device", "n_processors"]
            pd.DataFrame(rows, columns=columns).to_csv(options.output, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
