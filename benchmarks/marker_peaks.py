"""Which test finds marker peaks: `python benchmarks/marker_peaks.py FOLDER`, by hand, half an hour.

Five tests of the openness of peaks in the cells of a label against other cells:

- `strata`: that of `sl.tl.marker_peaks`, a Cochran–Mantel–Haenszel test in strata of depth;
- `no strata`: the same with all cells in one stratum;
- `matched cells`: the same test of the label's cells against as many others of its depths, drawn at random, as ArchR
  draws a background;
- `wilcoxon`: that of `scanpy.tl.rank_genes_groups`, on normalized counts, with corrected ties;
- `logistic`: a regression of each peak on label and log depth (statsmodels), once.

Experiments, whose rows go to `benchmarks/marker_peaks.csv`:

- `planted`: simulated types that differ in three peaks each and in nothing else but depth: half of the types have half
  the counts. `first`: share of types whose first peak is a planted one; `recall`: share of planted peaks among the
  first three of their type; `false`: other peaks that are markers of a type at an FDR of 5 %, of 8,000.
- `shuffled`: real cells of bone marrow whose labels say nothing of their types: labels shuffled among all cells; among
  cells of about the same depth (strata of 1,000 cells), so that depths of labels stay; drawn by depth (odds × e for
  each standard deviation of log depth). `false`: markers at an FDR of 5 %; `any`: 1 if there are any. With one donor
  and every fifth peak, so that slow tests can take part; `all` cells and peaks for those that are quick.
- `known`: labels of bone marrow. `found`: how many of ten known genes are the nearest gene of one of the first 200
  peaks; `possible`: of one of all 10,000 peaks, which are a part of those that were called; `chance`: of 200 peaks at
  random, on average. Genes as all of GENCODE, and without those that are named by a clone or are RNA genes or
  pseudogenes by their names.
- `large`: 100,000 cells × 200,000 peaks on disk, 2,000 open peaks in the median cell, 20 labels. `seconds`, and `mb`
  in memory at the most, of which the process has some 300 before.
"""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Callable
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse as sp
from _experiments import Rows, Scores, run_experiments
from _real_data import GRANJA
from scipy.stats import false_discovery_control

import scllmda as sl
from scllmda.markers import compare, count_open_cells, depth_strata

