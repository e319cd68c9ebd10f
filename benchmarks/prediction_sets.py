"""Whether prediction sets keep their promise: `python benchmarks/prediction_sets.py FOLDER`, by hand, five minutes.

Sets of the default method on tasks of `annotation.py`, at three nominal coverages. Each task is annotated once; all
ways to make sets get the same probabilities of held-out reference cells and of query cells. Labels of the query are
read by the scoring alone. The package's way was chosen among these by the transfers between donors of bone marrow at
.9, so that its rows there are a little too good.

Rows go to `benchmarks/prediction_sets.csv`, of which `annotation.py --report` makes docs/benchmarks/sets.md: of cells
whose type the reference has, the share whose set has it, the same of the type of 20 cells or more that has it least,
and which that is; how many such types there are, and how many are more than .05 below the nominal coverage; the mean
size, and the share of empty sets, of these cells and of those whose type it lacks. Of the package's way also the area
under the risk-coverage curve of the scores, which sets have no part in. Where types have coarser ones, the mean
information of the finest label that holds the set, 1 - log2(its types) / log2(all types), and that of the labels that
`min_probability` gives.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import anndata as ad
import numpy as np
import pandas as pd
from _annotation_methods import LABELS
from _annotation_tasks import TASKS, Pair
from _real_data import CORTEX, GRANJA
from threadpoolctl import threadpool_limits

import scllmda as sl
from scllmda.calibration import _prediction_sets as ours
from scllmda.calibration import least_probabilities, prediction_sets, scale

BY_BATCH = "cortex A–D→E–H, held out by batch"
SHOWN = (
    "granja-fine D6T1→D5T1",
    "granja-fine D5T1→D6T1",
    "granja-coarse D6T1→D5T1",
    "granja-coarse D5T1→D6T1",
    "cortex A–D→E–H",
    BY_BATCH,
    "schep → cell lines",
    "granja D5T1 → pbmc",
    "granja D6T1 → pbmc",
    "granja split 2000 all",
    "granja split 500 all",
    "granja without NK",
    "granja without Mono",
    "sim no shift",
    "sim platform 2",
)
NOMINAL = (0.8, 0.9, 0.95)
KEY = ["task", "way", "nominal"]
FEWEST_CELLS = 20
Float = np.ndarray


@dataclass(frozen=True)
class Found:
    """What one annotation leaves to make sets of."""

    held_out: Float
    own: np.ndarray
    """(n_held_out,) codes."""
    query: Float
    """(n_query, n_classes) made as those of the held-out cells were."""
    final: Float
    """(n_query, n_classes) the probabilities that are written."""
    classes: np.ndarray


def annotated(folder: Path, task: str) -> tuple[Pair, Found]:
    """Annotate the query of a task, and return what the method gave on the way."""
    pair = TASKS[task.removesuffix(", held out by batch")].make(folder, 0)
    reference, query, kept, options = pair.reference.copy(), pair.query.copy(), {}, {}
    if task == BY_BATCH:
        batch = ad.read_h5ad(folder / CORTEX.file, backed="r").obs["batch"].astype(str)
        reference.obs["batch"], options = batch[reference.obs_names].to_numpy(), {"batch_key": "batch"}
    body = sl.tl._label_cells
    run = body.run

    def kept_run(source: Any, labels: Any, n_classes: int, *, method: Any, **given: Any) -> Any:
        def label(of_method: Any, recipe: Any) -> Any:
            kept["result"], kept["task"] = method.label(of_method, recipe), of_method
            return kept["result"]

        kept["order"] = source.order
        return run(source, labels, n_classes, method=replace(method, label=label), **given)

    with threadpool_limits(1), mock.patch.object(body, "run", kept_run):
        sl.tl.annotate(query, reference, labels_key=LABELS, **options)
    result, of_method = kept["result"], kept["task"]
    shift = min(query.uns["scllmda"]["history"].get("novelty_shift", 1.0), 2.0)
    every = np.zeros((len(kept["order"]), of_method.n_classes))
    placed = of_method.at
    every[placed[of_method.query]] = scale(result.alike.query, shift)
    final = query.obsm["scllmda_proba"].to_numpy()
    as_held_out = every[np.argsort(kept["order"])[-query.n_obs :]] * final.any(axis=1, keepdims=True)
    own = of_method.labels[~of_method.query][result.alike.cells]
    return pair, Found(result.alike.held_out, own, as_held_out, final, query.uns["scllmda"]["classes"])


def likeliest_in(proba: Float) -> Float:
    """Return 1 - p, and 0 for the likeliest class."""
    scores = 1 - proba
    scores[np.arange(len(proba)), proba.argmax(axis=1)] = 0
    return scores


def margin(proba: Float) -> Float:
    """Return how much likelier than a class the likeliest other one is."""
    ranked = np.sort(proba, axis=1)
    return np.where(proba == ranked[:, -1:], ranked[:, -2:-1], ranked[:, -1:]) - proba


def cumulative(proba: Float, penalty: float = 0.0) -> Float:
    """Return the probability of all classes that are at least as likely, and a penalty for each one before it."""
    order = np.argsort(-proba, axis=1, kind="stable")
    scores, ranks = np.empty_like(proba), np.arange(proba.shape[1])
    np.put_along_axis(scores, order, np.take_along_axis(proba, order, 1).cumsum(axis=1) + penalty * ranks, 1)
    return scores


def below(score: Callable[[Float], Float], found: Found, coverage: float, *, by_class: bool = True) -> np.ndarray:
    """Return the sets of split conformal prediction by a nonconformity score."""
    of_own = score(found.held_out)[np.arange(len(found.own)), found.own]
    most = np.empty(len(found.classes))
    for c in range(len(most)):
        values = np.sort(of_own[found.own == c] if by_class else of_own)
        rank = int(np.ceil((len(values) + 1) * coverage - 1e-9))
        most[c] = values[rank - 1] if rank <= len(values) else np.inf
    return score(found.query) <= most


def package(found: Found, coverage: float, *, confidence: float = ours.CONFIDENCE, weights: Any = None) -> np.ndarray:
    """Return the package's sets, with constants or weights of another kind."""
    weights = ours._frequency if weights is None else weights
    with mock.patch.object(ours, "CONFIDENCE", confidence), mock.patch.object(ours, "_frequency", weights):
        least = least_probabilities(found.held_out, found.own, found.query, coverage)
    return prediction_sets(found.query, least)


