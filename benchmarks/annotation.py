"""How well labels are carried over: `python benchmarks/annotation.py FOLDER --peers-python PYTHON`, by hand, hours.

Every method labels the cells of a query by those of a reference, in a process of its own, with `--threads` threads and
imports done before the clock starts (but not what is compiled on first use); MB is what it adds to the process that
holds the data already, at its peak (Linux). Ours are called as anyone would, `sl.tl.annotate(query, reference)`, and
scored on the labels before rejection. Peers (`peers.txt`) get the same counts, open or closed, on the reference's peaks
that are open in both; annatac, whose tokens are of counts, gets counts. No process sees a label of the query: the files
that it reads have none.

Results go to `annotation.csv`, row by row; rows with scores are not computed again, unless `--again`. `--report`
computes nothing and writes the pages of `docs/benchmarks/` from it. Seconds and MB compare only what ran on a machine
that did nothing else.

Tasks, by the names of the files in FOLDER:

granja-fine, granja-coarse
    Bone marrow, from a donor to another with other proportions, 16 or 10 types.
cortex
    SNARE-seq of mouse cortex, from four libraries to four others, 23 types, about 80 open peaks per cell.
cell lines, cell lines with DNA
    From sciATAC (230 HEK293T, 20 GM12878) to another platform, Fluidigm C1 (35 GM12878, 25 H1, 9 K562): of its types
    the reference has GM12878 alone. H1 and K562 are novel. On all peaks, or on those whose DNA is known.
granja without …
    Bone marrow, coarse types, one of which the reference lacks.
granja split N types
    Bone marrow, coarse types, 2,000 cells of D5T1 to 2,000 of D6T1 (of these types alone, or as many as there are), N
    of the 10,000 peaks on both sides and half of the others on each; another draw of cells and peaks for each seed.
schep → cell lines, schep → sciATAC, cell lines → schep
    Fluidigm C1 of nine kinds of cells with peaks of their own, and the cell lines with theirs, from one to the other:
    LCL are GM12878, ESC are H1, and K562 is in both. Of the rest those of the query are novel. C1 cells of both studies
    may be the same ones; sciATAC's are others.
granja … → pbmc
    Bone marrow of either donor, coarse types, to 150 cells of blood, B, Mono and T, on two chromosomes: on peaks of
    their own, 49 of them shared, or counted on the reference's, where a cell has 3 open. CD4 and CD8 count as T.
sim …
    `sl.datasets.simulate`, another draw for each seed: no shift at all; a query with 3 of the 8 types; platforms that
    differ by shift 1, 2, 3, on the same peaks; proportions of the types that fall geometrically in the reference, by
    3, 10, 30 from the first to the last, and rise as much in the query; 50, 20, 5 % shared peaks. The peaks have
    sequences, which ours and the whole published systems read.

Scores: accuracy, F1, κ and ECE (15 bins) are those of the query cells whose type the reference has. The macro-F1 runs
over true ∪ predicted types. Novelty (AUROC, and the share of known cells that are above the threshold which finds 95 %
of the novel ones) is that of cells whose type it lacks against all others, by the method's own score where it has one,
else by 1 − its greatest probability. Where labels of the reference count as one of the query, so do their
probabilities, added up. Methods that no seed changes run with seed 0 alone on data that no seed changes.

`--epochs` limits PeakVI, PoissonVI, scVI and each network of EpiPack on 10,000 cells; fewer cells get as many steps by
more epochs, at most `MOST_EPOCHS`. SCANVI adds a fifth of them with labels.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from fnmatch import fnmatch
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import _annotation_methods
import anndata as ad
import numpy as np
import pandas as pd
from _annotation_methods import Method, methods
from _annotation_report import write_report
from _annotation_tasks import TASKS, Pair
from _forks import Server
from sklearn.metrics import roc_auc_score, roc_curve

import scllmda as sl

HERE = Path(__file__).parent
RESULTS = HERE / "annotation.csv"
OF_OTHER_SCRIPTS = (
    "small_queries",
    "shuffled_labels",
    "annatac",
    "epifoundation",
    "ablation",
    "prediction_sets",
    "check_reference",
    "scale",
    "gpu",
)
KEY = ["task", "method", "seed"]
COLUMNS = [
    *KEY,
    *("accuracy", "macro_f1", "macro_f1_true", "cohen_kappa", "ece", "auroc", "fpr95"),
    *("known_rejected", "novel_rejected", "seconds", "mb", "epochs"),
    *("n_reference", "n_query", "n_peaks", "threads", "cores", "versions", "date", "note"),
]
REFERENCE, QUERY = "reference.h5ad", "query.h5ad"
UNASSIGNED = "Unassigned"
MOST_EPOCHS = 400
"""scVI's default for up to 20,000 cells; PeakVI's is 500, with early stopping."""
RECALL = 0.95


def read_results(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)


def add_results(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows, in place of those of the same task, method and seed."""
    results = pd.concat([read_results(path).astype(object), pd.DataFrame(rows, columns=COLUMNS, dtype=object)])
    new = path.with_suffix(".new")
    results.drop_duplicates(KEY, keep="last").convert_dtypes().to_csv(new, index=False, float_format="%.6g")
    new.replace(path)  # an interruption leaves the old or the new file


