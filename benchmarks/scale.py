"""What cells, peaks and counts cost: `python benchmarks/scale.py FOLDER --peers-python PYTHON`, by hand, hours.

Each method runs in a process of its own with `--threads` threads, imports done before the clock starts; MB is the peak
of the process, and what the call adds to it (Linux). Ours and SnapATAC2 take turns in one run, so that their ratio does
not depend on what else the machine does. Simulated cells mix two programs of open peaks; their type is the program that
has the larger part.

embedding
    Ours at its defaults and the spectral embedding of SnapATAC2 with 30 dimensions, of the same counts in memory;
    beside it the share of cells whose type a logistic regression on the embedding foretells, fitted to every other
    cell.
annotate
    Labels of one donor's cells by the other's, in a process that has annotated before (warm): `tl.annotate`, with
    calibration and novelty, beside SnapATAC2's embedding of both and a logistic regression.
disk
    A fit of counts that stay on disk.
million
    `tl.annotate` of half of the cells by the other half, both on disk; and, for a tenth of them, how many labels are
    the same when the counts are in memory.
portable
    Labels of a query by a reference without counts (`get.portable_reference`).
given
    Graphs and labels of cells that were embedded before, half of them known (`million_cells.py` says how they are
    made).
doubling
    Our embedding of twice the cells, of twice the peaks with as many open in a cell, and with twice as many; medians
    of three runs.

Rows go to `scale.csv`, of which `annotation.py --report` makes docs/benchmarks/many_cells.md; what is there is not run
again, unless `--again`. `--sizes` names some of the sizes alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anndata as ad
import numpy as np
import pandas as pd
from _real_data import GRANJA
from _scale_report import OURS, PEER
from cell_embeddings import PACKAGE, THREADS, load, measured, simulate, spectral, write_simulated
from million_cells import NOVEL
from million_cells import simulate as simulate_embedded
from sklearn.linear_model import LogisticRegression

KEY = ["experiment", "size", "method"]
SCORES = ["seconds", "added", "peak", "accuracy", "agreement"]
N_DIMS_OF_PEER = 30


def sized(n_cells: int, n_peaks: int, per_cell: int) -> str:
    return f"{n_cells:,} × {n_peaks:,}, {per_cell:,} a cell"


EMBEDDED = {sized(*s): s for s in ((8_000, 100_000, 950), (20_000, 100_000, 950), (200_000, 100_000, 950))}
ON_DISK = {sized(*s): s for s in ((200_000, 100_000, 2_000),)}
MILLION = {sized(*s): s for s in ((100_000, 100_000, 400), (1_000_000, 100_000, 400))}
PORTABLE = {sized(*s): s for s in ((210_000, 100_000, 400),)}
N_QUERY_OF_PORTABLE = 10_000
SIZES_DOUBLED = ((20_000, 50_000, 500), (40_000, 50_000, 500), (20_000, 100_000, 500), (20_000, 100_000, 1_000))
DOUBLED = {sized(*s): s for s in SIZES_DOUBLED}
N_RUNS = 3
"""Of which the median is taken where ratios are of one method's runs."""
GIVEN = {"1,000,000 cells in 64 dimensions": (1_000_000, 0, 0)}


# Jobs, as they run in processes of their own.


def embed(file: str, method: str) -> dict[str, float]:
    adata = ad.read_h5ad(file)
    if method == PEER:
        load(("snapatac2",))
        X, figures = measured(partial(spectral, adata, 0, N_DIMS_OF_PEER))
    else:
        load(PACKAGE)
        import scllmda as sl

        _, figures = measured(partial(sl.tl.cell_embeddings, adata))
        X = adata.obsm["X_scllmda"]
    return {**figures, "accuracy": told_by(np.asarray(X), adata.obs["type"].to_numpy(str))}


def embed_again(file: str, method: str) -> dict[str, float]:
    """Return the median figures of several runs."""
    runs = pd.DataFrame([embed(file, method) for _ in range(N_RUNS)])
    return runs.median().to_dict()


def annotate_given(file: str, method: str) -> dict[str, float]:
    load(PACKAGE)
    import scllmda as sl

    adata = ad.read_h5ad(file)
    _, figures = measured(partial(sl.tl.graph_da_annotate, adata, "cell_type"))
    asked = (adata.obs["query"] & (adata.obs["truth"] != NOVEL)).to_numpy()
    found, truth = (adata.obs[column].to_numpy(str)[asked] for column in ("scllmda_raw", "truth"))
    return {**figures, "accuracy": float((found == truth).mean())}


