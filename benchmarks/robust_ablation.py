"""What each part of ``robust`` is worth: `python benchmarks/robust_ablation.py DATA`, by hand, an hour.

Every variant is `sl.tl.annotate` with some constants replaced, on tasks of `annotation.py`. Rows go to
`benchmarks/ablation.csv`, of which `annotation.py --report` makes docs/benchmarks/parts.md: accuracy, macro-F1
over true ∪ predicted types and expected calibration error of the labels before rejection. Rows that are there are not
computed again, unless `--again`.

How much to pool is compared by four rules: never, wherever it lowers the held-out log loss at all, if it takes off 4 %,
and if it takes off 8 % (the default).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _annotation_methods import LABELS
from _annotation_tasks import TASKS
from threadpoolctl import threadpool_limits

import scllmda as sl

KEY = ["variant", "task"]
SHOWN = (
    "granja-fine D6T1→D5T1",
    "granja-fine D5T1→D6T1",
    "granja-coarse D6T1→D5T1",
    "granja-coarse D5T1→D6T1",
    "cortex A–D→E–H",
    "granja split 500 all",
    "granja split 2000 all",
    "granja split 2000 B",
    "granja split 5000 all",
    "schep → cell lines",
    "cell lines → schep",
    "granja D5T1 → pbmc",
    "granja D6T1 → pbmc",
    "sim fewer types",
)
SEEDS = {"sim fewer types": 1}
"""Of tasks that are drawn, another than 0: of this one the query lacks types that are alike to those it has."""
VARIANTS: dict[str, dict[str, Any]] = {
    "robust": {},
    "never pooled": {"recipe": {"worth": 1.0}},
    "pooled wherever it gains": {"recipe": {"worth": 0.0}},
    "pooled from a gain of 4 %": {"recipe": {"worth": 0.04}},
    "pooled with 15 neighbors alone": {"recipe": {"widths": (1,)}},
    "pooled with 60 neighbors alone": {"recipe": {"widths": (4,)}},
    "balance_pooled=0.6": {"recipe": {"balance_pooled": 0.6}},
    "C_pooled=1": {"recipe": {"C_pooled": 1.0}},
    "C_pooled=1/4": {"recipe": {"C_pooled": 1 / 4}},
    "n_neighbors=5": {"n_neighbors": 5},
    "n_neighbors=30": {"n_neighbors": 30},
    "n_latent=64": {"n_latent": 64},
    "n_dims=16": {"recipe": {"n_dims": 16}},
    "n_dims=128": {"recipe": {"n_dims": 128}},
    "balance=0": {"recipe": {"balance": 0.0}},
    "balance=1": {"recipe": {"balance": 1.0}},
    "C=0.1": {"recipe": {"C": 0.1}},
    "C=10": {"recipe": {"C": 10.0}},
    "rare=0, types that are absent are kept": {"recipe": {"rare": 0.0}},
    "restart=1, not smoothed": {"recipe": {"restart": 1.0}},
    "restart=0.2": {"recipe": {"restart": 0.2}},
}


def row(folder: Path, name: str, task: str) -> dict[str, Any]:
    """Return the scores of a variant; labels of the query are read for them alone."""
    pair = TASKS[task].make(folder, SEEDS.get(task, 0))
    query = pair.query.copy()
    with threadpool_limits(1):
        sl.tl.annotate(query, pair.reference, labels_key=LABELS, **VARIANTS[name])
    proba = query.obsm["scllmda_proba"]
    proba = proba.T.groupby(pair.as_scored(query.uns["scllmda"]["classes"])).sum().T
    labels = pair.as_scored(query.obs["scllmda_raw"].astype(str))
    known = pair.is_known
    report = sl.metrics.annotation_report(pair.truth[known], labels[known], proba[known])
    weights = query.uns["scllmda"]["history"]["weights"]
    scores = {score: report[score] for score in ("accuracy", "macro_f1", "ece")}
    return {"variant": name, "task": task, **scores, "pooled": float(np.sum(list(weights.values())[1:]))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with the files of real data")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS, metavar="NAME")
    parser.add_argument("--tasks", nargs="+", default=list(SHOWN), choices=SHOWN, metavar="NAME")
    parser.add_argument("--again", action="store_true", help="also what has been computed")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("ablation.csv"))
    options = parser.parse_args()
    rows = pd.read_csv(options.output) if options.output.exists() else pd.DataFrame(columns=KEY)
    for name in options.variants:
        for task in options.tasks:
            if not options.again and ((rows["variant"] == name) & (rows["task"] == task)).any():
                continue
            found = row(options.folder, name, task)
            print(*found.values(), sep="\t", flush=True)
            rows = pd.concat([rows, pd.DataFrame([found])]).drop_duplicates(KEY, keep="last")
            # In the order of the tables, whatever was computed when.
            rank = [
                rows["variant"].map({v: i for i, v in enumerate(VARIANTS)}),
                rows["task"].map({t: i for i, t in enumerate(SHOWN)}),
            ]
            rows.iloc[np.lexsort(rank[::-1])].to_csv(options.output, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
