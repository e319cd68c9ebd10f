"""What a check of a reference finds: `python benchmarks/check_reference.py FOLDER`, by hand.

A share of the cells, drawn at random, gets another label; `drawn` says how: by the labels' shares, as in
`shuffled_labels.py`, or any other label as often. Rows say how many labels were found to be contradicted, the share of
these that had been replaced (precision) and the share of the replaced ones that were found (recall), by several rules
on the same posteriors of held-out cells:

- `mixture`, the package's: labels that are more likely wrong than right (`scllmda.calibration.wrong_labels`);
- `ratio`: the label has less than a quarter of the probability of the likeliest one;
- `confident_joint`: another type is above its mean probability in its own cells (Northcutt et al. 2021);
- `neighbors`: none of the 15 nearest cells has the label.

Besides the numbers of pairs of types that are hard to tell apart, of all pairs, and the seconds of the whole check on
one thread. Rows go to `benchmarks/check_reference.csv`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from shuffled_labels import shuffle
from threadpoolctl import threadpool_limits

import scllmda as sl
from scllmda._counts import count_blocks
from scllmda.factorisation import fit, margins
from scllmda.graphs import nearest_graph
from scllmda.methods import LabelCheck, check_labels

DATA: dict[str, tuple[str, str, str | None]] = {
    "marrow, 16 types": ("granja2019_bmmc_10x_hg19", "cell_type", None),
    "marrow, 10 types": ("granja2019_bmmc_10x_hg19", "cell_type_coarse", None),
    "marrow D5T1, 16 types": ("granja2019_bmmc_10x_hg19", "cell_type", "BMMC_D5T1"),
    "marrow D5T1, 10 types": ("granja2019_bmmc_10x_hg19", "cell_type_coarse", "BMMC_D5T1"),
    "cell lines, 12 labels": ("schep2017_cells12_c1_hg19", "cell_type", None),
    "cell lines, 4 types": ("celllines_gm_hek_k562_h1_hg19", "cell_type", None),
    "cortex, 23 types": ("chen2019_cortex_snareseq_mm10_atac", "cell_type", None),
    "simulated, 6 types": ("", "cell_type", None),
}
"""File, column of labels and batch."""
DRAWN = ("by share", "any")
SHARES = (0.0, 0.02, 0.1, 0.2)
KEY = ["data", "drawn", "share", "seed"]
COLUMNS = [*KEY, "rule", "n_cells", "n_shuffled", "n_contradicted", "precision", "recall"]
COLUMNS += ["share_wrong", "n_hard", "n_pairs", "seconds"]


def read(folder: Path, name: str) -> tuple[ad.AnnData, str]:
    file, column, batch = DATA[name]
    adata = ad.read_h5ad(folder / f"{file}.h5ad") if file else sl.datasets.simulate()[0]
    if batch is not None:
        adata = adata[adata.obs["batch"] == batch].copy()
    return adata[adata.obs[column].notna()].copy(), column


def replaced(labels: np.ndarray, drawn: str, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels with a share of them replaced, and which cells these are."""
    if drawn == "by share":
        return shuffle(labels, share, seed)
    rng = np.random.default_rng(seed)
    classes, codes = np.unique(labels, return_inverse=True)
    chosen = np.zeros(len(codes), dtype=bool)
    chosen[rng.permutation(len(codes))[: round(share * len(codes))]] = True
    others = (codes + rng.integers(1, len(classes), len(codes))) % len(classes)
    return classes[np.where(chosen, others, codes)], chosen


def embed(adata: ad.AnnData) -> np.ndarray:
    """Return the cells as a check embeds them."""
    blocks = count_blocks(adata).binary()
    return fit(blocks, margins(blocks), 128, rng=np.random.default_rng(0)).cells


def found_by(rules: LabelCheck, codes: np.ndarray, cells: np.ndarray) -> dict[str, np.ndarray]:
    """Return which labels are contradicted, by rule."""
    proba, n_classes = rules.proba, rules.proba.shape[1]
    own = proba[np.arange(len(codes)), codes]
    level = np.array([proba[codes == c, c].mean() for c in range(n_classes)])
    above = np.where(proba >= level, proba, 0)
    votes = nearest_graph(cells, 15) @ np.eye(n_classes)[codes]
    return {
        "mixture": rules.contradicted,
        "ratio": own < 0.25 * proba.max(axis=1),
        "confident_joint": (above.max(axis=1) > 0) & (above.argmax(axis=1) != codes),
        "neighbors": votes[np.arange(len(codes)), codes] == 0,
    }


def rows_of(adata: ad.AnnData, column: str, cells: np.ndarray, key: dict[str, Any]) -> list[dict[str, Any]]:
    labels, is_wrong = replaced(adata.obs[column].to_numpy(str), key["drawn"], key["share"], key["seed"])
    adata.obs["checked"] = labels
    start = perf_counter()
    sl.tl.check_reference(adata, "checked")
    seconds = perf_counter() - start
    codes = np.unique(labels, return_inverse=True)[1]
    rules = found_by(check_labels(cells, codes, codes.max() + 1), codes, cells)
    assert (rules["mixture"] == adata.obs["reference_check_contradicted"].to_numpy()).all()
    pairs = sl.get.reference_check(adata, "pairs")
    rows = []
    for rule, found in rules.items():
        row = key | {"rule": rule, "n_cells": len(codes), "n_shuffled": int(is_wrong.sum())}
        row["n_contradicted"] = int(found.sum())
        row["precision"] = is_wrong[found].mean() if found.any() else np.nan
        row["recall"] = found[is_wrong].mean() if is_wrong.any() else np.nan
        if rule == "mixture":
            row["share_wrong"] = adata.uns["reference_check"]["numbers"]["share_wrong"]
            row |= {"n_hard": int(pairs["is_hard"].sum()), "n_pairs": len(pairs), "seconds": seconds}
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with the .h5ad")
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=DATA, metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    results = pd.read_csv(options.output) if options.output.exists() else pd.DataFrame(columns=COLUMNS)
    for name in options.data:
        with threadpool_limits(1):
            adata, column = read(options.folder, name)
            cells = embed(adata)
            for drawn, share in [(d, s) for d in DRAWN for s in SHARES if d == "by share" or s == 0.1]:
                for seed in options.seeds:
                    key = dict(zip(KEY, (name, drawn, share, seed), strict=True))
                    rows = rows_of(adata, column, cells, key)
                    results = pd.concat([results, pd.DataFrame(rows, columns=COLUMNS)])
                    results = results.drop_duplicates([*KEY, "rule"], keep="last")
                    results.to_csv(options.output, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
