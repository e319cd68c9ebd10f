"""The report of `annotation.py`: tables, sentences and figures, all from the numbers in its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pandas as pd

PAGE, FIGURES = "benchmarks.md", "figures"
TRANSFER, NOVELTY = "benchmarks_transfer.png", "benchmarks_novelty.png"
TITLES = {
    "real": "Real data",
    "studies": "From study to study",
    "peaks": "Few peaks in common",
    "simulated": "Simulated data",
    "novelty": "A type that the reference lacks",
}
KINDS = {
    "ours": "ours",
    "published": "published methods",
    "variant": "second stages on our cells",
    "baseline": "baselines",
}
COLORS = {
    "ours": "#D55E00",
    "published": "#0072B2",
    "variant": "#56B4E9",
    "baseline": "#777777",
}  # Okabe and Ito's, told apart by all
NONE = "–"
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
SHOWN = 3
"""Tasks named in a sentence."""

INTRODUCTION = """\
# Benchmarks

How well methods label the cells of a query by those of a reference, on real and on simulated data. Every table, figure
and sentence of results on this page was made from the results file by

```bash
python benchmarks/annotation.py DATA --peers-python PYTHON_WITH_PEERS --seeds 0 1 2
python benchmarks/annotation.py --report
```

The first adds what is missing to `benchmarks/annotation.csv`, the second makes the page of it. The head of
`benchmarks/annotation.py` defines tasks and scores, [its
notes](https://github.com/scllmda/scllmda/blob/main/benchmarks/README.md) say where the data come from. All methods get
the same counts, open or closed (annatac, whose tokens are of counts, gets counts), and no label of the query. Simulated
peaks, and those of one pair of cell lines, come with sequences; the package's own methods other than the baselines read
them, the others work from counts alone. scllmda and seqalignatac are the whole published systems, with the k-mer
encoder, and have rows where there are sequences; "second stage" is the second stage of either on the package's
embedding, in an earlier version, in which a cell's own counts took part in the loadings that place it. annatac and
epifoundation are whole systems without pre-training, in their small presets. Scores are those of query cells whose type
the reference has; the macro-F1 runs over true ∪ predicted types.

| tasks | reference → query |
|---|---|
| granja-fine, granja-coarse | bone marrow, from a donor to another with other proportions; 16 or 10 types |
| cortex | SNARE-seq of mouse cortex, from four libraries to four others; 23 types, few open peaks per cell |
| cell lines | sciATAC → Fluidigm C1, which have one of the types in common; the other two of the query are novel |
| granja without … | bone marrow, coarse types, one of which the reference lacks |
| granja split N types | 2,000 cells of a donor → 2,000 of these types of the other, with N peaks in common |
| schep → …, cell lines → schep | two studies of cell lines with their own peaks; some types of the query are novel |
| granja … → pbmc | bone marrow → 150 cells of blood on 49 shared peaks; its T cells are CD4 or CD8 of the marrow |
| sim no shift | simulated, both alike but for the draw |
| sim fewer types | the query has three of the eight types |
| sim platform | depth, biases and proportions differ by `shift` |
| sim proportions | types fall in number by this factor in the reference, and rise by it in the query |
| sim shared peaks | this share of the peaks is in both |
"""


def write_report(
    docs: Path,
    results: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    *,
    kinds: Mapping[str, str],
    about: Mapping[str, str],
    groups: Mapping[str, str],
) -> None:
    """Write the page and its figures.

    ``kinds`` and ``about`` tell of each method whether it is "ours", "published", a "variant" or a "baseline", and what
    it is, in the order of the tables; ``groups`` the group of each task; ``others`` the results of scripts of their
    own: "small_queries", "shuffled_labels", "annatac", "epifoundation",
    "ablation".
    """
    results = results[results["method"].isin(kinds) & results["task"].isin(groups)]
    scored = results[results["accuracy"].notna()]
    methods = [name for name in kinds if name in set(scored["method"])]
    tasks = {group: [t for t in groups if groups[t] == group and t in set(scored["task"])] for group in TITLES}
    shifted, everything = tasks["real"] + tasks["simulated"], [task for names in tasks.values() for task in names]
    novelty = [task for task in everything if scored.loc[scored["task"] == task, "auroc"].notna().any()]
    parts = [
        INTRODUCTION,
        "\n".join(machine(scored)),
        "## Labels carried over",
        "Accuracy / macro-F1, the best of each column in bold; ± is the standard deviation over several seeds, figures "
        "without it are of one.",
        figure(docs, TRANSFER, scored, methods, shifted, "macro_f1", "Macro-F1", kinds),
    ]
    for group, names in tasks.items():
        if names:
            parts += [f"### {TITLES[group]}", "\n".join(label_table(scored, methods, names))]
    parts += [
        "### Comparisons",
        "By the means above. Small differences are what another donor or seed makes.",
        "\n".join(comparisons(scored, everything, kinds)),
        "\n".join(reasons(scored, everything, kinds)),
    ]
    if "small_queries" in others:
        parts += [
            "## Queries of a few cells",
            "Accuracy of the same cells when they are annotated alone / as part of the whole query, and the share "
            "rejected when alone; `benchmarks/small_queries.py`.",
            "\n".join(small_queries_table(others["small_queries"])),
        ]
    if "shuffled_labels" in others:
        parts += [
            "## Wrong labels in the reference",
            "Accuracy where a share of the reference's labels was replaced by others, and for methods that name "
            "reference cells in doubt: precision / recall of the names; `benchmarks/shuffled_labels.py`.",
            "\n".join(shuffled_labels_table(others["shuffled_labels"])),
        ]
    if "annatac" in others:
        parts += list(annatac_parts(others["annatac"]))
    if "epifoundation" in others:
        parts += list(epifoundation_parts(others["epifoundation"]))
    parts += [
        "## Calibration",
        "Expected calibration error, 15 bins, the smallest in bold. Methods without probabilities have none.",
        "\n".join(markdown(told(scored, methods, shifted, "ece", best=np.nanmin))),
    ]
    if novelty:
        parts += [
            "## Novelty",
            "AUROC of novelty, of cells whose type the reference lacks against all others / share of the others above "
            "the threshold that finds 95 % of them. Methods without a score of novelty are scored by 1 − their "
            "greatest probability.",
            figure(docs, NOVELTY, scored, methods, novelty, "auroc", "AUROC of novelty", kinds),
            "\n".join(novelty_table(scored, methods, novelty)),
            "Share of cells rejected at the default threshold: of types that the reference has / of those it lacks.",
            "\n".join(rejection_table(scored, methods, everything)),
        ]
    parts += [
        "## Seconds and MB",
        "Time to label the query from counts in memory, and what that added to the memory at its peak. Rows were added "
        "over time: figures are comparable as far as the machine did nothing else.",
        "\n".join(cost_table(scored, methods, tasks["real"])),
    ]
    if "ablation" in others:
        parts += ["## Ablation of robust", "Accuracy / macro-F1 / ECE; rows differ from the first in what they say."]
        parts += ["\n".join(ablation_table(others["ablation"]))]
    parts += ["## Methods", "\n".join(method_table(scored, methods, kinds, about))]
    if missing := sorted(missing_rows(results)):
        parts += ["Without result:", "\n".join(missing)]
    (docs / PAGE).write_text("\n\n".join(part.strip("\n") for part in parts) + "\n")


def machine(scored: pd.DataFrame) -> Iterator[str]:
    cores, threads = (sorted({int(n) for n in scored[column].dropna()}) for column in ("cores", "threads"))
    first, last = scored["date"].min(), scored["date"].max()
    when = first if first == last else f"{first} to {last}"
    yield (
        f"Computed {when}, on a machine with {either(cores)} cores and without a GPU, each method in a process of its "
        f"own with {either(threads)} thread{'s' if threads != [1] else ''}."
    )


def either(numbers: list[int]) -> str:
    return " or ".join(map(str, numbers))


# Tables.


def cells(scored: pd.DataFrame, methods: list[str], tasks: list[str], column: str) -> pd.DataFrame:
    """Return the mean over seeds, methods × tasks."""
    table = scored.pivot_table(index="method", columns="task", values=column, aggfunc="mean")
    return table.reindex(index=methods, columns=tasks).astype(float)


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
            figure = f"{value:.{digits}f}"
            figure = f"**{figure}**" if winners.loc[method, task] else figure
            text.loc[method, task] = figure + (f" ± {sd:.{digits}f}" if sd > 0 else "")
    return text


def markdown(text: pd.DataFrame, first: str = "method") -> Iterator[str]:
    """Yield a table without rows and columns that are empty throughout."""
    filled = text.ne(NONE)
    text = text.loc[filled.any(axis=1), filled.any(axis=0)]
    yield "| " + " | ".join([first, *text.columns]) + " |"
    yield "|---" * (text.shape[1] + 1) + "|"
    for row in text.itertuples():
        yield "| " + " | ".join(row) + " |"


def joined(*texts: pd.DataFrame) -> pd.DataFrame:
    first, *others = texts
    both = first.copy()
    for other in others:
        both = both + " / " + other
    return both.where(sum(text.eq(NONE) for text in texts) < len(texts), NONE)


def label_table(scored: pd.DataFrame, methods: list[str], tasks: list[str]) -> Iterator[str]:
    columns = ("accuracy", "macro_f1")
    return markdown(joined(*(told(scored, methods, tasks, c, best=np.nanmax) for c in columns)))


def novelty_table(scored: pd.DataFrame, methods: list[str], tasks: list[str]) -> Iterator[str]:
    auroc = told(scored, methods, tasks, "auroc", best=np.nanmax)
    return markdown(joined(auroc, told(scored, methods, tasks, "fpr95", best=np.nanmin)))


def rejection_table(scored: pd.DataFrame, methods: list[str], tasks: list[str]) -> Iterator[str]:
    return markdown(joined(*(told(scored, methods, tasks, c) for c in ("known_rejected", "novel_rejected"))))


def cost_table(scored: pd.DataFrame, methods: list[str], tasks: list[str]) -> Iterator[str]:
    return markdown(
        joined(told(scored, methods, tasks, "seconds", digits=1), told(scored, methods, tasks, "mb", digits=0))
    )


def ablation_table(ablation: pd.DataFrame) -> Iterator[str]:
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
        rows = scored[scored["method"] == method]
        epochs = either(sorted({int(n) for n in rows["epochs"].dropna()})) or NONE
        releases = "; ".join(sorted(set(rows["versions"].dropna())))
        yield f"| {method} | {kinds[method]} | {about[method].removeprefix('Baseline: ')} | {epochs} | {releases} |"


def missing_rows(results: pd.DataFrame) -> Iterator[str]:
    missing = results[results["accuracy"].isna()]
    for (method, note), rows in missing.groupby(["method", "note"]):
        yield f"- {method}: {note} ({', '.join(dict.fromkeys(rows['task']))})"


# Sentences.


def comparisons(scored: pd.DataFrame, tasks: list[str], kinds: Mapping[str, str]) -> Iterator[str]:
    """Yield what the macro-F1s, as printed, say of our default and of each published method."""
    table = cells(scored, [m for m in kinds if m in set(scored["method"])], tasks, "macro_f1").round(3)
    of_kind = {kind: table[[kinds[m] == kind for m in table.index]] for kind in KINDS}
    baselines = of_kind["baseline"]
    for method, row in of_kind["ours"].iterrows():
        yield lost(str(method), row, table.drop(index=method), "another method")
    for method, row in of_kind["published"].iterrows():
        yield lost(str(method), row, baselines, "a baseline")


def lost(method: str, row: pd.Series, others: pd.DataFrame, what: str) -> str:
    """Return in which tasks a method's macro-F1 is below the best of others, and which that is."""
    compared = row.index[row.notna() & others.notna().any()]
    best = others[compared].max()
    behind = (best - row[compared]).sort_values(ascending=False, kind="stable")
    losses = behind.index[behind > 0]
    said = f"- **{method}** has a lower macro-F1 than {what} in {len(losses)} of {len(compared)} tasks"
    details = [f"{t} ({row[t]:.3f} against {best[t]:.3f} of {others[t].idxmax()})" for t in losses[:SHOWN]]
    more = ", most of all" if len(losses) > SHOWN else ""
    return f"{said}{more}: {', '.join(details)}." if details else f"{said}."


def reasons(scored: pd.DataFrame, tasks: list[str], kinds: Mapping[str, str]) -> Iterator[str]:
    """Yield why our default is not the best in accuracy, for the kinds of tasks where it is not."""
    table = cells(scored, [m for m in kinds if m in set(scored["method"])], tasks, "accuracy").round(3)
    mine = table.loc["robust"]
    behind = table.drop(index="robust").max() - mine
    left = [task for task in tasks if behind[task] > 0]
    for pattern, why in WHY_NOT_FIRST.items():
        found = [task for task in left if fnmatch(task, pattern)]
        left = [task for task in left if task not in found]
        if found:
            yield f"- Not first in accuracy on {', '.join(f'{t} (−{behind[t]:.3f})' for t in found)}: {why}"


def small_queries_table(results: pd.DataFrame) -> Iterator[str]:
    weight = results["n_cells"]
    scores = ["accuracy_alone", "accuracy_together", "rejected_alone"]
    weighted = results.assign(**{s: results[s] * weight for s in scores})
    by = ["pair", "method", "n_cells"]
    sums = weighted.assign(n=weight).groupby(by, sort=False)[[*scores, "n"]].sum().reset_index()
    alone, together, rejected = (sums[score] / sums["n"] for score in scores)
    sums["told"] = [f"{a:.3f} / {t:.3f}, {r:.0%}" for a, t, r in zip(alone, together, rejected, strict=True)]
    told = sums.pivot_table(index=by[:2], columns="n_cells", values="told", aggfunc="first", sort=False)
    yield "| pair | method | " + " | ".join(f"{k} cell{'s' if k > 1 else ''}" for k in told.columns) + " |"
    yield "|---|---|" + "---|" * len(told.columns)
    for (pair, method), row in told.iterrows():
        yield f"| {pair} | {method} | " + " | ".join(row.fillna(NONE)) + " |"


def shuffled_labels_table(results: pd.DataFrame) -> Iterator[str]:
    def told(row: pd.Series) -> str:
        named = "" if pd.isna(row["precision"]) else f" ({row['precision']:.2f} / {row['recall']:.2f})"
        return f"{row['accuracy']:.3f}{named}"

    by = ["pair", "method", "share"]
    mean = results.groupby(by, sort=False)[["accuracy", "precision", "recall"]].mean().reset_index()
    table = mean.assign(told=mean.apply(told, axis=1)).pivot_table(
        index=by[:2], columns="share", values="told", aggfunc="first", sort=False
    )
    yield "| pair | method | " + " | ".join(f"{share:.0%}" for share in table.columns) + " |"
    yield "|---|---|" + "---|" * len(table.columns)
    for (pair, method), row in table.iterrows():
        yield f"| {pair} | {method} | " + " | ".join(row.fillna(NONE)) + " |"


def annatac_parts(results: pd.DataFrame) -> Iterator[str]:
    """Yield the section of annATAC's further experiments."""
    yield "## annATAC: share of labels, pre-training, novel cells"
    yield (
        "The further experiments of its paper, with the small preset on all islands that hold a peak of both sides; "
        "`benchmarks/annatac.py`, whose head defines them."
    )
    of = dict(list(results.groupby("experiment", sort=False)))
    if (rows := of.get("share of labels")) is not None:
        yield f"Accuracy / macro-F1 on {rows['task'].iloc[0]} with a share of each type's labels:"
        yield "\n".join(settings_table(rows, ("accuracy", "macro_f1")))
    if (rows := of.get("simulated islands")) is not None:
        mean = rows.groupby("setting", sort=False)[["accuracy", "macro_f1", "loss", "entropy"]].mean()
        told = [f"{name} {row['accuracy']:.3f} / {row['macro_f1']:.3f}" for name, row in mean.iterrows()]
        losses = mean[["loss", "entropy"]].dropna().iloc[0]
        yield (
            f"On simulated islands with 5 % of the labels, accuracy / macro-F1 in the mean of {rows['seed'].nunique()} "
            f"draws: {', '.join(told)}. Pre-training ends at a loss of {losses['loss']:.2f} per masked island, the "
            f"frequencies of the classes alone leave {losses['entropy']:.2f}."
        )
    if (rows := of.get("novel cells")) is not None:
        yield (
            "Novel cells, left without label by novelty or where the greatest probability is below .5 (the paper's "
            "option): AUROC / share of known cells left / share of novel cells left."
        )
        ways = rows.assign(setting=rows["task"], method=rows["method"] + ", " + rows["setting"])
        yield "\n".join(settings_table(ways, ("auroc", "known_rejected", "novel_rejected")))
    if (rows := of.get("published size")) is not None:
        told = [f"{row['setting']}: {row['seconds']:.0f} s, {row['mb'] / 1024:.1f} GB" for _, row in rows.iterrows()]
        yield f"A training step of 8 cells on 16,657 islands at the published size: {'; '.join(told)}."


def epifoundation_parts(results: pd.DataFrame) -> Iterator[str]:
    """Yield the section of EpiFoundation's experiments."""
    yield "## EpiFoundation: expression, share of labels, batches"
    yield "With the small preset, beside what is simpler; `benchmarks/epifoundation.py`, whose head defines them."
    of = dict(list(results.groupby("experiment", sort=False)))
    both = pd.concat([of[name] for name in ("expression", "simulated expression") if name in of] or [results[:0]])
    if len(both):
        yield (
            "Expression of single cells: mean over genes of Spearman's / Pearson's correlation / mean squared error. "
            "Gene activity is no log-normalized expression, so that its error says nothing."
        )
        mean = both.groupby(["task", "method"], sort=False)[["spearman", "pearson", "mse"]].mean().reset_index()
        yield "\n".join(settings_table(mean.assign(setting=mean["task"]), ("spearman", "pearson", "mse")))
    if (rows := of.get("share of labels")) is not None:
        mean = rows.groupby("setting", sort=False)[["accuracy", "macro_f1"]].mean()
        told = [f"{name} {row['accuracy']:.3f} / {row['macro_f1']:.3f}" for name, row in mean.iterrows()]
        yield (
            f"On simulated cells with 5 % of the labels, accuracy / macro-F1 in the mean of {rows['seed'].nunique()} "
            f"draws: {', '.join(told)}."
        )
    if (rows := of.get("batch correction")) is not None:
        yield (
            "Batches mixed and types kept apart, of 1 each: NMI / ASW of types / ASW of isolated types / cLISI / ASW "
            "of batches / graph connectivity. Of bone marrow EpiFoundation learned the labels of one donor."
        )
        scores = ("nmi", "label_asw", "isolated_label_asw", "clisi", "batch_asw", "graph_connectivity")
        yield "\n".join(settings_table(rows.assign(setting=rows["task"]), scores))
    if (rows := of.get("published size")) is not None:
        told = [f"{row['setting']}: {row['seconds']:.0f} s, {row['mb'] / 1024:.1f} GB" for _, row in rows.iterrows()]
        yield f"A training step of two cells with 12,000 open peaks at the published size: {'; '.join(told)}."


def settings_table(rows: pd.DataFrame, scores: tuple[str, ...]) -> Iterator[str]:
    """Yield methods × settings."""
    text = rows[list(scores)].map("{:.3f}".format).agg(" / ".join, axis=1)
    table = rows.assign(told=text).pivot_table(
        index="method", columns="setting", values="told", aggfunc="first", sort=False
    )
    return markdown(table.fillna(NONE))


# Figures.


def figure(
    docs: Path,
    name: str,
    scored: pd.DataFrame,
    methods: list[str],
    tasks: list[str],
    column: str,
    title: str,
    kinds: Mapping[str, str],
    per_row: int = 6,
) -> str:
    """Draw a panel per task, with a dot per seed and a line at the best mean; return the link to it."""
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D

    per_row = min(per_row, len(tasks))
    n_rows = -(-len(tasks) // per_row)
    shape = (0.9 + 2.1 * per_row + 1.5, n_rows * (0.5 + 0.19 * len(methods)) + 0.6)
    drawn, axes = plt.subplots(n_rows, per_row, figsize=shape, sharey=True, squeeze=False, layout="constrained")
    for ax in axes.flat[len(tasks) :]:
        ax.set_axis_off()
    for ax, task in zip(axes.flat, tasks, strict=False):
        rows = scored[(scored["task"] == task) & scored["method"].isin(methods) & scored[column].notna()]
        y = np.array([methods.index(m) for m in rows["method"]])
        ax.axvline(rows.groupby("method")[column].mean().max(), color="#BBBBBB", lw=0.8, zorder=0)
        ax.scatter(rows[column], y, s=16, color=[COLORS[kinds[m]] for m in rows["method"]], linewidths=0)
        ax.set_title(task, fontsize=8)
        ax.set_yticks(range(len(methods)), methods, fontsize=7)
        ax.set_ylim(len(methods) - 0.5, -0.5)
        ax.tick_params(axis="x", labelsize=7)
        ax.locator_params(axis="x", nbins=4)
        ax.grid(axis="y", lw=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    handles = [Line2D([], [], marker="o", ls="", ms=5, color=COLORS[kind], label=name) for kind, name in KINDS.items()]
    drawn.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8, frameon=False)
    drawn.suptitle(title, fontsize=9)
    (docs / FIGURES).mkdir(exist_ok=True)
    drawn.savefig(docs / FIGURES / name, dpi=110, metadata={"Software": None})
    plt.close(drawn)
    return f"![{title} of each method on each task]({FIGURES}/{name})"
