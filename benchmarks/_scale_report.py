"""The page of scale.csv: what many cells cost, and a formula for what one's own will."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from _report_figures import COLORS, WIDTH, save
from _report_tables import NONE, fixed, markdown
from scipy.optimize import nnls

OURS, PEER = "scllmda", "SnapATAC2"
FIGURE = "benchmarks_scale.png"
FIGURE_TEXT = "Seconds to embed so many open peaks, of scllmda and of SnapATAC2"


def millions(size: str) -> tuple[float, float]:
    """Return non-zero counts and peaks, in millions, of a size in words: cells, peaks and open peaks a cell."""
    n_cells, n_peaks, per_cell = (int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", size))
    return n_cells * per_cell / 1e6, n_peaks / 1e6


def scale_page(results: pd.DataFrame, on_gpu: pd.DataFrame | None, docs: Path, *, draw: bool) -> Iterator[str]:
    """Yield the parts of the page after its title."""
    of = dict(list(results.groupby("experiment", sort=False)))
    yield (
        "Simulated cells of two mixed programs each (two cores; a GPU in the last table alone), each run in a process "
        "of its own; ours and SnapATAC2 took turns in one run. MB is what the call added to the process at its peak. "
        "`benchmarks/scale.py`, whose head says how to run it again."
    )
    if (rows := of.get("embedding")) is not None:
        yield "## Embedding, counts in memory"
        yield (
            "Ours at its defaults (128 dimensions; there is no DNA), SnapATAC2's spectral embedding with 30. The "
            "probe is the accuracy of a logistic regression on every other cell."
        )
        yield side_by_side(rows)
        if draw:
            draw_seconds(rows, docs)
        yield f"![{FIGURE_TEXT}](../figures/{FIGURE})"
        yield "\n".join(formula(rows[rows["method"] == OURS]))
    if (rows := of.get("annotate")) is not None:
        yield "## Labels of bone marrow, in a process that has labeled before"
        yield (
            "Donor D6T1 to D5T1, 10 types: ours with calibration and novelty, beside SnapATAC2's embedding of both "
            "and a logistic regression."
        )
        yield side_by_side(rows.assign(size="14,125 cells × 10,000 peaks"))
    for experiment, title, text in SECTIONS:
        if (rows := of.get(experiment)) is not None:
            yield f"## {title}"
            yield text
            yield alone(rows)
    if (rows := of.get("doubling")) is not None:
        yield "## Twice as many"
        yield (
            "Medians of three runs, each beside the ratio to the first. Fits of different data take different numbers "
            "of passes."
        )
        yield doubled(rows)
    if on_gpu is not None:
        yield "## With a GPU"
        devices, n_processors = on_gpu["device"].unique(), on_gpu["n_processors"].unique()
        yield (
            f"{' and '.join(devices)} beside {' and '.join(map(str, n_processors))} processors of the same machine. "
            "Same: share of cells with the same vectors, or the same raw labels: networks are trained in other order "
            "of sums. TFLOP/s is the bf16 rate of the network alone, without the tokenizer. `benchmarks/gpu.py`."
        )
        yield gpu_table(on_gpu)


WITH_GPU = {
    "encode": "`tl.embed_peaks`: {size}, a network of DNABERT-2's size",
    "embed": "`tl.cell_embeddings`: {size}",
    "seqalignatac": "`tl.annotate`, `seqalignatac`: bone marrow",
    "annatac": "`tl.annotate`, `annatac`, preset `small`: bone marrow",
}

SECTIONS = (
    (
        "disk",
        "Embedding, counts on disk",
        "`tl.cell_embeddings` of an object opened with `backed='r'`, which is read block by block on every pass.",
    ),
    (
        "million",
        "Labels, counts on disk",
        "`tl.annotate` of half of the cells by the other half, both opened with `backed='r'` and nothing of them kept "
        "in memory. Same labels: share of cells whose label is that of the same call with counts in memory.",
    ),
    (
        "portable",
        "Labels by a portable reference",
        "`tl.annotate` of 10,000 cells by `get.portable_reference` of the others, which was fitted before.",
    ),
    (
        "given",
        "Graphs and labels of cells that were embedded before",
        "`tl.graph_da_annotate` of half of the cells by the other half, by 64 given dimensions.",
    ),
)


def gpu_table(rows: pd.DataFrame) -> str:
    """Return what a GPU and the processors beside it take."""
    text = {
        WITH_GPU[row["what"]].format(size=row["size"]): {
            "GPU, s": f"{row['gpu']:.1f}",
            "processors, s": NONE if np.isnan(row["processors"]) else f"{row['processors']:.1f}",
            "ratio": NONE if np.isnan(row["processors"]) else f"{row['gpu'] / row['processors']:.2f}",
            "same": NONE if np.isnan(row["same"]) else f"{row['same']:.2%}",
            "TFLOP/s": NONE if np.isnan(row["tflops"]) else f"{row['tflops']:.0f}",
        }
        for _, row in rows.iterrows()
    }
    return markdown(pd.DataFrame.from_dict(text, orient="index"), "what")


def side_by_side(rows: pd.DataFrame) -> str:
    """Return seconds, memory and accuracy of both methods, and how many times as quick ours is."""
    text = {}
    for size, of in rows.groupby("size", sort=False):
        one, other = (of[of["method"] == method].iloc[0] for method in (OURS, PEER))
        text[size] = {
            "ours, s": f"{one['seconds']:.1f}",
            "SnapATAC2, s": f"{other['seconds']:.1f}",
            "ratio": f"{one['seconds'] / other['seconds']:.2f}",
            "ours, MB": f"{one['added']:,.0f}",
            "SnapATAC2, MB": f"{other['added']:,.0f}",
            "accuracy of both": f"{fixed(one['accuracy'], 4)} / {fixed(other['accuracy'], 4)}",
        }
    return by_size(text)


def by_size(text: Mapping[str, Mapping[str, str]]) -> str:
    return markdown(pd.DataFrame.from_dict(text, orient="index"), "cells × peaks")


def alone(rows: pd.DataFrame) -> str:
    text = {
        row["size"]: {
            "seconds": f"{row['seconds']:,.0f}",
            "MB added": f"{row['added']:,.0f}",
            "MB, the process": f"{row['peak']:,.0f}",
            "accuracy": fixed(row["accuracy"]),
            "same labels": NONE if np.isnan(row["agreement"]) else f"{row['agreement']:.2%}",
        }
        for _, row in rows.iterrows()
    }
    return by_size(text)


def doubled(rows: pd.DataFrame) -> str:
    base = rows.iloc[0]
    text = {
        row["size"]: {
            "seconds": f"{row['seconds']:.1f}",
            "ratio": f"{row['seconds'] / base['seconds']:.2f}",
            "MB added": f"{row['added']:,.0f}",
        }
        for _, row in rows.iterrows()
    }
    return by_size(text)


def formula(rows: pd.DataFrame) -> Iterator[str]:
    """Yield how seconds and memory follow from non-zero counts N and peaks P, by least squares on relative errors."""
    sizes = np.array([millions(size) for size in rows["size"]])
    for what, unit in (("seconds", "s"), ("added", "MB")):
        values = rows[what].to_numpy(float)
        slopes, _ = nnls(sizes / values[:, None], np.ones(len(values)))
        told = sizes @ slopes
        worst = np.abs(told / values - 1).max()
        head = "Seconds" if what == "seconds" else "Memory that is added"
        yield (
            f"- {head}: **{rounded(slopes[0])} {unit} × N + {rounded(slopes[1])} {unit} × P**, with N non-zero counts "
            f"and P peaks in millions; at most {worst:.0%} off in the table above."
        )


def rounded(value: float) -> str:
    """Return two digits that count, without an exponent."""
    return f"{float(f'{value:.2g}'):,g}"


def draw_seconds(rows: pd.DataFrame, docs: Path) -> None:
    from matplotlib import pyplot as plt

    drawn, ax = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")
    for method, kind in ((OURS, "ours"), (PEER, "published")):
        of = rows[rows["method"] == method]
        ax.plot([millions(s)[0] for s in of["size"]], of["seconds"], marker="o", color=COLORS[kind], label=method)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("million open peaks in all cells, of 100,000 peaks", fontsize=9)
    ax.set_ylabel("seconds", fontsize=9)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
    ax.tick_params(labelsize=8)
    ax.grid(lw=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=9, frameon=False)
    save(docs, FIGURE, drawn)