def to_do(options: argparse.Namespace, task: str, seed: int) -> Iterator[dict[str, Method]]:
    """Yield methods that share a process."""
    results = read_results(options.results)
    done = results[(results["task"] == task) & (results["seed"] == seed) & results["accuracy"].notna()]
    chosen = {
        name: method
        for name, method in methods().items()
        if any(fnmatch(name, pattern) for pattern in options.methods)
        and (options.again or name not in done["method"].to_list())
        and (seed == 0 or method.is_seeded or TASKS[task].is_drawn)
    }
    if any(method.needs_sequence for method in chosen.values()) and not has_sequence(options.data, task):
        chosen = {name: method for name, method in chosen.items() if not method.needs_sequence}
    if TASKS[task].starts is None:
        chosen = {name: method for name, method in chosen.items() if not method.needs_starts}
    for _, together in groupby(chosen, lambda name: (chosen[name].modules, chosen[name].embed or name)):
        yield {name: chosen[name] for name in together}


@cache
def has_sequence(folder: Path, task: str) -> bool:
    pair = TASKS[task].make(folder, 0)
    return any("sequence" in adata.var for adata in (pair.reference, pair.query))


def run_task(options: argparse.Namespace, task: str, seed: int) -> None:
    groups = list(to_do(options, task, seed))
    if not groups:
        return
    pair = TASKS[task].make(options.data, seed)
    *shared, seen = pair.on_shared_peaks()
    n_cells = pair.reference.n_obs + pair.query.n_obs
    epochs = min(MOST_EPOCHS, round(options.epochs * max(1, 10_000 / n_cells)))
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        for name, pair_of_files in (("own", (pair.reference, pair.query)), ("shared", shared)):
            write(Path(folder, name), *pair_of_files)
        for group in groups:
            method = next(iter(group.values()))
            interpreter = options.peers_python if method.is_peer else sys.executable
            files = Path(folder, "shared" if method.is_peer else "own")
            found = server(interpreter, method.modules, options.threads).run(
                timeout=options.timeout,
                reference=str(files / REFERENCE),
                query=str(files / QUERY),
                names=list(group),
                seed=seed,
                epochs=epochs,
                embeddings=options.embeddings,
                starts=TASKS[task].starts and str(options.data / TASKS[task].starts),
            )
            setting = {
                "task": task,
                "seed": seed,
                "epochs": epochs if method.trains else None,
                "n_reference": pair.reference.n_obs,
                "n_query": pair.query.n_obs,
                "n_peaks": (shared[0] if method.is_peer else pair.reference).n_vars,
                "threads": options.threads,
                "cores": os.cpu_count(),
                "date": date.today().isoformat(),
            }
            cells = seen if method.is_peer else np.arange(pair.query.n_obs)
            rows = [setting | result_row(pair, found, name, cells) for name in group]
            add_results(options.results, rows)
            for row in rows:
                told = row["note"] or f"{row['accuracy']:.3f}/{row['macro_f1']:.3f} in {row['seconds']:.1f} s"
                print(task, row["method"], seed, told, sep=" | ", flush=True)


@cache
def server(interpreter: str, modules: tuple[str, ...], threads: int) -> Server:
    return Server(interpreter, _annotation_methods.__file__, modules, threads)


