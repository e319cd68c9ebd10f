"""The pages of `annotation.py --report`: a page per question, all from the numbers in its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from _report_figures import behind, panels
from _report_sentences import comparisons, headline, machine, reasons
from _report_tables import (
    ablation_table,
    calibration_table,
    check_reference_table,
    cost_table,
    fixed,
    label_table,
    levels_table,
    method_table,
    missing_rows,
    novelty_table,
    rejection_table,
    sets_table,
    settings_table,
    shuffled_labels_table,
    small_queries_table,
    ways_table,
)
from _scale_report import scale_page

PAGES = "benchmarks"
HEADLINE = "headline.md"
"""A part of the landing page."""

LABELS = (
    "Accuracy / macro-F1, the best of each column in bold; ± is the standard deviation over several seeds, figures "
    "without it are of one."
)
INTRODUCTION = """\
How well methods label the cells of a query by those of a reference, on real and on simulated data. Every table, figure
and sentence of results here was made from the results file by

```bash
python benchmarks/annotation.py DATA --peers-python PYTHON_WITH_PEERS --seeds 0 1 2
python benchmarks/annotation.py --report
```

The first adds what is missing to `benchmarks/annotation.csv`, the second makes the pages of it. The head of
`benchmarks/annotation.py` defines tasks and scores, [its
notes](https://github.com/scllmda/scllmda/blob/main/benchmarks/README.md) say where the data come from."""
RULES = """\
All methods get the same counts, open or closed (annatac, whose tokens are of counts, gets counts), and no label of
the query. Simulated peaks, and those of one pair of cell lines, come with sequences; the package's own methods other
than the baselines read them, the others work from counts alone. scllmda and seqalignatac are the whole published
systems, with the k-mer encoder, and have rows where there are sequences; "second stage" is the second stage of either
on the package's embedding, in an earlier version, in which a cell's own counts took part in the loadings that place
it. annatac and epifoundation are whole systems without pre-training, in their small presets. Scores are those of
query cells whose type the reference has; the macro-F1 runs over true ∪ predicted types."""
TASKS = """\
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
| sim shared peaks | this share of the peaks is in both |"""


@dataclass(frozen=True)
class Results:
    """The numbers, and what to call things."""

    docs: Path
    scored: pd.DataFrame
    missing: pd.DataFrame
    """Rows without a score."""
    others: Mapping[str, pd.DataFrame]
    """Of scripts of their own, by their names; without those that were not run."""
    kinds: Mapping[str, str]
    """Of each method: "ours", "published", a "variant" or a "baseline"."""
    about: Mapping[str, str]
    groups: Mapping[str, str]
    draw: bool

    @property
    def methods(self) -> list[str]:
        return [name for name in self.kinds if name in set(self.scored["method"])]

    def tasks(self, *groups: str) -> list[str]:
        """Return the tasks of these groups, or all, that have scores."""
        there = set(self.scored["task"])
        wanted = groups or tuple(dict.fromkeys(self.groups.values()))
        return [task for group in wanted for task in self.groups if self.groups[task] == group and task in there]

    def figure(self, name: str, tasks: list[str], column: str, title: str) -> str:
        name = f"benchmarks_{name}.png"
        if not self.draw:
            return f"![{title} of each method on each task](../figures/{name})"
        return panels(self.docs, name, self.scored, self.methods, tasks, column, title, self.kinds)

    def labels(self, title: str, group: str) -> Iterator[str]:
        """Yield a section with the labels of a group of tasks."""
        if tasks := self.tasks(group):
            yield f"## {title}"
            yield label_table(self.scored, self.methods, tasks)


def write_report(
    docs: Path,
    results: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    *,
    kinds: Mapping[str, str],
    about: Mapping[str, str],
    groups: Mapping[str, str],
    draw: bool = True,
) -> None:
    """Write the pages, and their figures if `draw`.

    ``kinds`` and ``about`` tell of each method whether it is "ours", "published", a "variant" or a "baseline", and what
    it is, in the order of the tables; ``groups`` the group of each task; ``others`` the results of scripts of their
    own: "small_queries", "shuffled_labels", "annatac", "epifoundation", "ablation", "prediction_sets",
    "check_reference", "scale", "gpu".
    """
    results = results[results["method"].isin(kinds) & results["task"].isin(groups)]
    has_score = results["accuracy"].notna()
    found = Results(docs, results[has_score], results[~has_score], others, kinds, about, groups, draw)
    folder = docs / PAGES
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGE_OF.items():
        parts = [part.strip("\n") for part in page(found) if part]
        (folder / f"{name}.md").write_text("\n\n".join(parts) + "\n")
    (folder / HEADLINE).write_text(headline(found.scored, found.methods, found.tasks()) + "\n")


def index_page(found: Results) -> Iterator[str]:
    yield "# Benchmarks"
    yield INTRODUCTION
    yield headline(found.scored, found.methods, found.tasks())
    name = "benchmarks_behind.png"
    if found.draw:
        yield behind(found.docs, name, found.scored, found.methods, found.tasks(), found.kinds)
    else:
        yield f"![How far each method is below the best of each task](../figures/{name})"
    yield "## By question"
    yield "\n".join(f"- [{question}]({name}.md)" for name, question in QUESTIONS.items())
    yield "```{toctree}\n:hidden:\n:maxdepth: 1\n\n" + "\n".join(f"{name}.md" for name in QUESTIONS) + "\n```"
    yield "## Rules"
    yield RULES
    yield machine(found.scored)
    yield "## Tasks"
    yield TASKS
    yield "## Who is behind whom"
    yield "By the means. Small differences are what another donor or seed makes."
    yield "\n".join(comparisons(found.scored, found.tasks(), found.kinds))
    yield "\n".join(reasons(found.scored, found.tasks(), found.kinds))


def donors_page(found: Results) -> Iterator[str]:
    yield f"# {QUESTIONS['donors']}"
    yield LABELS
    yield found.figure("donors", found.tasks("real"), "macro_f1", "Macro-F1")
    yield label_table(found.scored, found.methods, found.tasks("real"))


def studies_page(found: Results) -> Iterator[str]:
    yield f"# {QUESTIONS['studies']}"
    yield LABELS
    yield found.figure("studies", found.tasks("studies"), "macro_f1", "Macro-F1")
    yield from found.labels("Two studies", "studies")
    yield from found.labels("Few peaks in common", "peaks")


def simulated_page(found: Results) -> Iterator[str]:
    yield f"# {QUESTIONS['simulated']}"
    yield LABELS
    yield found.figure("simulated", found.tasks("simulated"), "macro_f1", "Macro-F1")
    yield label_table(found.scored, found.methods, found.tasks("simulated"))


def few_or_wrong_page(found: Results) -> Iterator[str]:
    yield f"# {QUESTIONS['few_or_wrong']}"
    if "small_queries" in found.others:
        yield "## Queries of a few cells"
        yield (
            "Accuracy of the same cells when they are annotated alone / as part of the whole query, and the share "
            "rejected when alone; `benchmarks/small_queries.py`."
        )
        yield small_queries_table(found.others["small_queries"])
    if "shuffled_labels" in found.others:
        yield "## Wrong labels in the reference"
        yield (
            "Accuracy where a share of the reference's labels was replaced by others, and for methods that name "
            "reference cells in doubt: precision / recall of the names; `benchmarks/shuffled_labels.py`."
        )
        yield shuffled_labels_table(found.others["shuffled_labels"])
    if "check_reference" in found.others:
        yield "## Finding them before"
        yield (
            "Precision / recall of the labels that `tl.check_reference` names (its rule is the mixture) where a tenth "
            "was replaced, by the types' shares or by any other type alike, and the share of all labels that is named "
            "where none was; beside it, other rules on the same predictions, and pairs of types that it calls hard to "
            "tell apart. Where types cannot be told apart, as in cortex, wrong labels cannot be found; "
            "`benchmarks/check_reference.py`."
        )
        yield check_reference_table(found.others["check_reference"])


def calibration_page(found: Results) -> Iterator[str]:
    yield f"# {QUESTIONS['calibration']}"
    yield "Expected calibration error, 15 bins, the smallest in bold. Methods without probabilities have none."
    yield calibration_table(found.scored, found.methods, found.tasks("real", "studies", "simulated"))


def sets_page(found: Results) -> Iterator[str]:
    yield f"# {QUESTIONS['sets']}"
    if (results := found.others.get("prediction_sets")) is None:
        return
    yield (
        "Sets of the types that cannot be excluded (`set_coverage=`); `benchmarks/prediction_sets.py`. Share of the "
        "cells whose set has their type / the same of the type of 20 cells or more that has it least / mean number of "
        "types in a set, by nominal coverage; and the area under the risk-coverage curve of the scores."
    )
    yield sets_table(results[results["way"] == "the package's"])
    at = results[results["nominal"] == 0.9]
    donors = at[(at["way"] == "the package's") & at["task"].str.startswith(("granja-fine", "granja-coarse"))]
    yield (
        f"Between donors of bone marrow {int(donors['below'].sum())} of {int(donors['n_types'].sum())} types have less "
        "than .85 at .9, where these ways were compared and the package's was chosen. On the other pairs nothing was "
        "chosen: between studies types are missed that look like another one to the reference, and no set tells of it."
    )
    yield "## Other ways to make them"
    yield (
        "Coverage of the type that has it least / mean size, at .9. The package's way has the likeliest type in every "
        "set, asks of each type for the coverage with a confidence of .9 over the draw of its held-out cells, and for "
        "that also with these cells weighted by how frequent their two likeliest types are in the query; the ways "
        "below leave out one of the three, or are others: by the score 1 - p (Sadinle et al. 2019), by the sum of all "
        "probabilities at least as large (APS, Romano et al. 2020), with .01 more for each type before (RAPS, "
        "Angelopoulos et al. 2021), or by how much likelier the likeliest other type is."
    )
    yield ways_table(at[at["least"].notna()])
    yield "## Empty sets"
    yield (
        "Sets without the likeliest type in each are empty where no type is probable enough. That is no reliable sign "
        "of a type that the reference lacks, which is for [novelty](novelty.md) to tell. Share of empty sets among "
        "cells of known types / of types that the reference lacks, at .9:"
    )
    yield ways_table(at[at["novel_empty"].notna()], ("empty", "novel_empty"))
    yield "## From coarse to fine"
    yield (
        "With `labels_key` from coarse to fine: share of cells whose label holds their type / mean information of the "
        "label, 1 - log2(its types) / log2(all types), 1 being a single type and 0 none. `set_label` is the finest "
        "label that holds the whole set, by `set_coverage`."
    )
    yield levels_table(results[results["information"].notna()])


def novelty_page(found: Results) -> Iterator[str]:
    yield f"# {QUESTIONS['novelty']}"
    tasks = [task for task in found.tasks() if found.scored.loc[found.scored["task"] == task, "auroc"].notna().any()]
    yield "## Are cells of such types found?"
    yield (
        "AUROC of novelty, of cells whose type the reference lacks against all others / share of the others above the "
        "threshold that finds 95 % of them. Methods without a score of novelty are scored by 1 − their greatest "
        "probability."
    )
    if tasks:
        yield found.figure("novelty", tasks, "auroc", "AUROC of novelty")
        yield novelty_table(found.scored, found.methods, tasks)
    yield "## What is rejected?"
    yield "Share of cells rejected at the default threshold: of types that the reference has / of those it lacks."
    yield rejection_table(found.scored, found.methods, found.tasks())
    yield from found.labels("Labels of the other cells", "novelty")


def cost_page(found: Results) -> Iterator[str]:
    yield f"# {QUESTIONS['cost']}"
    yield (
        "Seconds to label the query from counts in memory / MB that this added to the memory at its peak. Rows were "
        "added over time: figures are comparable as far as the machine did nothing else."
    )
    yield cost_table(found.scored, found.methods, found.tasks("real"))


def many_cells_page(found: Results) -> Iterator[str]:
    yield f"# {QUESTIONS['many_cells']}"
    if "scale" in found.others:
        yield from scale_page(found.others["scale"], found.others.get("gpu"), found.docs, draw=found.draw)


def parts_page(found: Results) -> Iterator[str]:
    yield f"# {QUESTIONS['parts']}"
    if "ablation" in found.others:
        yield "Accuracy / macro-F1 / expected calibration error; rows differ from the first in what they say."
        yield ablation_table(found.others["ablation"])


def language_models_page(found: Results) -> Iterator[str]:
    yield f"# {QUESTIONS['language_models']}"
    if "annatac" in found.others:
        yield from annatac_parts(found.others["annatac"])
    if "epifoundation" in found.others:
        yield from epifoundation_parts(found.others["epifoundation"])


def methods_page(found: Results) -> Iterator[str]:
    yield f"# {QUESTIONS['methods']}"
    yield "\n".join(method_table(found.scored, found.methods, found.kinds, found.about))
    if missing := sorted(missing_rows(found.missing)):
        yield "Without result:"
        yield "\n".join(missing)


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
        yield settings_table(rows, ("accuracy", "macro_f1"))
    if (rows := of.get("simulated islands")) is not None:
        mean = rows.groupby("setting", sort=False)[["accuracy", "macro_f1", "loss", "entropy"]].mean()
        told = [f"{name} {fixed(row['accuracy'])} / {fixed(row['macro_f1'])}" for name, row in mean.iterrows()]
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
        yield settings_table(ways, ("auroc", "known_rejected", "novel_rejected"))
    if (rows := of.get("published size")) is not None:
        told = [f"{row['mb'] / 1024:.1f} GB with {row['setting']}" for _, row in rows.iterrows()]
        yield f"A training step of 8 cells on 16,657 islands at the published size takes {', '.join(told)}."


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
        yield settings_table(mean.assign(setting=mean["task"]), ("spearman", "pearson", "mse"))
    if (rows := of.get("share of labels")) is not None:
        mean = rows.groupby("setting", sort=False)[["accuracy", "macro_f1"]].mean()
        told = [f"{name} {fixed(row['accuracy'])} / {fixed(row['macro_f1'])}" for name, row in mean.iterrows()]
        yield (
            f"On simulated cells with 5 % of the labels, accuracy / macro-F1 in the mean of {rows['seed'].nunique()} "
            f"draws: {', '.join(told)}."
        )
    if (rows := of.get("batch correction")) is not None:
        yield (
            "Batches mixed and types kept apart, of 1 each: NMI / ASW of types / ASW of isolated types / cLISI / ASW "
            "of batches / graph connectivity. Of bone marrow EpiFoundation learned the labels of "
            "one donor, and SCANVI of both data sets the labels of one side."
        )
        scores = ("nmi", "label_asw", "isolated_label_asw", "clisi", "batch_asw", "graph_connectivity")
        yield settings_table(rows.assign(setting=rows["task"]), scores)
    if (rows := of.get("published size")) is not None:
        told = [f"{row['mb'] / 1024:.1f} GB with {row['setting']}" for _, row in rows.iterrows()]
        yield f"A training step of two cells with 12,000 open peaks at the published size takes {', '.join(told)}."


QUESTIONS = {
    "donors": "From donor to donor: are labels carried over?",
    "studies": "From study to study: what if peaks differ?",
    "novelty": "A type that the reference lacks: is it noticed?",
    "calibration": "Can the scores be believed?",
    "sets": "Which types cannot be excluded? Prediction sets",
    "few_or_wrong": "A few cells, or wrong labels in the reference?",
    "simulated": "Where does it break? Simulated shifts",
    "cost": "How long does it take, and how much memory?",
    "many_cells": "Many cells: what do they cost?",
    "parts": "What are the parts of the default worth?",
    "language_models": "What does pre-training add? annATAC and EpiFoundation",
    "methods": "What was compared?",
}
PAGE_OF: Mapping[str, Callable[[Results], Iterator[str]]] = {
    "index": index_page,
    "donors": donors_page,
    "studies": studies_page,
    "novelty": novelty_page,
    "calibration": calibration_page,
    "sets": sets_page,
    "few_or_wrong": few_or_wrong_page,
    "simulated": simulated_page,
    "cost": cost_page,
    "many_cells": many_cells_page,
    "parts": parts_page,
    "language_models": language_models_page,
    "methods": methods_page,
}
