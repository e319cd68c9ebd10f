"""annATAC's further experiments: `python benchmarks/annatac.py FOLDER`, by hand, an hour.

Those of the paper, with the `small` preset on all islands that hold a peak of both sides, and `robust` beside it. Rows
go to `benchmarks/annatac.csv`, of which `annotation.py --report` makes tables; rows that are there are not computed
again, unless `--again`. Wrong labels in the reference are in `shuffled_labels.py`.

share of labels
    Bone marrow from donor to donor, coarse types. A share of each type's reference cells keeps its labels, the others
    are left out; a smaller share is part of a larger one. annATAC begins at random, or with a pre-training on the cells
    of both donors without labels.
novel cells
    The same without one type in the reference. Cells are left without label by the paper's option, a greatest
    probability below .5, or as by default, by the package's novelty; both of the same network.
simulated islands
    Cells of eight simulated types on islands of five peaks, 5 % of the reference with labels, five draws: the loss of
    masked islands after pre-training, beside the entropy of the classes behind the masks, which is the least loss of
    who knows their frequencies alone; and the accuracy with and without that pre-training.
published size
    Seconds, and peak memory beyond the interpreter's, of a training step of 8 cells on 16,657 islands.

Labels are scored before rejection.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import anndata as ad
import numpy as np
import scipy.sparse as sp
from _annotation_methods import COUNTS, LABELS
from _annotation_tasks import TASKS, Pair, draw
from _experiments import SEVERAL, Experiment, Rows, run_experiments, training_steps
from cell_embeddings import measured
from sklearn.metrics import roc_auc_score

import scllmda as sl
from scllmda.methods import make_recipe
from scllmda.methods.annatac._masking import masks_per_class

PAIR = "granja-coarse D6T1→D5T1"
LEFT_OUT = ("B", "NK", "Pre.B", "Mono")
SHARES = (0.05, 0.4, 0.6, 0.8, 1.0)
SMALL = {"preset": "small"}
MAX_UNSURE = 0.5
"""Greatest probability below which the paper's option leaves a cell without label."""
SIMULATED: dict[str, Any] = {
    "n_reference": 800,
    "n_query": 1200,
    "n_peaks": 1500,
    "n_types": 8,
    "depth": 1.0,
    "shared_peaks": 1.0,
    "shift": 0.5,
}
SCORES = ["accuracy", "macro_f1", "auroc", "known_rejected", "novel_rejected", "loss", "entropy", "seconds", "mb"]


def annotated(pair: Pair, method: str, recipe: dict[str, Any] | None, seed: int) -> tuple[ad.AnnData, dict[str, float]]:
    """Return the query with labels, and its scores."""
    query = pair.query.copy()
    start = perf_counter()
    sl.tl.annotate(query, pair.reference, labels_key=LABELS, method=method, recipe=recipe, layer=COUNTS, rng=seed)
    seconds = perf_counter() - start
    known, raw = pair.is_known, query.obs["scllmda_raw"].to_numpy(str)
    report = sl.metrics.annotation_report(pair.truth[known], raw[known])
    return query, {"accuracy": report["accuracy"], "macro_f1": report["macro_f1"], "seconds": seconds}


def pretrained(pair: Pair, folder: Path, recipe: dict[str, Any], seed: int) -> tuple[list[float], float]:
    """Pre-train on the cells of both sides; return the losses, and the entropy of the classes behind the masks."""
    query = sl.pp.match_peaks(pair.query, pair.reference, layer=COUNTS)
    both = ad.concat([ad.AnnData(pair.reference.layers[COUNTS], var=pair.reference.var), query], index_unique="-")
    both.var = pair.reference.var
    islands = sl.pp.peak_islands(both)
    losses = sl.tl.pretrain(islands, "annatac", output=folder, recipe=recipe, rng=seed)
    return losses, entropy_of_masks(islands.X)


def with_labels(pair: Pair, share: float, seed: int) -> Pair:
    """Return the pair with a share of each type's reference cells."""
    counts = pair.reference.obs[LABELS].value_counts()
    rng = np.random.default_rng(seed)
    kept = draw(pair.reference, {t: max(3, share * n) for t, n in counts.sort_index().items()}, rng)
    return Pair(pair.reference[kept].copy(), pair.query, pair.truth, pair.scored_as)


def share_of_labels(folder: Path, seed: int) -> Rows:
    pair = TASKS[PAIR].make(folder, seed)
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch, "weights")

        def run(method: str, recipe: dict[str, Any] | None, share: float) -> dict[str, float]:
            if recipe is not None and "weights" in recipe and not weights.exists():
                pretrained(pair, weights, SMALL, seed)
            return annotated(with_labels(pair, share, seed), method, recipe, seed)[1]

        recipes: dict[str, Any] = {
            "robust": None,
            "annatac": SMALL,
            "annatac, pre-trained": SMALL | {"weights": str(weights)},
        }
        for name, recipe in recipes.items():
            for share in SHARES:
                key = {"task": PAIR, "method": name, "setting": f"{share:.0%}"}
                yield key, partial(run, name.partition(",")[0], recipe, share)