def alike(held_out: Float, query: Float) -> Float:
    """Weigh all cells alike."""
    return np.ones(len(held_out))


def by_likeliest(held_out: Float, query: Float) -> Float:
    """Weigh cells by how many times as frequent their likeliest class is among the query's."""
    known, new = held_out.argmax(axis=1), query.argmax(axis=1)
    shares = [np.bincount(codes, minlength=held_out.shape[1]) / len(codes) for codes in (known, new)]
    return (shares[1][known]) / shares[0][known]


def by_regression(held_out: Float, query: Float) -> Float:
    """Weigh cells by a logistic regression of query against held-out cells on their probabilities."""
    from sklearn.linear_model import LogisticRegression

    X, side = np.vstack([held_out, query]), np.repeat([0, 1], [len(held_out), len(query)])
    model = LogisticRegression(class_weight="balanced", max_iter=500).fit((X - X.mean(0)) / (X.std(0) + 1e-9), side)
    return np.exp(model.decision_function((held_out - X.mean(0)) / (X.std(0) + 1e-9)))


WAYS: dict[str, Callable[[Found, float], np.ndarray]] = {
    "the package's": package,
    "1 - p, of all types together": lambda found, c: below(lambda p: 1 - p, found, c, by_class=False),
    "1 - p": lambda found, c: below(lambda p: 1 - p, found, c),
    "APS": lambda found, c: below(cumulative, found, c),
    "RAPS": lambda found, c: below(lambda p: cumulative(p, 0.01), found, c),
    "margin": lambda found, c: below(margin, found, c),
    "1 - p, the likeliest always": lambda found, c: below(likeliest_in, found, c),
    "the package's without weights": lambda found, c: package(found, c, weights=alike),
    "the package's without confidence": lambda found, c: package(found, c, confidence=0.0),
    "the package's weighted by the likeliest type": lambda found, c: package(found, c, weights=by_likeliest),
    "the package's weighted by a regression": lambda found, c: package(found, c, weights=by_regression),
    "the package's, absent types less likely": lambda found, c: package(replace(found, query=found.final), c),
}


