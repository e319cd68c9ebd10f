"""The tables of the benchmark pages, all from the numbers in the results files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd

NONE = "–"
WIDEST = 8
"""Columns of a table; more are spread over several."""


def cells(scored: pd.DataFrame, methods: list[str], tasks: list[str], column: str) -> pd.DataFrame:
    """Return the mean over seeds, methods × tasks."""
    table = scored.pivot_table(index="method", columns="task", values=column, aggfunc="mean")
    return table.reindex(index=methods, columns=tasks).astype(float)


def fixed(value: float, digits: int = 3) -> str:
    """Return a number with so many digits, without the zero of a share below 1."""
    text = f"{value:.{digits}f}"
    return text[1:] if digits and text.startswith("0.") else text


def told(
    scored: pd.DataFrame,
    methods: list[str],
    tasks: list[str],
    column: str,
    best: Callable | None = None,
    digits: int = 3,
) -> pd.DataFrame:
    """Return "mean ± standard deviation", the best of each task in bold."""
    mean = cells(scored, methods, tasks, column)
    spread = scored.pivot_table(index="method", columns="task", values=column, aggfunc="std")
    spread = spread.reindex(index=methods, columns=tasks).astype(float)
    rounded = mean.round(digits)
    winners = rounded.eq(rounded.apply(best)) if best is not None else rounded.isna() & False
    text = pd.DataFrame(NONE, index=methods, columns=tasks)
    for method in methods:
        for task in tasks:
            value, sd = mean.loc[method, task], spread.loc[method, task]
            if np.isnan(value):
                continue
            figure = fixed(value, digits)
            figure = f"**{figure}**" if winners.loc[method, task] else figure
            text.loc[method, task] = figure + (f" ± {fixed(sd, digits)}" if sd > 0 else "")
    return text


def markdown(text: pd.DataFrame, first: str | tuple[str, ...] = "method") -> str:
    """Return a table without rows and columns that are empty throughout, or several of like width if it is too wide."""
    heads = [first] if isinstance(first, str) else list(first)
    filled = text.ne(NONE)
    text = text.loc[filled.any(axis=1), filled.any(axis=0)]
    n_tables = -(-text.shape[1] // (WIDEST - len(heads)))
    parts = [text.iloc[:, at] for at in np.array_split(np.arange(text.shape[1]), max(n_tables, 1))]
    return "\n\n".join("\n".join(rows(part.loc[part.ne(NONE).any(axis=1)], heads)) for part in parts)


def rows(text: pd.DataFrame, heads: list[str]) -> Iterator[str]:
    yield "| " + " | ".join([*heads, *map(str, text.columns)]) + " |"
    yield "|---" * (len(heads) + text.shape[1]) + "|"
    for index, *row in text.itertuples():
        names = [index] if isinstance(index, str) else index
        yield "| " + " | ".join([*names, *row]) + " |"


def joined(*texts: pd.DataFrame) -> pd.DataFrame:
    first, *others = texts
    both = first.copy()
    for other in others:
        both = both + " / " + other
    return both.where(sum(text.eq(NONE) for text in texts) < len(texts), NONE)


def label_table(scored: pd.DataFrame, methods: list[str], tasks: list[str]) -> str:
    columns = ("accuracy", "macro_f1")
    return markdown(joined(*(told(scored, methods, tasks, c, best=np.nanmax) for c in columns)))


def calibration_table(scored: pd.DataFrame, methods: list[str], tasks: list[str]) -> str:
    return markdown(told(scored, methods, tasks, "ece", best=np.nanmin))


def novelty_table(scored: pd.DataFrame, methods: list[str], tasks: list[str]) -> str:
    auroc = told(scored, methods, tasks, "auroc", best=np.nanmax)
    return markdown(joined(auroc, told(scored, methods, tasks, "fpr95", best=np.nanmin)))


def rejection_table(scored: pd.DataFrame, methods: list[str], tasks: list[str]) -> str:
    return markdown(joined(*(told(scored, methods, tasks, c) for c in ("known_rejected", "novel_rejected"))))


def cost_table(scored: pd.DataFrame, methods: list[str], tasks: list[str]) -> str:
    return markdown(
        joined(told(scored, methods, tasks, "seconds", digits=1), told(scored, methods, tasks, "mb", digits=0))
    )


def ablation_table(ablation: pd.DataFrame) -> str:
    variants, tasks = (list(dict.fromkeys(ablation[column])) for column in ("variant", "task"))
    renamed = ablation.rename(columns={"variant": "method"})
    best = {"accuracy": np.nanmax, "macro_f1": np.nanmax, "ece": np.nanmin}
    return markdown(joined(*(told(renamed, variants, tasks, c, best=b) for c, b in best.items())), first="variant")


def method_table(
    scored: pd.DataFrame, methods: list[str], kinds: Mapping[str, str], about: Mapping[str, str]
) -> Iterator[str]:
    yield "| method | kind | what it is | epochs | releases |"
    yield "|---" * 5 + "|"
    for method in methods:
        of = scored[scored["method"] == method]
        epochs = " or ".join(str(n) for n in sorted({int(n) for n in of["epochs"].dropna()})) or NONE
        releases = "; ".join(sorted(set(of["versions"].dropna())))
        yield f"| {method} | {kinds[method]} | {about[method].removeprefix('Baseline: ')} | {epochs} | {releases} |"


def missing_rows(results: pd.DataFrame) -> Iterator[str]:
    missing = results[results["accuracy"].isna()]
    for (method, note), of in missing.groupby(["method", "note"]):
        yield f"- {method}: {note} ({', '.join(dict.fromkeys(of['task']))})"


def small_queries_table(results: pd.DataFrame) -> str:
    weight = results["n_cells"]
    scores = ["accuracy_alone", "accuracy_together", "rejected_alone"]
    weighted = results.assign(**{s: results[s] * weight for s in scores})
    by = ["pair", "method", "n_cells"]
    sums = weighted.assign(n=weight).groupby(by, sort=False)[[*scores, "n"]].sum().reset_index()
    alone, together, rejected = (sums[score] / sums["n"] for score in scores)
    sums["told"] = [f"{fixed(a)} / {fixed(t)}, {r:.0%}" for a, t, r in zip(alone, together, rejected, strict=True)]
    table = sums.pivot_table(index=by[:2], columns="n_cells", values="told", aggfunc="first", sort=False)
    table.columns = [f"{k} cell{'s' if k > 1 else ''}" for k in table.columns]
    return markdown(table.fillna(NONE), first=("pair", "method"))


def shuffled_labels_table(results: pd.DataFrame) -> str:
    def told_of(row: pd.Series) -> str:
        named = "" if pd.isna(row["precision"]) else f" ({row['precision']:.2f} / {row['recall']:.2f})"
        return f"{fixed(row['accuracy'])}{named}".replace("nan", NONE)

    by = ["pair", "method", "share"]
    mean = results.groupby(by, sort=False)[["accuracy", "precision", "recall"]].mean().reset_index()
    table = mean.assign(told=mean.apply(told_of, axis=1)).pivot_table(
        index=by[:2], columns="share", values="told", aggfunc="first", sort=False
    )
    table.columns = [f"{share:.0%}" for share in table.columns]
    return markdown(table.fillna(NONE), first=("pair", "method"))


def check_reference_table(results: pd.DataFrame) -> str:
    def told_of(row: pd.Series) -> str:
        if row["share"] == 0:
            return f"{row['n_contradicted'] / row['n_cells']:.1%}"
        return f"{row['precision']:.2f} / {row['recall']:.2f}"

    names = {("by share", 0): "none wrong", ("by share", 0.1): "by share", ("any", 0.1): "any alike"}
    shown = results[[pair in names for pair in zip(results["drawn"], results["share"], strict=True)]]
    shown = shown.assign(told=shown.apply(told_of, axis=1))
    shown["setting"] = [names[pair] for pair in zip(shown["drawn"], shown["share"], strict=True)]
    table = shown.pivot_table(index=["data", "rule"], columns="setting", values="told", aggfunc="first", sort=False)
    sound = results[(results["rule"] == "mixture") & (results["share"] == 0)].set_index("data")
    table["hard pairs"] = [
        f"{sound.loc[data, 'n_hard']:.0f} of {sound.loc[data, 'n_pairs']:.0f}" if rule == "mixture" else NONE
        for data, rule in table.index
    ]
    return markdown(table.fillna(NONE), first=("data", "rule"))


def settings_table(results: pd.DataFrame, scores: tuple[str, ...]) -> str:
    """Return methods × settings."""
    text = results[list(scores)].map(fixed).agg(" / ".join, axis=1)
    table = results.assign(told=text).pivot_table(
        index="method", columns="setting", values="told", aggfunc="first", sort=False
    )
    return markdown(table.fillna(NONE))


def sets_table(results: pd.DataFrame) -> str:
    """Return tasks × nominal coverages."""
    scores = results[["coverage", "least"]].map(fixed).assign(size=results["size"].map("{:.2f}".format))
    table = results.assign(told=scores.agg(" / ".join, axis=1)).pivot_table(
        index="task", columns="nominal", values="told", aggfunc="first", sort=False
    )
    table["AURC"] = results.groupby("task", sort=False)["aurc"].first().map(fixed)
    return markdown(table, first="task")


def ways_table(results: pd.DataFrame, scores: tuple[str, str] = ("least", "size")) -> str:
    """Return ways × tasks."""
    shown = [score for score in scores if score != "size"]
    text = results[shown].map(fixed)
    if "size" in scores:
        text["size"] = results["size"].map("{:.2f}".format)
    table = results.assign(told=text.agg(" / ".join, axis=1)).pivot_table(
        index="way", columns="task", values="told", aggfunc="first", sort=False
    )
    return markdown(table.fillna(NONE), first="way")


def levels_table(results: pd.DataFrame) -> str:
    """Return ways × tasks, each way by its setting."""
    named = results["way"] + ", " + results["nominal"].map("{:g}".format)
    text = results[["coverage", "information"]].map(fixed).agg(" / ".join, axis=1)
    table = results.assign(way=named, told=text).pivot_table(
        index="way", columns="task", values="told", aggfunc="first", sort=False
    )
    return markdown(table.sort_index().fillna(NONE), first="label")