def write(folder: Path, reference: ad.AnnData, query: ad.AnnData) -> None:
    folder.mkdir()
    reference.write_h5ad(folder / REFERENCE)
    query.write_h5ad(folder / QUERY)


def result_row(pair: Pair, found: dict[str, Any], name: str, cells: np.ndarray) -> dict[str, Any]:
    """Return what a process found by a method, for those `cells` of the query that it was given."""
    if "missing" in found:
        return {"method": name, "note": found["missing"]}
    own = {key.removeprefix(f"{name}:"): value for key, value in found.items() if key.startswith(f"{name}:")}
    cost = {key: own[key] for key in ("seconds", "mb")}
    return {"method": name, "note": None, "versions": found["versions"], **cost, **scores(pair, own, cells)}


def scores(pair: Pair, found: dict[str, np.ndarray], seen: np.ndarray) -> dict[str, float]:
    """Return the scores of what a method found for the cells it has `seen`: others have no label, and are novel."""
    n = len(pair.truth)
    labels, novelty, proba = np.full(n, UNASSIGNED, dtype=object), None, None
    labels[seen] = pair.as_scored(found["labels"])
    if "proba" in found:
        per_label = pd.DataFrame(found["proba"], seen, pair.as_scored(found["classes"]), dtype=float)
        proba = per_label.T.groupby(level=0).sum().T.reindex(np.arange(n), fill_value=0.0)
        novelty = 1 - proba.to_numpy().max(axis=1)
    if "novelty" in found:
        novelty = np.full(n, found["novelty"].max(initial=1))
        novelty[seen] = found["novelty"]
    if "rejected" in found:
        rejected = np.ones(n, dtype=bool)
        rejected[seen] = found["rejected"]
    known = pair.is_known
    report = sl.metrics.annotation_report(pair.truth[known], labels[known], None if proba is None else proba[known])
    row = {name: report[name] for name in COLUMNS if name in report}
    if "rejected" in found:
        row["known_rejected"] = rejected[known].mean()
    if not known.all() and novelty is not None:
        row["auroc"] = roc_auc_score(~known, novelty)
        false, true, _ = roc_curve(~known, novelty, drop_intermediate=False)
        row["fpr95"] = false[np.argmax(true >= RECALL)]
        if "rejected" in found:
            row["novel_rejected"] = rejected[~known].mean()
    return {name: float(value) for name, value in row.items()}


def report(docs: Path, *, results: Path = RESULTS, draw: bool = True) -> None:
    """Write the pages of all results, and their figures if `draw`."""
    files = {name: HERE / f"{name}.csv" for name in OF_OTHER_SCRIPTS}
    write_report(
        docs,
        read_results(results),
        {name: read_results(path) for name, path in files.items() if path.exists()},
        kinds={name: method.kind for name, method in methods().items()},
        about={name: method.about for name, method in methods().items()},
        groups={name: task.group for name, task in TASKS.items()},
        draw=draw,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="folder with the .h5ad")
    parser.add_argument("--tasks", nargs="+", default=["*"], help="names or patterns, of " + ", ".join(TASKS))
    parser.add_argument("--methods", nargs="+", default=["*"], help="names or patterns, of " + ", ".join(methods()))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=50, help="of networks on 10,000 cells")
    parser.add_argument("--again", action="store_true", help="also what has been computed")
    parser.add_argument("--report", action="store_true", help="only write the report")
    parser.add_argument("--peers-python", default=sys.executable, help="interpreter with the packages of peers.txt")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--timeout", type=int, default=0, help="seconds that a process may take; 0 for any")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--embeddings", help="folder that keeps those of peers, for tasks that differ in labels alone")
    parser.add_argument("--scratch", type=Path, help="folder for files")
    options = parser.parse_args()
    if options.report:
        report(HERE.parent / "docs", results=options.results)
        return
    if options.data is None:
        parser.error("expected the folder with the .h5ad, or --report")
    tasks = [name for name in TASKS if any(fnmatch(name, pattern) for pattern in options.tasks)]
    for seed in options.seeds:
        for task in tasks:
            run_task(options, task, seed)


if __name__ == "__main__":
    main()
