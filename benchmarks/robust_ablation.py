"""What each part of ``robust`` is worth, and what did not get in: `python benchmarks/robust_ablation.py DATA`, by hand.

Every variant gets the joint embedding and the graphs that `tl.annotate` makes, and differs from the default in what its
name says; the rule on types that are absent from the query changes no label here and is left out. Rows go to
`benchmarks/ablation.csv`, of which `annotation.py --report` makes a table of docs/benchmarks.md: accuracy, macro-F1
over true ∪ predicted types and expected calibration error of the labels before rejection.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from _real_data import CORTEX, GRANJA, Split
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.kernel_approximation import Nystroem
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

import scllmda as sl
from scllmda.calibration import fit_temperature, scale
from scllmda.graphs import knn_graph, personalised_propagation
from scllmda.methods import RobustRecipe
from scllmda.methods._logistic import logistic_posteriors
from scllmda.methods._principal_axes import rotate_to_principal_axes
from scllmda.methods._representations import lsi, spectral

RECIPE = RobustRecipe()
N_NEIGHBORS = 15

TASKS = {
    "granja-fine D6T1→D5T1": (GRANJA, "cell_type", "D6T1", "D5T1"),
    "granja-fine D5T1→D6T1": (GRANJA, "cell_type", "D5T1", "D6T1"),
    "granja-coarse D6T1→D5T1": (GRANJA, "cell_type_coarse", "D6T1", "D5T1"),
    "granja-coarse D5T1→D6T1": (GRANJA, "cell_type_coarse", "D5T1", "D6T1"),
    "cortex A–D→E–H": (CORTEX, "cell_type", "A–D", "E–H"),
}


# Classifiers: (known, their labels, new, number of classes) → posteriors (n_new, n_classes).
Classifier = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]


def regression(
    known: np.ndarray,
    labels: np.ndarray,
    new: np.ndarray,
    n_classes: int,
    *,
    C: float = RECIPE.C,
    balance: float = RECIPE.balance,
) -> np.ndarray:
    return logistic_posteriors(known, labels, new, n_classes, C=C, balance=balance)


def kernel_regression(known: np.ndarray, labels: np.ndarray, new: np.ndarray, n_classes: int) -> np.ndarray:
    spread = known.std()
    kernel = Nystroem(gamma=0.5 / known.shape[1], n_components=300, random_state=0).fit(known / spread)
    return regression(kernel.transform(known / spread), labels, kernel.transform(new / spread), n_classes, C=10)


def regression_on_discriminants(known: np.ndarray, labels: np.ndarray, new: np.ndarray, n_classes: int) -> np.ndarray:
    axes = LinearDiscriminantAnalysis().fit(known, labels)
    return regression(axes.transform(known), labels, axes.transform(new), n_classes)


def by_sklearn(
    known: np.ndarray, labels: np.ndarray, new: np.ndarray, n_classes: int, *, make: Callable[[], Any]
) -> np.ndarray:
    spread = known.std()
    model = make().fit(known / spread, labels)
    proba = np.zeros((len(new), n_classes))
    proba[:, model.classes_] = model.predict_proba(new / spread)
    return proba


def nearest_centroid(known: np.ndarray, labels: np.ndarray, new: np.ndarray, n_classes: int) -> np.ndarray:
    share = sp.csr_matrix((np.ones(len(labels)), (labels, np.arange(len(labels)))), shape=(n_classes, len(labels)))
    return softmax(10 * normalize(new) @ normalize(share @ normalize(known)).T, axis=1)


# Calibrations: (posteriors of held-out reference cells, their labels, posteriors of the query) → those of the query.
Calibration = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def temperature(held_out: np.ndarray, labels: np.ndarray, query: np.ndarray) -> np.ndarray:
    return scale(query, fit_temperature(held_out, labels))


def bias_corrected_temperature(held_out: np.ndarray, labels: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Alexandari et al. 2020."""

    def scaled(proba: np.ndarray, p: np.ndarray) -> np.ndarray:
        return log_softmax(np.log(proba + 1e-12) / np.exp(p[0]) + p[1:], axis=1)

    def loss(p: np.ndarray) -> float:
        return -scaled(held_out, p)[np.arange(len(labels)), labels].mean()

    return np.exp(scaled(query, minimize(loss, np.zeros(1 + query.shape[1]), method="L-BFGS-B").x))


def nothing(held_out: np.ndarray, labels: np.ndarray, query: np.ndarray) -> np.ndarray:
    return query


@dataclass(frozen=True)
class Variant:
    n_latent: int = 128
    n_dims: int = RECIPE.n_dims
    unit_length: tuple[bool, ...] = (False, True)
    classifiers: tuple[Classifier, ...] = (regression,)
    beside: tuple[str, ...] = ()
    """Representations of the counts that have a regression of their own."""
    seeds: tuple[int, ...] = (0,)
    """Of embeddings that each have theirs."""
    harmony: bool = False
    restart: float = RECIPE.restart
    calibrate: Calibration = temperature
    adapt: Callable[[Task, np.ndarray], np.ndarray] | None = None
    """Changes calibrated posteriors of the query."""


