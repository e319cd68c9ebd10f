"""The sentences of the benchmark pages, all from the numbers in the results files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatch

import pandas as pd
from _report_tables import cells, fixed

OURS = "robust"
QUOTED = "granja D5T1 → pbmc"
"""The task of the headline: two studies."""
SHOWN = 3
"""Tasks named in a sentence."""
WHY_NOT_FIRST = {
    "granja split 500 NK": "NK and CD8 effector cells are next to the same on some six open peaks a cell; which of the "
    "two a whole sorted query is called is decided by how far the donors are apart.",
    "granja split 500 *": "with some six open peaks a cell, types are told by their neighbors together, and rare ones "
    "are few among them.",
    "granja split *": "differences of a point or less are those of one draw.",
    "*pbmc, its fragments*": "three open peaks a cell: no method is far from chance (.33 for one label for all).",
    "*pbmc": "49 peaks decide; the difference is that of a few of 150 cells.",
    "granja-*": "the difference is what another donor or seed makes.",
    "granja without *": "a regularized network or plain regression has the common types a little better, and rare "
    "types worse: see the macro-F1.",
    "sim platform *": "simulated platforms shift every peak, so that nearest class means on all peaks lose least.",
    "sim *": "differences are within those of the draws, or peaks without enough depth to be placed are.",
}
"""Reasons by kind of task; the first pattern that fits tells."""


def machine(scored: pd.DataFrame) -> str:
    cores, threads = (sorted({int(n) for n in scored[column].dropna()}) for column in ("cores", "threads"))
    first, last = scored["date"].min(), scored["date"].max()
    when = first if first == last else f"{first} to {last}"
    return (
        f"Computed {when}, on a machine with {' or '.join(map(str, cores))} cores and without a GPU, each method in a "
        f"process of its own with {' or '.join(map(str, threads))} thread{'s' if threads != [1] else ''}."
    )


def headline(scored: pd.DataFrame, methods: list[str], tasks: list[str]) -> str:
    """Return the result that readers may quote."""
    table = cells(scored, methods, tasks, "macro_f1").round(3)
    others = table.drop(index=OURS)
    compared = table.columns[table.loc[OURS].notna() & others.notna().any()]
    won = int((table.loc[OURS, compared] >= others[compared].max()).sum())
    accuracy = cells(scored, methods, [QUOTED], "accuracy")[QUOTED].dropna()
    mine, rest = accuracy[OURS], accuracy.drop(OURS)
    return (
        f"In **{won} of {len(compared)}** transfers no other method had a higher macro-F1 ({len(others)} others, not "
        f"each on all). From bone marrow to the blood cells of another study, with few peaks in common, "
        f"**{mine:.0%}** of the labels are right; of the next best method, {rest.idxmax()}, {rest.max():.0%}."
    )


def comparisons(scored: pd.DataFrame, tasks: list[str], kinds: Mapping[str, str]) -> Iterator[str]:
    """Yield what the macro-F1s, as printed, say of our default and of each published method."""
    table = cells(scored, [m for m in kinds if m in set(scored["method"])], tasks, "macro_f1").round(3)
    of_kind = {kind: table[[kinds[m] == kind for m in table.index]] for kind in ("ours", "published", "baseline")}
    for method, row in of_kind["ours"].iterrows():
        yield lost(str(method), row, table.drop(index=method), "another method")
    for method, row in of_kind["published"].iterrows():
        yield lost(str(method), row, of_kind["baseline"], "a baseline")


def lost(method: str, row: pd.Series, others: pd.DataFrame, what: str) -> str:
    """Return in which tasks a method's macro-F1 is below the best of others, and which that is."""
    compared = row.index[row.notna() & others.notna().any()]
    best = others[compared].max()
    behind = (best - row[compared]).sort_values(ascending=False, kind="stable")
    losses = behind.index[behind > 0]
    said = f"- **{method}** has a lower macro-F1 than {what} in {len(losses)} of {len(compared)} tasks"
    details = [f"{t} ({fixed(row[t])} against {fixed(best[t])} of {others[t].idxmax()})" for t in losses[:SHOWN]]
    more = ", most of all" if len(losses) > SHOWN else ""
    return f"{said}{more}: {', '.join(details)}." if details else f"{said}."


def reasons(scored: pd.DataFrame, tasks: list[str], kinds: Mapping[str, str]) -> Iterator[str]:
    """Yield why our default is not the best in accuracy, for the kinds of tasks where it is not."""
    table = cells(scored, [m for m in kinds if m in set(scored["method"])], tasks, "accuracy").round(3)
    behind = table.drop(index=OURS).max() - table.loc[OURS]
    left = [task for task in tasks if behind[task] > 0]
    for pattern, why in WHY_NOT_FIRST.items():
        found = [task for task in left if fnmatch(task, pattern)]
        left = [task for task in left if task not in found]
        if found:
            yield f"- Not first in accuracy on {', '.join(f'{t} (−{fixed(behind[t])})' for t in found)}: {why}"