def novel_cells(folder: Path, seed: int) -> Rows:
    def run(method: str, recipe: dict[str, Any] | None, task: str) -> dict[str, dict[str, float]]:
        pair = TASKS[task].make(folder, seed)
        query, scores = annotated(pair, method, recipe, seed)
        sure = query.obsm["scllmda_proba"].to_numpy().max(axis=1)
        ways = {
            "novelty": (query.obs["scllmda_novelty"].to_numpy(), (query.obs["scllmda"] == "Unassigned").to_numpy()),
            "greatest probability < 0.5": (1 - sure, sure < MAX_UNSURE),
        }
        known = pair.is_known
        return {
            way: scores
            | {
                "auroc": roc_auc_score(~known, score),
                "known_rejected": rejected[known].mean(),
                "novel_rejected": rejected[~known].mean(),
            }
            for way, (score, rejected) in ways.items()
        }

    for left_out in LEFT_OUT:
        task = f"granja without {left_out}"
        for method, recipe in (("annatac", SMALL), ("robust", None)):
            key = {"task": task, "method": method, "setting": SEVERAL}
            yield key, partial(run, method, recipe, task)


def simulated_islands(folder: Path, seed: int) -> Rows:
    def run() -> dict[str, dict[str, float]]:
        whole = Pair.of(*sl.datasets.simulate(**SIMULATED, rng=seed))
        pair, recipe = with_labels(whole, 0.05, seed), SMALL | {"pretrain_epochs": 20}
        found = {"from scratch": annotated(pair, "annatac", recipe, seed)[1]}
        with tempfile.TemporaryDirectory() as scratch:
            weights = Path(scratch, "weights")
            losses, entropy = pretrained(whole, weights, recipe, seed)
            scores = annotated(pair, "annatac", recipe | {"weights": str(weights)}, seed)[1]
        found["pre-trained"] = scores | {"loss": losses[-1], "entropy": entropy}
        found["robust"] = annotated(pair, "robust", None, seed)[1]
        return found

    yield {"task": "5 % of the labels", "method": "annatac", "setting": SEVERAL}, run


def entropy_of_masks(values: sp.csr_matrix) -> float:
    """Return the entropy in nats of the classes that masks stand for: the loss of who knows their frequencies alone."""
    recipe = make_recipe("annatac", SMALL)
    share, n_values = recipe.mask_share, recipe.n_values
    rng, total = np.random.default_rng(0), np.zeros(n_values)
    classes = np.minimum(values.data, n_values).astype(int)
    for first, last in zip(values.indptr, values.indptr[1:], strict=False):
        total += masks_per_class(np.bincount(classes[first:last], minlength=n_values + 1)[1:], share, rng)
    p = total[total > 0] / total.sum()
    return float(-(p * np.log(p)).sum())


def published_size(folder: Path, seed: int) -> Rows:
    return training_steps("annatac", training_step, seed)


def training_step(seed: int, *, recompute: bool, n_cells: int = 8, n_islands: int = 16_657) -> dict[str, float]:
    """Return what a first step on random values takes, with making the network."""
    import torch
    from torch.nn.functional import cross_entropy

    from scllmda.methods.annatac._network import CellClassifier, IslandEncoder, Sizes

    torch.manual_seed(seed)
    recipe = make_recipe("annatac", {"recompute": recompute})
    sizes = Sizes.of(recipe)
    ids, labels = torch.randint(0, 6, (n_cells, n_islands), dtype=torch.uint8), torch.arange(n_cells)

    def step() -> None:
        where = torch.randn(n_islands, sizes.n_dims)
        encoder = IslandEncoder(where, sizes, dropout=recipe.dropout, recompute=recompute)
        network = CellClassifier(encoder, sizes.n_dims, n_islands, n_cells)
        optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr)
        cross_entropy(network(ids, None)[0], labels).backward()
        optimizer.step()

    cost = measured(step)[1]
    return {"seconds": cost["seconds"], "mb": cost["added"]}


EXPERIMENTS: dict[str, Experiment] = {
    "share of labels": share_of_labels,
    "novel cells": novel_cells,
    "simulated islands": simulated_islands,
    "published size": published_size,
}
DRAWN = {"simulated islands": range(5)}


if __name__ == "__main__":
    run_experiments(__file__, __doc__, EXPERIMENTS, SCORES, DRAWN)