# Data. Labels of the query are read for the scores alone.


@dataclass(frozen=True)
class Data:
    adata: ad.AnnData
    open: sp.csr_matrix
    """(n_cells, n_peaks) on peaks that are open in both halves."""


@cache
def data(folder: Path, split: Split) -> Data:
    adata = ad.read_h5ad(folder / split.file)
    adata.obs["half"] = split.sides(adata.obs["batch"])
    X = sp.csr_matrix(adata.X > 0, dtype=np.float32)
    shared = np.all([X[(adata.obs["half"] == half).to_numpy()].sum(axis=0).A1 > 0 for half in split.batches], axis=0)
    return Data(adata, X[:, np.flatnonzero(shared)])


@cache
def embedded(folder: Path, split: Split, n_latent: int, seed: int) -> np.ndarray:
    adata = data(folder, split).adata.copy()
    sl.tl.cell_embeddings(adata, domain_key="half", n_latent=n_latent, rng=seed)
    return rotate_to_principal_axes(adata.obsm["X_scllmda"])


@cache
def beside(folder: Path, split: Split, representation: str) -> np.ndarray:
    X, rng = data(folder, split).open, np.random.default_rng(0)
    if representation == "LSI":
        return lsi(X, n_components=30, max_depth_correlation=0.75, rng=rng)
    return spectral(X, n_components=30, rng=rng)


@cache
def mixed(folder: Path, split: Split, n_latent: int, seed: int) -> np.ndarray:
    from harmonypy import run_harmony

    X = embedded(folder, split, n_latent, seed)
    return np.asarray(run_harmony(X.T, data(folder, split).adata.obs[["half"]], "half", verbose=False).Z_corr)


@cache
def graph(folder: Path, split: Split, n_latent: int) -> sp.csr_matrix:
    half = pd.factorize(data(folder, split).adata.obs["half"])[0]
    return knn_graph(embedded(folder, split, n_latent, 0), half, N_NEIGHBORS)


@dataclass(frozen=True)
class Task:
    """One variant on one task."""

    known: Sequence[np.ndarray]
    """What each classifier reads, (n_known, d) each."""
    labels: np.ndarray
    new: Sequence[np.ndarray]
    classifiers: Sequence[Classifier]
    graph_of_known: sp.csr_matrix
    graph_of_new: sp.csr_matrix
    restart: float
    classes: np.ndarray
    truth: np.ndarray


def make_task(folder: Path, name: str, variant: Variant) -> Task:
    split, key, a, b = TASKS[name]
    obs = data(folder, split).adata.obs
    known, new = (np.flatnonzero(obs["half"] == half) for half in (a, b))
    truth = obs[key].astype(str).to_numpy()
    classes, labels = np.unique(truth[known], return_inverse=True)
    embed = mixed if variant.harmony else embedded
    cells = [embed(folder, split, variant.n_latent, seed)[:, : variant.n_dims] for seed in variant.seeds]
    read = [normalize(X) if unit_length else X for X in cells for unit_length in variant.unit_length]
    classifiers = [c for c in variant.classifiers for _ in read] + [regression] * len(variant.beside)
    read = read * len(variant.classifiers) + [beside(folder, split, other) for other in variant.beside]
    edges = graph(folder, split, variant.n_latent)
    return Task(
        [X[known] for X in read],
        labels,
        [X[new] for X in read],
        classifiers,
        edges[known][:, known],
        edges[new][:, new],
        variant.restart,
        classes,
        truth[new],
    )


def posteriors(task: Task, known: np.ndarray, new: Sequence[np.ndarray]) -> np.ndarray:
    """Return the geometric mean of all classifiers' posteriors, of those who know the cells ``known``."""
    members = [
        np.log(classify(X[known], task.labels[known], Y, len(task.classes)) + 1e-9)
        for classify, X, Y in zip(task.classifiers, task.known, new, strict=True)
    ]
    return softmax(np.mean(members, axis=0), axis=1)


def smooth(task: Task, edges: sp.csr_matrix, proba: np.ndarray) -> np.ndarray:
    return personalised_propagation(edges, proba, restart=task.restart)


def annotate(task: Task, variant: Variant) -> np.ndarray:
    held_out = np.zeros((len(task.labels), len(task.classes)))
    fold = np.empty(len(task.labels), dtype=int)
    fold[np.argsort(task.labels, kind="stable")] = np.arange(len(fold)) % RECIPE.n_folds
    for f in range(RECIPE.n_folds):
        held_out[fold == f] = posteriors(task, fold != f, [X[fold == f] for X in task.known])
    query = posteriors(task, np.ones(len(fold), dtype=bool), task.new)
    held_out, query = smooth(task, task.graph_of_known, held_out), smooth(task, task.graph_of_new, query)
    query = variant.calibrate(held_out, task.labels, query)
    return query if variant.adapt is None else variant.adapt(task, query)


