"""What encoders know of accessibility: `python benchmarks/encoder_ablation.py DATA`, by hand, minutes on a CPU.

DATA is a folder with `celllines_gm_hek_k562_h1_hg19_seq.h5ad` and `granja2019_bmmc_10x_hg19_seq.h5ad`: cells × peaks
with the 256 bp under each peak in `.var["seq"]`. Prints a markdown table, mean ± standard deviation over seeds:

- held-out R²: a quarter of the peaks is held out, and g, the ridge regression from vectors to loadings of the
  factorisation (`SequencePriorFitter`), is fitted to the others. The share of the held-out loadings' variance it
  explains, weighted by the peaks' counts and by the cells' squares along each dimension; "leading" subtracts the median
  of these, which stands for noise.
- transfer: reference and query cells are shown different halves of the peaks, so that only the DNA connects them. A
  cell is the product of its Pearson residuals and the peaks' vectors, standardized within reference and query; the
  labels are carried over by logistic regression.

`GC alone` describes a peak by its share of G and C, standardized, and the square of that: what another encoder adds to
it is more than composition. The network `cnn` is fitted to the counts of the peaks that are not held out, or of the
reference cells and their half of the peaks.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anndata as ad
import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from scllmda import encoders
from scllmda.factorisation import InMemory, fit, margins
from scllmda.factorisation._sequence_prior import SequencePriorFitter

N_COMPONENTS = 64
MAX_REFERENCE = 3000

Fit = tuple[sp.csr_matrix, np.ndarray]
"""Counts (cells, all peaks) and the peaks an encoder may learn from."""
Encode = Callable[[ad.AnnData, Fit, int], np.ndarray]
"""(data, what to learn from, seed) → (n_peaks, d)."""


def encode(adata: ad.AnnData, given: Fit, seed: int, *, encoder: encoders.PeakEncoder) -> np.ndarray:
    return encoder.encode(list(adata.var["seq"]))


def encode_gc(adata: ad.AnnData, given: Fit, seed: int) -> np.ndarray:
    counts = np.array([[sequence.count(base) for base in "ACGT"] for sequence in adata.var["seq"]])
    gc = StandardScaler().fit_transform((counts[:, 1:3].sum(axis=1) / counts.sum(axis=1))[:, None])
    return np.column_stack([gc, gc**2])


def encode_cnn(adata: ad.AnnData, given: Fit, seed: int) -> np.ndarray:
    sequences, (X, seen) = list(adata.var["seq"]), given
    encoder = encoders.CnnEncoder(rng=seed).fit([sequences[i] for i in seen], X[:, seen])
    return encoder.encode(sequences)


def both(adata: ad.AnnData, given: Fit, seed: int, *, encode_one: Encode, encode_other: Encode) -> np.ndarray:
    return np.column_stack([encode_one(adata, given, seed), encode_other(adata, given, seed)])


def take_varm(adata: ad.AnnData, given: Fit, seed: int, *, key: str) -> np.ndarray:
    return np.asarray(adata.varm[key], dtype=np.float32)


def held_out_r2(adata: ad.AnnData, encode: Encode, seed: int) -> dict[str, float]:
    X = adata.X
    rng = np.random.default_rng(seed)
    order = rng.permutation(X.shape[1])
    test, train = order[: len(order) // 4], order[len(order) // 4 :]
    counts = InMemory(X)
    independent, peak_mass = margins(counts), np.asarray(X.sum(axis=0)).ravel()
    fitted = fit(counts, independent, N_COMPONENTS, rng=rng)
    effects = np.asarray(fitted.decoder.loadings, dtype=np.float64)
    Z = encode(adata, (X, train), seed)
    g = SequencePriorFitter(Z[train], peak_mass[train], rng)(effects[train])[0]
    error = peak_mass[test] @ (effects[test] - g(Z[test])) ** 2
    null = peak_mass[test] @ effects[test] ** 2
    variance = independent.exposure @ fitted.cells.astype(np.float64) ** 2
    leading = np.maximum(variance - np.median(variance), 0)
    return {
        "held-out R²": 1 - variance @ error / (variance @ null),
        "held-out R², leading": 1 - leading @ error / (leading @ null),
    }


def transfer(adata: ad.AnnData, encode: Encode, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    halves = np.array_split(rng.permutation(adata.n_vars), 2)
    reference, query = split_cells(adata, rng)
    Z = encode(adata, (adata.X[reference], halves[0]), seed)
    Z = StandardScaler().fit_transform(Z)
    profiles = [
        StandardScaler().fit_transform(residuals_times(adata.X[cells][:, half], Z[half]))
        for cells, half in zip((reference, query), halves, strict=True)
    ]
    labels = adata.obs["label"].to_numpy(str)
    # Strong shrinkage: there are more dimensions than cells of most types.
    model = LogisticRegression(C=1e-2, max_iter=500).fit(profiles[0], labels[reference])
    predicted = model.predict(profiles[1])
    return {
        "transfer accuracy": accuracy_score(labels[query], predicted),
        "transfer macro-F1": f1_score(labels[query], predicted, average="macro", labels=np.unique(labels[query])),
    }


def residuals_times(X: sp.csr_matrix, Z: np.ndarray) -> np.ndarray:
    """Return the Pearson residuals of counts under independence (n_cells, n_peaks) @ Z (n_peaks, d)."""
    depth, mass = (np.asarray(X.sum(axis=axis, dtype=np.float64)).ravel() for axis in (1, 0))
    by_cell, by_peak = (1 / np.sqrt(np.maximum(total, 1)) for total in (depth, mass))
    observed = by_cell[:, None] * (X @ (by_peak[:, None] * Z))
    return observed - np.outer(np.sqrt(depth), np.sqrt(mass) @ Z) / depth.sum()


def split_cells(adata: ad.AnnData, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return reference and query cells with some open peak: by donor if there are two, else random halves."""
    cells = rng.permutation(np.flatnonzero(np.diff(adata.X.indptr) > 20))
    if "donor" not in adata.obs:
        return cells[::2], cells[1::2]
    is_reference = (adata.obs["donor"] == "BMMC_D6T1").to_numpy()[cells]
    return cells[is_reference][:MAX_REFERENCE], cells[~is_reference]