def told_by(X: np.ndarray, types: np.ndarray) -> float:
    """Return the share of odd cells whose type a regression on the even ones foretells."""
    X = (X - X.mean(axis=0)) / (X.std() or 1)
    model = LogisticRegression(max_iter=1000).fit(X[::2], types[::2])
    return float((model.predict(X[1::2]) == types[1::2]).mean())


def annotate(file: str, method: str) -> dict[str, float]:
    adata = ad.read_h5ad(file)
    sides = GRANJA.sides(adata.obs["batch"]).to_numpy(str)
    reference, query = (adata[sides == side].copy() for side in ("D6T1", "D5T1"))
    truth = query.obs["cell_type_coarse"].to_numpy(str)

    def ours() -> np.ndarray:
        import scllmda as sl

        labeled = query.copy()
        sl.tl.annotate(labeled, reference, labels_key="cell_type_coarse")
        return labeled.obs["scllmda_raw"].to_numpy(str)

    def peer() -> np.ndarray:
        both = ad.concat([reference, query])
        X = np.asarray(spectral(both, 0, N_DIMS_OF_PEER))
        X = (X - X.mean(axis=0)) / X.std()
        known, n = reference.obs["cell_type_coarse"].to_numpy(str), reference.n_obs
        return LogisticRegression(max_iter=1000).fit(X[:n], known).predict(X[n:])

    call: Callable[[], np.ndarray] = peer if method == PEER else ours
    load(("snapatac2",) if method == PEER else PACKAGE)
    call()
    labels, figures = measured(call)
    return {**figures, "accuracy": float((labels == truth).mean())}


def fit_on_disk(file: str, method: str) -> dict[str, float]:
    load(PACKAGE)
    import scllmda as sl

    adata = ad.read_h5ad(file, backed="r")
    _, figures = measured(partial(sl.tl.cell_embeddings, adata))
    return {**figures, "accuracy": told_by(adata.obsm["X_scllmda"], adata.obs["type"].to_numpy(str))}


def annotate_on_disk(file: str, method: str) -> dict[str, float]:
    load(PACKAGE)
    import scllmda as sl

    def sides(**how: Any) -> tuple[ad.AnnData, ad.AnnData]:
        return tuple(ad.read_h5ad(f"{file}.{side}.h5ad", **how) for side in ("query", "reference"))

    query, reference = sides(backed="r")
    # Fewer counts would be read into memory once.
    with patch("scllmda._counts.MOST_IN_MEMORY", 0):
        _, figures = measured(partial(sl.tl.annotate, query, reference, labels_key="type"))
    labels = query.obs["scllmda_raw"].to_numpy(str)
    found = {**figures, "accuracy": float((labels == query.obs["type"].to_numpy(str)).mean())}
    if query.n_obs <= 50_000:
        in_memory, reference = sides()
        sl.tl.annotate(in_memory, reference, labels_key="type")
        found["agreement"] = float((labels == in_memory.obs["scllmda_raw"].to_numpy(str)).mean())
    return found


def annotate_by_portable(file: str, method: str) -> dict[str, float]:
    load(PACKAGE)
    import scllmda as sl

    query, reference = (ad.read_h5ad(f"{file}.{side}.h5ad") for side in ("query", "reference"))
    _, figures = measured(partial(sl.tl.annotate, query, reference, labels_key="type"))
    accuracy = (query.obs["scllmda_raw"].astype(str) == query.obs["type"].astype(str)).mean()
    return {**figures, "accuracy": float(accuracy)}


JOBS = {
    job.__name__: job
    for job in (
        embed,
        embed_again,
        annotate,
        annotate_given,
        fit_on_disk,
        annotate_on_disk,
        annotate_by_portable,
    )
}


# Files that the jobs read.


def in_memory(path: Path, size: tuple[int, int, int]) -> None:
    X, types = simulate(*size, np.random.default_rng(0))
    adata = ad.AnnData(X, obs=pd.DataFrame({"type": types}, index=pd.RangeIndex(len(types)).astype(str)))
    adata[:, np.unique(X.indices)].write_h5ad(path)