SCORES = ["first", "recall", "false", "any", "found", "possible", "chance", "seconds", "mb"]
N_DRAWS = 20
N_PLANTED = 3
STRENGTHS = (0.25, 0.08)
"""Of planted peaks; the second is weak enough for tests to differ."""
FDR = 0.05
KNOWN = {
    "Mono": "CD14 LYZ S100A8 S100A9 FCN1 VCAN CSF1R CEBPD MAFB SPI1",
    "B": "MS4A1 CD79A CD79B CD19 PAX5 EBF1 BLK BANK1 CD22 POU2AF1",
    "NK": "GNLY NKG7 KLRD1 KLRF1 KLRC1 NCAM1 PRF1 GZMB NCR1 TBX21",
    "CD8": "CD8A CD8B CD3D CD3E CD3G GZMK CCL5 BCL11B RUNX3 LCK",
}
"""Written down before any result was seen."""
UNNAMED = (
    r"^(?:RP\d|CT[ABCD]-|CT[ABCD]\d|A[CLP]\d{6}|LINC|MIR|LOC|RNU|RN\dS|RNA5|RNY|Y_RNA|U\d|SNOR|7SK|Metazoa|KB-|LL22|"
    r"LA16|XX|GS\d|snoU|SCARNA)|\.\d+$|-AS\d|-IT\d|-OT\d|P\d+$"
)
"""Names of clones, RNA genes and pseudogenes."""

Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(n_peaks, n_labels): p-values, scores and FDRs."""
Test = Callable[[ad.AnnData, np.ndarray, int], Found]
"""Of counts, codes of the labels from 0, and a seed."""


def strata(adata: ad.AnnData, codes: np.ndarray, seed: int) -> Found:
    adata = adata.copy()
    adata.obs["label"] = pd.Categorical(codes.astype(str), categories=list(map(str, range(codes.max() + 1))))
    sl.tl.marker_peaks(adata, "label")
    return tuple(adata.varm[f"label_marker_peaks_{name}"] for name in ("pvalue", "score", "fdr"))


def tested(X: sp.csr_matrix, codes: np.ndarray, of_depth: np.ndarray) -> Found:
    """Return p-values and scores, with FDRs of the peaks of each label alone."""
    found = compare(count_open_cells([X], codes, of_depth, X.shape[1]))
    return found.pvalue, found.score, false_discovery_control(found.pvalue, axis=0)


def no_strata(adata: ad.AnnData, codes: np.ndarray, seed: int) -> Found:
    return tested(adata.X, codes, np.zeros_like(codes))


def matched_cells(adata: ad.AnnData, codes: np.ndarray, seed: int) -> Found:
    rng, parts = np.random.default_rng(seed), []
    of_depth = depth_strata(np.diff(adata.X.indptr))
    for label in range(codes.max() + 1):
        is_label, chosen = codes == label, []
        for stratum in range(of_depth.max() + 1):
            here = np.flatnonzero((of_depth == stratum) & is_label)
            others = np.flatnonzero((of_depth == stratum) & ~is_label)
            n = min(len(here), len(others))
            chosen += [rng.choice(here, n, replace=False), rng.choice(others, n, replace=False)]
        cells = np.sort(np.concatenate(chosen))
        parts.append(tested(adata.X[cells], is_label[cells].astype(int), np.zeros(len(cells), dtype=int)))
    return tuple(np.stack([part[i][:, 1] for part in parts], axis=1) for i in range(3))


def wilcoxon(adata: ad.AnnData, codes: np.ndarray, seed: int) -> Found:
    adata = ad.AnnData(adata.X.astype(np.float32), obs=pd.DataFrame({"label": pd.Categorical(codes.astype(str))}))
    adata.obs_names, adata.var_names = adata.obs_names.astype(str), adata.var_names.astype(str)
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    sc.tl.rank_genes_groups(adata, "label", method="wilcoxon", tie_correct=True)
    tables = [sc.get.rank_genes_groups_df(adata, str(g)).set_index("names") for g in range(codes.max() + 1)]
    names = ("pvals", "scores", "pvals_adj")
    return tuple(np.stack([table.loc[adata.var_names, name] for table in tables], axis=1) for name in names)


def logistic(adata: ad.AnnData, codes: np.ndarray, seed: int) -> Found:
    import statsmodels.api as sm

    is_open, log_depth = (adata.X > 0).toarray().astype(float), np.log(np.diff(adata.X.indptr) + 1.0)
    shape = (adata.n_vars, codes.max() + 1)
    pvalue, score = np.ones(shape), np.zeros(shape)
    for label in range(shape[1]):
        design = np.column_stack([np.ones(len(codes)), log_depth, codes == label])
        for peak in range(shape[0]):
            fit = sm.GLM(is_open[:, peak], design, family=sm.families.Binomial()).fit()
            pvalue[peak, label], score[peak, label] = fit.pvalues[2], fit.tvalues[2]
    return pvalue, score, false_discovery_control(pvalue, axis=0)


QUICK: dict[str, Test] = {"strata": strata, "no strata": no_strata, "matched cells": matched_cells}
SLOW: dict[str, Test] = {"wilcoxon": wilcoxon}
SLOWEST: dict[str, Test] = {"logistic": logistic}


def markers(found: Found) -> np.ndarray:
    return (found[2] <= FDR) & (found[1] > 0)


def first(found: Found, n: int) -> np.ndarray:
    """Return (n, n_labels) the first peaks of each label among those that are more open."""
    pvalue, score, _ = found
    pvalue = np.where(score > 0, pvalue, 2)
    return np.lexsort((-score, pvalue), axis=0)[:n]


def planted(folder: Path, seed: int) -> Rows:
    def scores(strength: float, test: Test) -> Scores:
        adata, codes, truth = simulated(seed, strength)
        start = perf_counter()
        found = test(adata, codes, seed)
        seconds = perf_counter() - start
        best = np.take_along_axis(truth, first(found, N_PLANTED), axis=0)
        return {
            "first": best[0].mean(),
            "recall": best.mean(),
            "false": int((markers(found) & ~truth).sum()),
            "seconds": seconds,
        }

    for strength in STRENGTHS:
        slowest = SLOWEST if seed == 0 and strength == STRENGTHS[-1] else {}
        for name, test in (QUICK | SLOW | slowest).items():
            key = {"task": "2,000 × 1,000", "method": name, "setting": f"open in {strength:.0%} more"}
            yield key, partial(scores, strength, test)


def simulated(seed: int, strength: float) -> tuple[ad.AnnData, np.ndarray, np.ndarray]:
    """Return counts, codes of the types, and (n_peaks, n_types) which peaks are planted.

    These are open in ``strength`` of the type's cells more, in deep ones more often.
    """
    rng = np.random.default_rng(seed)
    adata, _ = sl.datasets.simulate(
        n_reference=2000, n_query=1, query_types=1, n_peaks=1000, n_types=8, signal=0, residual=0, rng=seed
    )
    codes = adata.obs["cell_type"].cat.codes.to_numpy().astype(int)
    X = adata.X.toarray()
    X = np.where((codes % 2 == 0)[:, None], X, rng.binomial(X.astype(int), 0.5))
    depth = X.sum(axis=1) / X.sum(axis=1).mean()
    share = (X > 0).mean(axis=0)
    peaks = rng.permutation(np.flatnonzero((share > 0.02) & (share < 0.1)))[: 8 * N_PLANTED].reshape(8, N_PLANTED)
    truth = np.zeros((adata.n_vars, 8), dtype=bool)
    for code, own in enumerate(peaks):
        truth[own, code] = True
        cells = np.flatnonzero(codes == code)
        X[np.ix_(cells, own)] += rng.random((len(cells), N_PLANTED)) < strength * depth[cells, None]
    return ad.AnnData(sp.csr_matrix(X, dtype=np.float32)), codes, truth


@cache
def marrow(folder: Path) -> ad.AnnData:
    adata = ad.read_h5ad(folder / GRANJA.file)
    adata.X = sp.csr_matrix(adata.X, dtype=np.float32)
    return adata


def shuffled(folder: Path, seed: int) -> Rows:
    whole = marrow(folder)
    part = whole[whole.obs["batch"] == "BMMC_D5T1"].copy()[:, np.arange(0, whole.n_vars, 5)].copy()
    for task, adata, tests in (("D5T1, 2,000 peaks", part, QUICK | SLOW), ("all", whole, QUICK)):
        for setting in ("all cells", "alike in depth", "by depth"):
            for name, test in tests.items():

                def scores(adata: ad.AnnData, setting: str, test: Test) -> Scores:
                    codes = without_meaning(adata, setting, np.random.default_rng(seed))
                    start = perf_counter()
                    found = markers(test(adata, codes, seed)).sum()
                    return {"false": int(found), "any": int(found > 0), "seconds": perf_counter() - start}

                yield {"task": task, "method": name, "setting": setting}, partial(scores, adata, setting, test)


def without_meaning(adata: ad.AnnData, setting: str, rng: np.random.Generator) -> np.ndarray:
    """Return codes that say nothing of the types."""
    codes = adata.obs["cell_type_coarse"].cat.codes.to_numpy().astype(int)
    depth = np.diff(adata.X.indptr)
    if setting == "all cells":
        return rng.permutation(codes)
    if setting == "by depth":
        log_depth = np.log(depth)
        odds = np.exp((log_depth - log_depth.mean()) / log_depth.std())
        return (rng.random(len(depth)) < odds / (1 + odds)).astype(int)
    codes, along = codes.copy(), np.argsort(depth, kind="stable")
    for cells in np.array_split(along, max(1, len(along) // 1000)):
        codes[cells] = rng.permutation(codes[cells])
    return codes


def known(folder: Path, seed: int) -> Rows:
    adata = marrow(folder)
    codes = adata.obs["cell_type_coarse"].cat.codes.to_numpy().astype(int)
    types = list(adata.obs["cell_type_coarse"].cat.categories)
    nearest = nearest_genes(folder, adata)

    def scores(test: Test) -> dict[str, dict[str, float]]:
        start = perf_counter()
        best = first(test(adata, codes, seed), 200)
        seconds = perf_counter() - start
        rows: dict[str, dict[str, float]] = {}
        for genes, of_peak in nearest.items():
            rng = np.random.default_rng(seed)
            random = [rng.choice(adata.n_vars, 200, replace=False) for _ in range(500)]
            for cell_type, listed in KNOWN.items():
                wanted = set(listed.split())
                rows[f"{cell_type}, {genes}"] = {
                    "found": len(wanted & set(of_peak[best[:, types.index(cell_type)]])),
                    "possible": len(wanted & set(of_peak)),
                    "chance": float(np.mean([len(wanted & set(of_peak[peaks])) for peaks in random])),
                    "seconds": seconds,
                }
        return rows

    for name, test in (QUICK | SLOW).items():
        yield {"task": "first 200 peaks", "method": name, "setting": "*"}, partial(scores, test)


def nearest_genes(folder: Path, adata: ad.AnnData) -> dict[str, np.ndarray]:
    """Return the nearest gene of each peak, by which genes are looked at."""
    path = folder / "genes" / "gencode_genes_hg19.bed.gz"
    table = pd.read_csv(path, sep="\t", names=["chrom", "start", "end", "name", "score", "strand"])
    named = table[~table["name"].str.contains(UNNAMED)]
    found = {}
    for what, genes in (("all genes", table), ("named genes", named)):
        done = sl.tl.marker_peaks(adata, "cell_type_coarse", genes=genes, key_added="m", copy=True)
        found[what] = done.var["m_gene"].astype(str).to_numpy()
    return found


def large(folder: Path, seed: int) -> Rows:
    def scores() -> Scores:
        with tempfile.TemporaryDirectory() as place:
            path = Path(place, "large.h5ad")
            in_a_process(write_large, path, seed)
            return in_a_process(time_large, path)

    yield {"task": "100,000 × 200,000", "method": "strata", "setting": "on disk"}, scores


def in_a_process(function: Callable[..., Any], *arguments: Any) -> Any:
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def write_large(path: Path, seed: int, n_cells: int = 100_000, n_peaks: int = 200_000, n_open: int = 2000) -> None:
    rng = np.random.default_rng(seed)
    depth = (n_open * rng.lognormal(0, 0.5, n_cells)).astype(int)
    cells = [np.unique(rng.integers(0, n_peaks, n, dtype=np.int32)) for n in depth]
    indptr = np.concatenate([[0], np.cumsum([len(cell) for cell in cells])])
    columns = np.concatenate(cells)
    del cells
    X = sp.csr_matrix((np.ones(len(columns), np.float32), columns, indptr), shape=(n_cells, n_peaks))
    obs = pd.DataFrame({"label": pd.Categorical(rng.integers(0, 20, n_cells))}, index=np.arange(n_cells).astype(str))
    var = pd.DataFrame(index=[f"chr1:{i * 1000}-{i * 1000 + 500}" for i in range(n_peaks)])
    ad.AnnData(X, obs=obs, var=var).write_h5ad(path)


def time_large(path: Path) -> Scores:
    adata = ad.read_h5ad(path, backed="r")
    start = perf_counter()
    sl.tl.marker_peaks(adata, "label")
    seconds = perf_counter() - start
    return {"seconds": seconds, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}


EXPERIMENTS = {"planted": planted, "shuffled": shuffled, "known": known, "large": large}
"""`large` writes 2 GB to the folder of temporary files."""

if __name__ == "__main__":
    drawn = {"planted": range(5), "shuffled": range(N_DRAWS)}
    run_experiments(__file__, __doc__, EXPERIMENTS, SCORES, drawn)
