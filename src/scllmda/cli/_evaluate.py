"""``scllmda evaluate``: labels against known ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._command import DATA, Command, add_talk, path
from ._data import read_data, require_data
from ._options import add_parameters, values
from ._results import as_table, print_json, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

OBJECTS = {"truth", "predicted", "proba", "sets"}
"""Parameters of :func:`scllmda.metrics.annotation_report` that are columns here."""


def add_options(parser: ArgumentParser) -> None:
    """Add the options."""
    from .. import metrics

    parser.add_argument("--input", type=path, required=True, metavar="PATH", help=f"annotated cells: {DATA}")
    parser.add_argument("--truth", required=True, metavar="NAME", help="column of .obs with known labels")
    parser.add_argument("--key", default="scllmda", metavar="NAME", help="prefix of its slots (default: scllmda)")
    parser.add_argument("--raw", action="store_true", help="compare labels before rejection")
    parser.add_argument("--mod", default="atac", metavar="NAME", help="modality with the peaks (default: atac)")
    add_parameters(parser, metrics.annotation_report, but=OBJECTS)
    add_talk(parser)


def run(options: Namespace) -> None:
    """Compare the labels."""
    from .. import get, metrics
    from .._anndata import obs_column, read
    from .._keys import AnnotationKeys
    from ..get import query_cells

    require_data(options.input, "--input")
    data = read_data(options.input, "--input", options.mod)
    adata = read(data, mod=options.mod)
    truth = obs_column(data, adata, options.truth, parameter="truth", what="input")
    table = get.annotation(adata, options.key)
    query = query_cells(data, adata, options.key)
    predicted, keys = table["raw" if options.raw else "label"], AnnotationKeys(options.key)
    proba, sets = adata.obsm[keys.proba][query], adata.obsm[keys.members][query] if "set" in table else None
    given = values(options, metrics.annotation_report, but=OBJECTS)
    found = metrics.annotation_report(truth[query], predicted[query], proba, sets=sets, **given)
    rows = [[name, f"{value:,.0f}" if name == "n_cells" else f"{value:.3f}"] for name, value in found.items()]
    say(options, as_table(rows))
    print_json(options, "evaluate", found)


COMMAND = Command(
    "evaluate",
    "score the labels of a file against known ones",
    "Score an annotation against a column of known labels (scllmda.metrics.annotation_report).",
    add_options,
    run,
)
