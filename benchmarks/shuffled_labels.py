"""What wrong labels in the reference cost: `python benchmarks/shuffled_labels.py FOLDER`, by hand.

Bone marrow from donor to donor, ten types. A share of the reference's cells, drawn at random, gets another label, which
is drawn by the labels' shares. Which cells and labels depends on the seed alone, and a greater share takes the cells of
a smaller one with the same labels, and more. The query is scored by its true labels, before rejection.

Rows go to `benchmarks/shuffled_labels.csv`: accuracy and macro-F1 over true ∪ predicted types. Where a method names
cells of the reference whose label the rest contradicts, in `query.uns["scllmda"]["reference"]["contradicted"]`, also
their number, the share of them that were given another label (precision), and the share of the cells with another label
that are among them (recall); these are empty where it names none, as most methods do not look. Rows that are there are
not computed again, unless `--again`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from _annotation_methods import COUNTS, LABELS
from _annotation_tasks import TASKS, Pair
from threadpoolctl import threadpool_limits

import scllmda as sl

PAIRS = {
    "granja D6T1→D5T1": "granja-coarse D6T1→D5T1",
    "granja D5T1→D6T1": "granja-coarse D5T1→D6T1",
}
"""Tasks of `annotation.py`."""
METHODS = ("robust", "lsi_lr", "spectral_lr", "nearest_centroid", "annatac")
SETTINGS: dict[str, dict[str, Any]] = {"annatac": {"recipe": {"preset": "small"}, "layer": COUNTS}}
"""Where they are not the defaults."""
SHARES = (0.0, 0.05, 0.1, 0.2)
KEY = ["pair", "method", "share", "seed"]
COLUMNS = [*KEY, "accuracy", "macro_f1", "n_shuffled", "n_contradicted", "precision", "recall", "seconds"]


def shuffle(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels with a share of them replaced, and which cells these are."""
    rng = np.random.default_rng(seed)
    classes, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    chances = np.tile(counts.astype(float), (len(classes), 1))
    np.fill_diagonal(chances, 0)
    up_to = np.cumsum(chances / chances.sum(axis=1, keepdims=True), axis=1)
    # A number for every cell, whatever the share, lets shares differ in nothing else.
    order, draw = rng.permutation(len(codes)), rng.random(len(codes))
    others = np.minimum((draw[:, None] >= up_to[codes]).sum(axis=1), len(classes) - 1)
    shuffled = np.zeros(len(codes), dtype=bool)
    shuffled[order[: round(share * len(codes))]] = True
    return classes[np.where(shuffled, others, codes)], shuffled


def result(pair: Pair, method: str, share: float, seed: int) -> dict[str, Any]:
    reference, query = pair.reference.copy(), pair.query.copy()
    reference.obs[LABELS], shuffled = shuffle(reference.obs[LABELS].to_numpy(str), share, seed)
    start = perf_counter()
    sl.tl.annotate(query, reference, labels_key=LABELS, method=method, rng=seed, **SETTINGS.get(method, {}))
    seconds = perf_counter() - start
    report = sl.metrics.annotation_report(pair.truth, query.obs["scllmda_raw"].to_numpy(str))
    row = {"accuracy": report["accuracy"], "macro_f1": report["macro_f1"], "seconds": seconds}
    row["n_shuffled"] = int(shuffled.sum())
    contradicted = np.asarray(query.uns["scllmda"]["reference"].get("contradicted", [])).astype(str)
    if contradicted.size > 0:
        found = reference.obs_names.isin(contradicted)
        row |= {"n_contradicted": int(found.sum()), "precision": shuffled[found].mean()}
        if shuffled.any():
            row["recall"] = found[shuffled].mean()
    return row


def read_results(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)


def run(options: argparse.Namespace, name: str, seed: int) -> None:
    pair = None
    for method in options.methods:
        for share in options.shares:
            key = dict(zip(KEY, (name, method, share, seed), strict=True))
            results = read_results(options.output).astype(object)
            if not options.again and (results[KEY] == pd.Series(key)).all(axis=1).any():
                continue
            pair = TASKS[PAIRS[name]].make(options.data, seed) if pair is None else pair
            row = key | result(pair, method, share, seed)
            results = pd.concat([results, pd.DataFrame([row], columns=COLUMNS, dtype=object)])
            results = results.drop_duplicates(KEY, keep="last").convert_dtypes()
            results.to_csv(options.output, index=False, float_format="%.4f")
            print(*key.values(), f"{row['accuracy']:.3f}/{row['macro_f1']:.3f}", sep="\t", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the .h5ad")
    parser.add_argument("--pairs", nargs="+", default=list(PAIRS), choices=PAIRS, metavar="NAME")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--shares", nargs="+", type=float, default=list(SHARES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--again", action="store_true", help="also what has been computed")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    for seed in options.seeds:
        for name in options.pairs:
            with threadpool_limits(1):
                run(options, name, seed)


if __name__ == "__main__":
    main()
