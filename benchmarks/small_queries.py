"""Labels of few cells: `python benchmarks/small_queries.py FOLDER`, by hand.

Draws of a few cells of the query, each annotated on its own against the whole reference, as who has sequenced no more
would. Enough draws for 60 cells of each size, and at least 2; cells of different draws of a size are different ones.
Beside it, the labels that the same cells get as part of the whole query. Draws depend on `--seed` alone, so all methods
label the same cells.

Rows go to `benchmarks/small_queries.csv`, one for each draw: the accuracy of its cells' labels before rejection when
they are annotated alone and when they are annotated together with the rest, the share of its cells that are rejected
when alone, and the seconds that this took. Pairs, sizes and methods whose rows are all there are not computed again,
unless `--again`. At the end a markdown table of the means over all cells is printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from _annotation_methods import LABELS
from _annotation_tasks import TASKS, Pair
from threadpoolctl import threadpool_limits

import scllmda as sl

PAIRS = {
    "granja D6T1→D5T1": "granja-coarse D6T1→D5T1",
    "granja D5T1→D6T1": "granja-coarse D5T1→D6T1",
    "cortex A–D→E–H": "cortex A–D→E–H",
}
"""Tasks of `annotation.py` whose queries are drawn from."""
SIZES = (1, 5, 10, 50)
MIN_CELLS, MIN_DRAWS = 60, 2
KEY = ["pair", "method", "n_cells", "draw"]
SCORES = ["accuracy_alone", "accuracy_together", "rejected_alone", "seconds"]


def draws(n_query: int, n_cells: int, seed: int) -> list[np.ndarray]:
    """Return the positions of the cells of each draw."""
    n_draws = max(MIN_DRAWS, -(-MIN_CELLS // n_cells))
    cells = np.random.default_rng(seed).permutation(n_query)
    return [np.sort(part) for part in cells[: n_draws * n_cells].reshape(n_draws, n_cells)]


def annotated(query: ad.AnnData, reference: ad.AnnData, method: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels before rejection, and which cells are rejected."""
    query = query.copy()
    sl.tl.annotate(query, reference, labels_key=LABELS, method=method, rng=seed)
    return query.obs["scllmda_raw"].to_numpy(str), (query.obs["scllmda"] == "Unassigned").to_numpy()


def rows_of(pair: Pair, together: np.ndarray, n_cells: int, method: str, seed: int) -> list[dict[str, Any]]:
    """Return a row for each draw, given the labels of the whole query."""
    rows = []
    for draw, cells in enumerate(draws(pair.query.n_obs, n_cells, seed)):
        start = perf_counter()
        labels, rejected = annotated(pair.query[cells], pair.reference, method, seed)
        seconds = perf_counter() - start
        truth = pair.truth[cells]
        scores = ((labels == truth).mean(), (together[cells] == truth).mean(), rejected.mean(), seconds)
        rows.append({"n_cells": n_cells, "draw": draw, **dict(zip(SCORES, map(float, scores), strict=True))})
    return rows


def read_results(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=[*KEY, *SCORES])


def run(options: argparse.Namespace, name: str, method: str) -> None:
    results = read_results(options.output)
    of_both = results[(results["pair"] == name) & (results["method"] == method)]
    sizes = [n for n in options.sizes if options.again or n not in set(of_both["n_cells"])]
    if not sizes:
        return
    pair = TASKS[PAIRS[name]].make(options.data, options.seed)
    together = annotated(pair.query, pair.reference, method, options.seed)[0]
    for n_cells in sizes:
        rows = pd.DataFrame(rows_of(pair, together, n_cells, method, options.seed))
        rows.insert(0, "pair", name)
        rows.insert(1, "method", method)
        results = rows if results.empty else pd.concat([results, rows])
        results = results.drop_duplicates(KEY, keep="last")
        results.to_csv(options.output, index=False, float_format="%.4f")
        print(name, method, n_cells, *rows[SCORES].mean().round(3), sep="\t", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the .h5ad")
    parser.add_argument("--pairs", nargs="+", default=list(PAIRS), choices=PAIRS, metavar="NAME")
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--methods", nargs="+", default=["robust"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="also what has been computed")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    for name in options.pairs:
        for method in options.methods:
            with threadpool_limits(1):
                run(options, name, method)
    print_means(read_results(options.output))


def print_means(results: pd.DataFrame) -> None:
    """Print the means over the cells of all draws, which have as many cells each."""
    means = results.groupby(KEY[:-1], sort=False)[SCORES].mean()
    print("\n| " + " | ".join([*KEY[:-1], *SCORES]) + " |\n" + "|---" * (len(KEY) - 1 + len(SCORES)) + "|")
    for key, row in means.iterrows():
        print("| " + " | ".join([*map(str, key), *(f"{value:.3f}" for value in row)]) + " |")


if __name__ == "__main__":
    main()