# Adaptations.


def shares(task: Task) -> np.ndarray:
    return np.bincount(task.labels) / len(task.labels)


def prior_by_em(task: Task, query: np.ndarray, floor: float = 0.3) -> np.ndarray:
    """Saerens et al. 2002, no class rarer than ``floor`` times its share in the reference."""
    source = target = shares(task)
    for _ in range(200):
        adapted = query * (target / source)
        adapted /= adapted.sum(axis=1, keepdims=True)
        target = np.maximum(adapted.mean(axis=0), floor * source)
        target /= target.sum()
    return adapted


def unbalanced_transport(task: Task, query: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Cells to classes at cost −log likelihood, with masses of classes free at KL cost (Chizat et al. 2018)."""
    source = shares(task)
    K, v = query / source, np.ones(len(source))
    for _ in range(100):
        u = 1 / np.maximum(K @ (v * source), 1e-30)
        v = (len(K) / np.maximum(K.T @ u, 1e-30)) ** (strength / (1 + strength))
    plan = K * (v * source)
    return plan / plan.sum(axis=1, keepdims=True)


def self_training(task: Task, query: np.ndarray, share: float = 0.3) -> np.ndarray:
    """The surest cells of each class among those that agree with their neighbours join the reference, once."""
    guess, cells = query.argmax(axis=1), np.arange(len(query))
    around = task.graph_of_new @ np.eye(query.shape[1])[guess]
    agrees = around[cells, guess] >= 0.9 * around.sum(axis=1)
    rank = pd.Series(np.where(agrees, query.max(axis=1), 0)).groupby(guess).rank(pct=True, method="first").to_numpy()
    anchors = agrees & (rank > 1 - share)
    more = replace(
        task,
        known=[np.vstack([X, Y[anchors]]) for X, Y in zip(task.known, task.new, strict=True)],
        labels=np.concatenate([task.labels, guess[anchors]]),
    )
    return smooth(task, task.graph_of_new, posteriors(more, np.ones(len(more.labels), dtype=bool), task.new))


VARIANTS = {
    "robust": Variant(),
    "n_latent=64": Variant(n_latent=64),
    "n_dims=16": Variant(n_dims=16),
    "n_dims=128": Variant(n_dims=128),
    "cells as they are": Variant(unit_length=(False,)),
    "cells of unit length": Variant(unit_length=(True,)),
    "balance=0": Variant(classifiers=(partial(regression, balance=0.0),)),
    "balance=1": Variant(classifiers=(partial(regression, balance=1.0),)),
    "C=0.1": Variant(classifiers=(partial(regression, C=0.1),)),
    "C=10": Variant(classifiers=(partial(regression, C=10.0),)),
    "restart=1, not smoothed": Variant(restart=1.0),
    "restart=0.2": Variant(restart=0.2),
    "not calibrated": Variant(calibrate=nothing),
    "bias-corrected temperature": Variant(calibrate=bias_corrected_temperature),
    "three embeddings": Variant(seeds=(0, 1, 2)),
    "LSI beside": Variant(beside=("LSI",)),
    "LSI and spectral embedding beside": Variant(beside=("LSI", "spectral")),
    "nearest centroid beside": Variant(classifiers=(regression, nearest_centroid)),
    "nearest neighbours instead": Variant(
        classifiers=(partial(by_sklearn, make=partial(KNeighborsClassifier, N_NEIGHBORS)),)
    ),
    "discriminant analysis instead": Variant(classifiers=(partial(by_sklearn, make=LinearDiscriminantAnalysis),)),
    "regression on discriminant axes": Variant(classifiers=(regression_on_discriminants,)),
    "kernel regression instead": Variant(classifiers=(kernel_regression,)),
    "multilayer perceptron instead": Variant(
        classifiers=(
            partial(by_sklearn, make=partial(MLPClassifier, 64, alpha=1.0, early_stopping=True, random_state=0)),
        )
    ),
    "Harmony first": Variant(harmony=True),
    "prior by EM": Variant(adapt=prior_by_em),
    "unbalanced transport": Variant(adapt=unbalanced_transport),
    "self-training": Variant(adapt=self_training),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with the files of real data")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS, metavar="NAME")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("ablation.csv"))
    options = parser.parse_args()
    rows = []
    for name in options.variants:
        for task_name in TASKS:
            task = make_task(options.folder, task_name, VARIANTS[name])
            with threadpool_limits(1):
                proba = annotate(task, VARIANTS[name])
            report = sl.metrics.annotation_report(
                task.truth, task.classes[proba.argmax(axis=1)], pd.DataFrame(proba, columns=task.classes)
            )
            rows.append({"variant": name, "task": task_name, **{k: report[k] for k in ("accuracy", "macro_f1", "ece")}})
            print(*rows[-1].values(), sep="\t", flush=True)
        pd.DataFrame(rows).to_csv(options.output, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