def scores(pair: Pair, found: Found, members: np.ndarray, nominal: float) -> dict[str, Any]:
    """Return the scores of sets; labels of the query are read for them alone."""
    names = pair.as_scored(found.classes).astype(str)
    known = np.isin(pair.truth, names)
    members = members & found.final.any(axis=1, keepdims=True)
    covered = (members & (names == pair.truth[:, None])).any(axis=1)[known]
    by_type = pd.Series(covered).groupby(pair.truth[known]).agg(["mean", "size"]).query("size >= @FEWEST_CELLS")["mean"]
    empty = ~members.any(axis=1)
    return {
        "coverage": covered.mean(),
        "least": by_type.min(),
        "least_type": by_type.idxmin(),
        "n_types": len(by_type),
        "below": (by_type < nominal - 0.05).sum(),
        "size": members[known].sum(axis=1).mean(),
        "empty": empty[known].mean(),
        "novel_empty": empty[~known].mean() if (~known).any() else np.nan,
    }


def aurc(pair: Pair, found: Found) -> float:
    """Return the area under the risk-coverage curve of the cells whose type the reference has."""
    proba = pd.DataFrame(found.final.T).groupby(pair.as_scored(found.classes)).sum().T
    known = np.isin(pair.truth, proba.columns.to_numpy(str))
    return sl.metrics.annotation_report(pair.truth[known], proba[known].idxmax(axis=1), proba[known])["aurc"]


def informative(pair: Pair, labels: np.ndarray, levels: np.ndarray) -> dict[str, float]:
    """Return the share of cells whose label holds their type, and the mean information of the labels."""
    of_label = {name: set(levels[-1][names == name]) for names in levels for name in names}
    every = set(levels[-1])
    types = [of_label.get(label, every) for label in labels]
    information = [1 - np.log2(len(of_cell)) / np.log2(len(every)) for of_cell in types]
    covered = [truth in of_cell for truth, of_cell in zip(pair.truth, types, strict=True)]
    return {"coverage": float(np.mean(covered)), "information": float(np.mean(information))}


def levels_of(folder: Path, task: str, classes: np.ndarray) -> np.ndarray | None:
    """Return the coarser names of the classes and their own, where there are coarser ones."""
    if not task.startswith("granja-fine"):
        return None
    obs = ad.read_h5ad(folder / GRANJA.file, backed="r").obs
    coarse = obs.astype(str).drop_duplicates(GRANJA.labels[0]).set_index(GRANJA.labels[0])[GRANJA.labels[1]]
    return np.array([coarse[classes].to_numpy(), classes], dtype=object)


def rows_of(folder: Path, task: str) -> list[dict[str, Any]]:
    pair, found = annotated(folder, task)
    levels, rows = levels_of(folder, task, found.classes), []
    for nominal in NOMINAL:
        for way, make in WAYS.items():
            members = make(found, nominal)
            rows.append({"task": task, "way": way, "nominal": nominal, **scores(pair, found, members, nominal)})
            if way != "the package's":
                continue
            rows[-1]["aurc"] = aurc(pair, found)
            if levels is not None:
                labels = sl.methods.common_label(members, levels)
                rows.append({"task": task, "way": "set_label", "nominal": nominal, **informative(pair, labels, levels)})
    for least in (0.5, 0.7, 0.9, 0.95) if levels is not None else ():
        labels = sl.methods.finest_label(found.final, levels, least)
        rows.append({"task": task, "way": "min_probability", "nominal": least, **informative(pair, labels, levels)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the .h5ad")
    parser.add_argument("--tasks", nargs="+", default=list(SHOWN), choices=SHOWN, metavar="NAME")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    for task in options.tasks:
        done = pd.read_csv(options.output) if options.output.exists() else pd.DataFrame(columns=KEY)
        rows = pd.DataFrame(rows_of(options.data, task))
        of_way = rows[(rows["way"] == "the package's") & (rows["nominal"] == 0.9)]
        print(of_way.dropna(axis=1).to_string(index=False, header=False), flush=True)
        results = pd.concat([done, rows]).drop_duplicates(KEY, keep="last")
        # In the order of the tables, whatever was computed when.
        results = results.sort_values("task", key=lambda tasks: tasks.map(SHOWN.index), kind="stable")
        results.convert_dtypes().to_csv(options.output, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