def given(path: Path, size: tuple[int, int, int]) -> None:
    simulate_embedded(size[0], np.random.default_rng(0)).write_h5ad(path)


def on_disk(path: Path, size: tuple[int, int, int]) -> None:
    write_simulated(path, *size)


def two_sides(path: Path, size: tuple[int, int, int]) -> None:
    n_cells, n_peaks, per_cell = size
    for seed, side in enumerate(("query", "reference")):
        write_simulated(Path(f"{path}.{side}.h5ad"), n_cells // 2, n_peaks, per_cell, seed=seed)


def with_portable(path: Path, size: tuple[int, int, int]) -> None:
    import scllmda as sl

    n_cells, n_peaks, per_cell = size
    write_simulated(Path(f"{path}.query.h5ad"), N_QUERY_OF_PORTABLE, n_peaks, per_cell, seed=1)
    write_simulated(path, n_cells - N_QUERY_OF_PORTABLE, n_peaks, per_cell)
    reference = ad.read_h5ad(path, backed="r")
    sl.tl.cell_embeddings(reference)
    sl.get.portable_reference(reference).write_h5ad(f"{path}.reference.h5ad")


EXPERIMENTS: dict[str, tuple[Callable, Callable | None, dict[str, Any], tuple[str, ...]]] = {
    "embedding": (embed, in_memory, EMBEDDED, (OURS, PEER)),
    "annotate": (annotate, None, {GRANJA.file: None}, (OURS, PEER)),
    "disk": (fit_on_disk, on_disk, ON_DISK, (OURS,)),
    "million": (annotate_on_disk, two_sides, MILLION, (OURS,)),
    "portable": (annotate_by_portable, with_portable, PORTABLE, (OURS,)),
    "given": (annotate_given, given, GIVEN, (OURS,)),
    "doubling": (embed_again, in_memory, DOUBLED, (OURS,)),
}
"""Job, what writes its file, sizes, methods."""
ROWS = [(name, size, m) for name, (_, _, sizes, methods) in EXPERIMENTS.items() for size in sizes for m in methods]


def run(job: str, file: Path, method: str, options: argparse.Namespace) -> dict[str, float]:
    """Return what a job in its own process found."""
    interpreter = options.peers_python if method == PEER else sys.executable
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.json")
        given = {"job": job, "file": str(file), "method": method, "out": str(out)}
        env = os.environ | dict.fromkeys(THREADS, str(options.threads))
        subprocess.run([interpreter, __file__, "--job", json.dumps(given)], env=env, stdout=sys.stderr, check=True)
        return json.loads(out.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the .h5ad")
    parser.add_argument("--experiments", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS))
    parser.add_argument("--sizes", nargs="+", type=int, help="positions in the lists of sizes; all")
    parser.add_argument("--peers-python", default=sys.executable, help="interpreter with SnapATAC2")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="also what has been run")
    parser.add_argument("--scratch", type=Path, help="folder for files of up to 8 bytes a count")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    for name in options.experiments:
        job, write, sizes, methods = EXPERIMENTS[name]
        for size in [s for at, s in enumerate(sizes) if options.sizes is None or at in options.sizes]:
            results = pd.read_csv(options.output) if options.output.exists() else pd.DataFrame(columns=[*KEY, *SCORES])
            done = set(map(tuple, results[KEY].to_numpy()))
            left = [m for m in methods if options.again or (name, size, m) not in done]
            if not left:
                continue
            with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
                file = options.data / size if write is None else Path(folder, "counts.h5ad")
                if write is not None:
                    write(file, sizes[size])
                rows = [
                    {**dict(zip(KEY, (name, size, m), strict=True)), **run(job.__name__, file, m, options)}
                    for m in left
                ]
            new = pd.DataFrame(rows, columns=[*KEY, *SCORES])
            results = pd.concat([results.astype(object), new.astype(object)]).drop_duplicates(KEY, keep="last")
            results = results.set_index(KEY).reindex(ROWS).dropna(how="all").reset_index()
            results.convert_dtypes().to_csv(options.output, index=False, float_format="%.4f")
            print(new.to_string(), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        given = json.loads(sys.argv[2])
        out = Path(given.pop("out"))
        out.write_text(json.dumps(JOBS[given.pop("job")](**given)))
    else:
        main()
