"""How long a million cells take: `python benchmarks/million_cells.py`, by hand, minutes.

`tl.graph_da_annotate` on a synthetic embedding, half of its cells reference and half query, in a process of its own
with `--threads` threads. Cells are drawn around the centers of `N_TYPES` types of unequal size, along directions of
falling variance, as those of an embedding; all query cells are moved one way, and one type is not in the reference. MB
is what the call adds to the process that holds the embedding already, at its peak, and that peak (Linux).

Each stage is timed where it is called; the rest is the classifier and the writing of slots.
`--method` takes another one than the default; of a network, `--epochs` full batches.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from cell_embeddings import PACKAGE, THREADS, load, measured, row, table

N_TYPES, N_DIMS = 20, 64
SPREAD, SHIFT = 0.5, 0.3
"""Standard deviation of cells about their type's center, and of the query's move, over that of the centers."""
NOVEL = f"type {N_TYPES - 1}"
STAGES = {"nearest_graph": "_task", "ppmi_graph": "_task", "reject": "_run"}
"""Functions by the file of `methods` that calls them."""


def simulate(n_cells: int, rng: np.random.Generator) -> ad.AnnData:
    scale = (1 / np.sqrt(np.arange(1, N_DIMS + 1))).astype(np.float32)
    centers, move = (scale * rng.standard_normal((n, N_DIMS), dtype=np.float32) for n in (N_TYPES, 1))
    query = rng.random(n_cells) < 0.5
    share = rng.dirichlet(np.full(N_TYPES, 2.0))
    known = np.append(share[:-1] / share[:-1].sum(), 0)
    types = np.where(query, *(rng.choice(N_TYPES, n_cells, p=p) for p in (share, known)))
    X = rng.standard_normal((n_cells, N_DIMS), dtype=np.float32)
    X *= SPREAD * scale
    X += centers[types]
    X += SHIFT * query[:, None].astype(np.float32) * move
    truth = pd.Categorical.from_codes(types, [f"type {t}" for t in range(N_TYPES)])
    labels = pd.Series(truth.astype(object)).where(~query).astype("category").to_numpy()
    obs = pd.DataFrame({"truth": truth, "query": query}, index=pd.RangeIndex(n_cells).astype(str))
    return ad.AnnData(obs=obs.assign(cell_type=labels), obsm={"X_scllmda": X})


def timed(function: Callable[..., Any], seconds: dict[str, float]) -> Callable[..., Any]:
    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        start = perf_counter()
        result = function(*args, **kwargs)
        seconds[function.__name__] = seconds.get(function.__name__, 0.0) + perf_counter() - start
        return result

    return run


def annotate(n_cells: int, method: str, epochs: int | None) -> None:
    load(PACKAGE)
    import scllmda as sl

    adata = simulate(n_cells, np.random.default_rng(0))
    recipe = None if epochs is None else {"n_epochs": epochs}
    seconds: dict[str, float] = {}
    for name, file in STAGES.items():
        module = importlib.import_module(f"scllmda.methods.{file}")
        setattr(module, name, timed(getattr(module, name), seconds))
    _, figures = measured(lambda: sl.tl.graph_da_annotate(adata, "cell_type", method=method, recipe=recipe))
    seconds["the rest"] = figures["seconds"] - sum(seconds.values())
    table("stage", "seconds")
    for stage, figure in (seconds | {"all": figures["seconds"]}).items():
        row(stage.strip("_"), f"{figure:.1f}")
    print(f"\n{figures['added']:,.0f} MB added, {figures['peak']:,.0f} MB at the peak of the process.")

    query = adata.obs[adata.obs["query"]]
    novel, rejected = query["truth"] == NOVEL, query["scllmda"] == "Unassigned"
    right = query["scllmda_raw"].astype(str) == query["truth"].astype(str)
    print(
        f"Of {(~novel).sum():,} query cells of types in the reference {right[~novel].mean():.3f} got their own label "
        f"before rejection, and {rejected[~novel].mean():.3f} were rejected; {rejected[novel].mean():.3f} of "
        f"{novel.sum():,} others were."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--method", default="robust")
    parser.add_argument("--epochs", type=int, help="of a network, instead of its recipe's")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    epochs = "" if options.epochs is None else f", {options.epochs} epochs"
    print(
        f"\n{options.method}{epochs}: {options.cells:,} cells × {N_DIMS} dimensions, {N_TYPES} types, "
        f"{options.threads} threads\n",
        flush=True,
    )
    job = {"n_cells": options.cells, "method": options.method, "epochs": options.epochs}
    # Threads are counted when libraries are loaded: they have been in this process.
    subprocess.run(
        [sys.executable, __file__, "--job", json.dumps(job)],
        env=os.environ | dict.fromkeys(THREADS, str(options.threads)),
        check=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        annotate(**json.loads(sys.argv[2]))
    else:
        main()