def read(folder: Path) -> dict[str, ad.AnnData]:
    cell_lines = ad.read_h5ad(folder / "celllines_gm_hek_k562_h1_hg19_seq.h5ad")
    cell_lines.obs["label"] = cell_lines.obs["cell_type"]
    marrow = ad.read_h5ad(folder / "granja2019_bmmc_10x_hg19_seq.h5ad")
    marrow.obs["label"], marrow.obs["donor"] = marrow.obs["cell_type_coarse"], marrow.obs["batch"]
    data = {"cell lines": cell_lines, "bone marrow": marrow}
    for adata in data.values():
        adata.X = sp.csr_matrix(adata.X > 0, dtype=np.float32)
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--varm", action="append", default=[], help="precomputed vectors in .varm of both files")
    parser.add_argument("--dnabert2", metavar="PATH", help="folder with the weights of DNABERT-2")
    parser.add_argument("--only", nargs="+", metavar="ENCODER", help="rows to compute; all by default")
    options = parser.parse_args()

    named: dict[str, Encode] = {
        "random": partial(encode, encoder=encoders.RandomEncoder(64)),
        "GC alone": encode_gc,
        **{f"kmer {k}": partial(encode, encoder=encoders.KmerEncoder(k)) for k in (4, 5, 6)},
        "cnn": encode_cnn,
    }
    named["cnn + kmer 4"] = partial(both, encode_one=named["cnn"], encode_other=named["kmer 4"])
    named |= {f".varm[{key!r}]": partial(take_varm, key=key) for key in options.varm}
    if options.dnabert2:
        named["dnabert2"] = partial(encode, encoder=encoders.get("dnabert2", source=options.dnabert2))
    named = {name: named[name] for name in options.only or named}
    for data_name, adata in read(options.data).items():
        print(f"\n{data_name}: {adata.n_obs} cells × {adata.n_vars} peaks, {options.seeds} seeds\n")
        for i, (name, encoder) in enumerate(named.items()):
            seeds = range(options.seeds)
            runs = [held_out_r2(adata, encoder, s) | transfer(adata, encoder, s) for s in seeds]
            if i == 0:
                print("| encoder | " + " | ".join(runs[0]) + " |\n|" + "---|" * (len(runs[0]) + 1))
            values = [[run[column] for run in runs] for column in runs[0]]
            print(f"| {name} | " + " | ".join(f"{np.mean(v):.3f} ± {np.std(v):.3f}" for v in values) + " |", flush=True)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
