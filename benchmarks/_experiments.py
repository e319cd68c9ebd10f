"""Experiments whose rows are added to a file, and not computed again."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

KEY = ["experiment", "task", "method", "setting", "seed"]
SEVERAL = "*"
"""Setting of what gives several rows at once, by their settings."""
Scores = Mapping[str, float]
Rows = Iterator[tuple[dict[str, Any], Callable[[], Any]]]
"""Keys without the seed, each with what computes its scores; or, where the setting is ``SEVERAL``, the scores by
setting."""
Experiment = Callable[[Path, int], Rows]
"""From the folder of the data and a seed."""


def training_steps(method: str, step: Callable[..., Scores], seed: int) -> Rows:
    """Yield a training step of a method's published size with and without `recompute`, each in its own process."""

    def run(*, recompute: bool) -> Scores:
        with get_context("spawn").Pool(1) as pool:
            return pool.apply(step, (seed,), {"recompute": recompute})

    for recompute in (True, False):
        key = {"task": "a training step", "method": method, "setting": f"recompute={recompute}"}
        yield key, partial(run, recompute=recompute)


def read_results(path: Path, scores: Sequence[str]) -> pd.DataFrame:
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=[*KEY, *scores])


def add_results(path: Path, rows: list[dict[str, Any]], scores: Sequence[str]) -> None:
    """Write rows, in place of those of the same key."""
    new = pd.DataFrame(rows, columns=[*KEY, *scores], dtype=object)
    results = pd.concat([read_results(path, scores).astype(object), new])
    results.drop_duplicates(KEY, keep="last").convert_dtypes().to_csv(path, index=False, float_format="%.4f")


def run_experiments(
    script: str,
    about: str | None,
    experiments: Mapping[str, Experiment],
    scores: Sequence[str],
    drawn: Mapping[str, range],
) -> None:
    """Parse the command line of a script, and run what is missing in the file beside it.

    ``drawn`` has the seeds of experiments that are cheap enough for several.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the .h5ad")
    parser.add_argument("--experiments", nargs="+", default=list(experiments), choices=experiments, metavar="NAME")
    parser.add_argument("--again", action="store_true", help="also what has been computed")
    parser.add_argument("--output", type=Path, default=Path(script).with_suffix(".csv"))
    options = parser.parse_args()
    for name in options.experiments:
        for seed in drawn.get(name, range(1)):
            for part, compute in experiments[name](options.data, seed):
                key = {"experiment": name, **part, "seed": seed}
                done = read_results(options.output, scores)
                same = [column for column in KEY if key[column] != SEVERAL]
                if not options.again and (done[same] == pd.Series(key)[same]).all(axis=1).any():
                    continue
                with threadpool_limits(1):
                    found = compute()
                by_setting = found if key["setting"] == SEVERAL else {key["setting"]: found}
                rows = [key | {"setting": setting} | dict(of_one) for setting, of_one in by_setting.items()]
                add_results(options.output, rows, scores)
                for row in rows:
                    told = [f"{score}={row[score]:.3f}" for score in scores if score in row]
                    print(*(row[column] for column in KEY), *told, sep=" | ", flush=True)
