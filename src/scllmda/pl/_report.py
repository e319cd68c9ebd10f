"""One page on an annotation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from numbers import Real
from os import PathLike
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import _logging as logg
from .._anndata import read
from .._checks import checked
from .._files import require_output, written_aside
from .._keys import UNASSIGNED
from ..metrics import annotation_report
from . import _html
from ._joint_map import basis_of
from ._report_figures import ReportFigures, page_style
from ._report_numbers import ReportNumbers
from ._training_history import has_epochs

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

_VERSIONS = ["scllmda", "anndata", "mudata", "scanpy", "numpy", "pandas", "scipy", "scikit-learn", "torch"]
_COVERAGE = {
    "n_peaks": "peaks of the reference, or of the one object",
    "n_reference": "peaks of the reference",
    "n_matched_reference": "peaks of the reference that the query has too",
    "n_query": "peaks of the query",
    "n_matched_query": "peaks of the query that the reference has too",
    "n_used": "peaks that cells were compared by",
    "n_used_query": "peaks of the query that were read",
    "n_own": "peaks of the query alone that were read",
    "n_cells_without_peaks": "cells without a place, such as those without an open peak",
    "expected_by_chance": "share of peaks that would overlap by chance",
    "min_overlap": "least overlap of peaks that are the same",
    "mode": "how peaks that overlap the same one are counted",
    "sequence": "where sequence came from",
    "sequence_side": "whose sequence was read",
    "sequence_unused": "whose sequence was not used, and why",
    "sequence_r2": "share of the loadings that sequence predicts on held-out peaks",
}
"""In words."""


@checked
def report(
    adata: AnnData | MuData,
    path: str | PathLike[str],
    *,
    key: str = "scllmda",
    reference: AnnData | MuData | None = None,
    truth: str | None = None,
    basis: str | None = None,
    mod: str = "atac",
) -> Path:
    """Write one page on an annotation, to look at and to hand on: an HTML file that needs nothing beside it.

    It says what was labeled and how, types and numbers, confidence, novelty and depth of each, how many peaks were
    shared, what was rejected and why, and what to be cautious of; with the map of reference and query, all parameters
    and versions. It can be read on a phone. The same annotation gives the same bytes but for the line with the date.

    Parameters
    ----------
    adata
        Object that :func:`scllmda.tl.annotate` or :func:`scllmda.tl.graph_da_annotate` wrote to.
    path
        File to write, ending in ``.html``, in a folder that is there. What is there is replaced when the page is whole.
    key
        ``key_added`` of the annotation.
    reference
        The reference that was given to ``annotate``, for its colors (``.uns[f"{labels_key}_colors"]``). Its cells are
        shown either way, from ``.uns[key]["reference"]``.
    truth
        Column of ``.obs`` with known labels of query cells: adds how well they were predicted.
    basis
        Map to show instead of a UMAP, a key of ``.obsm``, as in :func:`scllmda.pl.transfer_umap`.
    mod
        Modality of a MuData that holds the peaks.

    Returns
    -------
    The path. Writes to the object what :func:`scllmda.pl.transfer_umap` does, whose map is shown, and nothing else.

    Raises
    ------
    KeyError
        There is no such annotation, no column ``truth``, or no such ``basis``.
    ValueError
        No query cell has a label in ``truth``, or the name does not end in ``.html``.
    OSError
        The file's folder is not there, or cannot be written to.

    See Also
    --------
    scllmda.pl.transfer_umap : The map alone.
    scllmda.get.annotation : Labels, scores and novelties as a table.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate(n_reference=60, n_query=40, n_peaks=300, n_types=3)
    >>> sl.tl.annotate(query, reference)
    >>> sl.pl.report(query, getfixture("tmp_path") / "report.html", reference=reference, truth="cell_type").name
    'report.html'
    """
    file = Path(path).expanduser()
    require_output(file, ".html")
    atac = read(adata, mod=mod)
    if basis is not None:
        basis_of(atac, basis)
    of_reference = None if reference is None else read(reference, mod=mod, what="reference")
    numbers = ReportNumbers.of(adata, atac, key, truth)
    start = logg.info("writing a report")
    with page_style():
        figures = ReportFigures(adata, atac, key, reference, of_reference, truth, basis, mod)
        text = _page(numbers, figures, truth)
    with written_aside(file) as aside:
        aside.write_text(text, encoding="utf-8")
    logg.info("    finished", time=start, deep=f"wrote {str(file)!r}")
    return file


def _page(numbers: ReportNumbers, figures: ReportFigures, truth: str | None) -> str:
    title = f"Annotation of {_cells(len(numbers.cells))}"
    parts = {
        "types": ("Types", _types(numbers, figures)),
        "map": ("Map", _map(figures)),
        "confidence": ("Confidence and novelty", _confidence(numbers, figures)),
        "depth": ("Depth", _depth(numbers, figures)),
        "peaks": ("Peaks shared", _peaks(numbers)),
        "rejected": ("What was rejected, and why", _rejected(numbers)),
        "truth": ("Against known labels", [] if truth is None else _truth(numbers, figures, truth)),
        "training": ("Training", _training(numbers, figures)),
        "parameters": ("Parameters and versions", _parameters(numbers)),
    }
    sections = {name: _html.section(name, text, found) for name, (text, found) in parts.items()}
    head = [f"<h1>{title}</h1>", _html.paragraph(_how(numbers), "mild"), _html.cards(_summary(numbers))]
    cautions = [_html.paragraph(text, "caution") for text in numbers.cautions]
    links = _html.contents({name: parts[name][0] for name, found in sections.items() if found})
    date = _html.paragraph(f"Written on {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}", "date")
    foot = f"<footer>\n{date}\n</footer>"
    return _html.page(title, [*head, *cautions, links, *sections.values(), foot])


def _how(numbers: ReportNumbers) -> str:
    """Return what was labeled from what, in a sentence."""
    params, reference = numbers.uns["params"], numbers.uns["reference"]
    known = _cells(int(reference["n_cells"]))
    return (
        f"Labeled by method {params['method']!r} from {known} of the reference with a label in "
        f".obs[{str(reference['labels_key'])!r}]. The labels are in .obs[{numbers.key!r}]."
    )


def _summary(numbers: ReportNumbers) -> dict[str, str]:
    cells = numbers.cells
    found = {
        "cells labeled": f"{(cells['label'] != UNASSIGNED).sum():,}",
        "types": f"{len(set(cells['label']) - {UNASSIGNED}):,}",
        "unassigned": f"{(cells['label'] == UNASSIGNED).mean():.1%}",
        "median score": f"{cells['score'].median():.2f}",
        "median novelty": f"{cells['novelty'].median():.2f}",
    }
    return found if numbers.shared is None else {**found, "query's peaks shared": numbers.shared}


def _types(numbers: ReportNumbers, figures: ReportFigures) -> Iterator[str]:
    types = numbers.types
    head = ["label", "cells", "share", "in the reference", "median open peaks"]
    head += ["likeliest for", "rejected of these", "median score", "median novelty"]
    rows = [
        [
            str(label),
            *(f"{row.cells:,}", f"{row.share:.1%}", f"{row.reference:,}", _or_dash(row.depth, ",.0f")),
            *(f"{row.raw:,}", _or_dash(row.rejected, ".1%")),
            *(_or_dash(row.score, ".2f"), _or_dash(row.novelty, ".2f")),
        ]
        for label, row in zip(types.index, types.itertuples(), strict=True)
    ]
    caption = (
        "Cells with each label, and their median number of open peaks; then cells whose likeliest label it was, how "
        "many of these were rejected, and their medians."
    )
    yield _html.table("types-table", caption, head, rows)
    if numbers.n_changed:
        yield _html.paragraph(
            f"{_cells(numbers.n_changed)} got another label than their likeliest one: a coarser one, of which they are "
            "certain enough, or that of their cluster."
        )
    yield _html.pictures(figures.proportions())


def _map(figures: ReportFigures) -> list[str]:
    shown, colors = figures.maps()
    return [_html.color_key(colors), _html.pictures(shown)]


def _confidence(numbers: ReportNumbers, figures: ReportFigures) -> Iterator[str]:
    yield _html.paragraph(
        "The score is the calibrated probability of a cell's likeliest label. Novelty is the share of the reference's "
        "own cells that are less remote: cells of types that the reference has are spread from 0 to 1, others gather "
        "at 1."
    )
    shown = numbers.cells[numbers.cells["score"] > 0]
    caption = "Score by likeliest label: median, quartiles, and lines from the 5% to the 95% quantile."
    if len(shown):
        yield _html.pictures([*figures.boxes(shown["score"], shown["raw"], "score", caption), *figures.novelty()])


def _depth(numbers: ReportNumbers, figures: ReportFigures) -> Iterator[str]:
    if numbers.no_depth is not None:
        yield _html.paragraph(f"Numbers of open peaks are not known: {numbers.no_depth}")
        return
    yield _html.paragraph(
        "Cells with few open peaks say little of their type: a label whose cells are much shallower than others' may "
        "stand for their depth."
    )
    shown = numbers.cells[numbers.cells["depth"] > 0]
    caption = "Open peaks per cell by label: median, quartiles, and lines from the 5% to the 95% quantile."
    if len(shown):
        yield _html.pictures(figures.boxes(shown["depth"], shown["label"], "open peaks per cell", caption, log=True))


def _peaks(numbers: ReportNumbers) -> Iterator[str]:
    coverage = numbers.uns["coverage"]
    if "n_query" in coverage:
        n, m, n_all, m_all = (
            int(coverage[name]) for name in ("n_matched_query", "n_matched_reference", "n_query", "n_reference")
        )
        if n == n_all and m == m_all:
            yield _html.paragraph(f"Query and reference share all {n:,} peaks.")
        else:
            yield _html.paragraph(
                f"{n:,} of the query's {n_all:,} peaks are {m:,} of the reference's {m_all:,}. Labels rest on what "
                "both have. The more is shared, the better they are: where there are fragments of the query, counting "
                "them on the reference's peaks makes all of them shared."
            )
    elif "n_peaks" in coverage:
        yield _html.paragraph(f"Reference and query are one object with {int(coverage['n_peaks']):,} peaks.")
    else:
        yield _html.paragraph("Cells were embedded before they were labeled; which peaks they share is not noted here.")
    yield from map(_html.paragraph, _dna(coverage))
    order = [*(name for name in _COVERAGE if name in coverage), *sorted(set(coverage) - set(_COVERAGE))]
    rows = [[_COVERAGE.get(name, name), _text(value)] for name, value in _flat({n: coverage[n] for n in order})]
    if rows:
        yield _html.table(
            "peaks-table", "Peaks, as .uns[key]['coverage'] has them.", ["what", "value"], rows, kind="words"
        )


def _dna(coverage: Mapping[str, Any]) -> Iterator[str]:
    """Yield sentences on the DNA that was used, and on DNA that was not; none for cells that were embedded before."""
    unused = coverage.get("sequence_unused")
    if "sequence" not in coverage:
        return
    if coverage["sequence"] != "none":
        side = coverage.get("sequence_side", "both") if "n_query" in coverage else "object"
        whose = "the peaks of both" if side == "both" else f"the {side}'s peaks"
        yield f"The DNA under {whose} was used, from {coverage['sequence']}."
    elif unused is None:
        yield "No DNA was used: there were no sequences."
    if unused is not None:
        whose, _, why = str(unused).partition(": ")
        yield f"Sequences that were not used: those of the {whose}, because {why}."


def _rejected(numbers: ReportNumbers) -> Iterator[str]:
    params, threshold = numbers.uns["params"], numbers.threshold
    if "max_false_rejection" not in params:
        yield _html.paragraph("No cell was to be rejected as novel (max_false_rejection=None).")
    elif threshold is None:
        yield _html.paragraph(
            "No cell was rejected as novel: too few cells tell how far the query is from the reference."
        )
    else:
        yield _html.paragraph(
            f"A cell was rejected if its novelty was above {threshold:.3g}, as that of at most "
            f"{100 * params['max_false_rejection']:.3g}% of the reference's own cells is (max_false_rejection). The "
            "score does not decide: a cell of a new type may be scored high, as it has to be one of those there are."
        )
    if (shift := numbers.uns["history"].get("novelty_shift")) is not None:
        yield _html.paragraph(
            f"Most types of the query lie {shift:.2f} times as far from the reference's cells as those from one "
            "another; this was taken out before."
        )
    rows = [
        [
            name,
            f"{len(of):,}",
            f"{len(of) / len(numbers.cells):.1%}",
            *(f"{of[c].median():.2f}" for c in ("score", "novelty")),
        ]
        for name, of in numbers.decisions.items()
        if len(of)
    ]
    head = ["what became of them", "cells", "share", "median score", "median novelty"]
    yield _html.table("rejected-table", "Cells of the query, and why they were rejected.", head, rows)


def _truth(numbers: ReportNumbers, figures: ReportFigures, truth: str) -> Iterator[str]:
    known = numbers.cells["truth"].notna().to_numpy()
    cells = numbers.cells[known]
    scores = annotation_report(cells["truth"], cells["label"], numbers.proba[known])
    rows = [[name, f"{value:,.0f}" if name == "n_cells" else f"{value:.3f}"] for name, value in scores.items()]
    caption = f"Predicted labels against .obs[{truth!r}], by sl.metrics.annotation_report."
    yield _html.table("truth-table", caption, ["metric", "value"], rows)
    yield _html.pictures(figures.against_truth(has_scores=bool((cells["score"] > 0).any())))
    counts = pd.crosstab(cells["truth"].to_numpy(), cells["label"].to_numpy())
    rows = [[str(label), *(f"{n:,}" for n in row)] for label, row in zip(counts.index, counts.to_numpy(), strict=True)]
    head = ["known \\ predicted", *map(str, counts.columns)]
    yield _html.folded("Numbers of cells", _html.table("confusion-table", "Known labels by row.", head, rows))


def _training(numbers: ReportNumbers, figures: ReportFigures) -> Iterator[str]:
    if has_epochs(numbers.uns["history"]):
        yield _html.pictures(figures.training())


def _parameters(numbers: ReportNumbers) -> Iterator[str]:
    # Files keep no order.
    rows = sorted([name, _text(value)] for name, value in _flat(numbers.uns["params"]))
    yield _html.table("parameters-table", "Parameters of the call.", ["parameter", "value"], rows, kind="words")
    found = _flat(numbers.uns["history"])
    rows = sorted([name, _text(value)] for name, value in found if not _is_list(value))
    if rows:
        caption = "What the method found, as .uns[key]['history'] has it."
        yield _html.table("history-table", caption, ["what", "value"], rows, kind="words")
    versions = {"Python": python_version(), **{name: version(name) for name in _VERSIONS}}
    caption = "Versions that wrote this page."
    yield _html.table("versions-table", caption, ["package", "version"], map(list, versions.items()), kind="words")


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield names and values, those inside others by dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _text(value: Any) -> str:
    if _is_list(value):
        return ", ".join(map(_text, value))
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        return str(value)
    return f"{value:,}" if float(value).is_integer() else f"{value:.4g}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)


def _cells(n: int) -> str:
    return f"{n:,} {'cell' if n == 1 else 'cells'}"


def _or_dash(value: float, form: str) -> str:
    return "–" if pd.isna(value) else format(value, form)
