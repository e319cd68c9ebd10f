"""``scllmda annotate``: labels for a query file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._command import DATA, Command, add_talk, path
from ._data import OF_FRAGMENTS, add_query, connected, read_data, read_query, require_data, require_query
from ._options import add_parameters, several, values
from ._paths import require_read, require_written
from ._results import print_json, say, write_data, write_figure, write_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from anndata import AnnData
    from mudata import MuData

OBJECTS = {"adata", "reference"}
"""Parameters of :func:`scllmda.tl.annotate` that are files here."""
TEXTS = {
    "labels_key": "column of the reference's .obs with cell types; or several, from coarse to fine",
    "method": "annotator; `scllmda methods` lists them",
    "recipe": "constants of the method to replace, as C=0.5, or a JSON object; `scllmda methods` shows them",
    "encoder": "whose peak embeddings to use; `scllmda encoders` lists them",
    "max_false_rejection": "share (0-1) of the reference's own cells that count as novel, which sets how novel a query "
    "cell must be to become Unassigned; `none` rejects none",
    "novelty_recipe": "constants of novelty and rejection to replace, as n_dims=32, or a JSON object",
    "majority_voting": "give query cells the label that most of their cluster have: in a column of .obs, or, without a "
    "name, in small clusters on the query's own graph",
}
"""What to say of parameters whose docstrings speak of Python."""
FILES = ("output", "table", "report", "figures")
"""What may be written."""


def add_options(parser: ArgumentParser) -> None:
    """Add the options."""
    from .. import pp, tl

    files = parser.add_argument_group("files")
    add_query(files, "cells to label")
    files.add_argument(
        "--reference", type=path, metavar="PATH", help=f"labeled cells: {DATA}. Without: the query's labeled cells"
    )
    files.add_argument(
        "--output",
        type=path,
        metavar="PATH",
        help="the query with its labels, in the query's format, or .h5ad or .zarr; may be the query's own path, which "
        "is replaced once all is done, but not the reference's",
    )
    files.add_argument("--table", type=path, metavar="PATH", help="label, raw label, score and novelty by cell, as TSV")
    files.add_argument("--report", type=path, metavar="PATH", help="a report on the labels, one .html file")
    files.add_argument(
        "--figures", type=path, metavar="PATH", help="folder to draw figures to, made if it is not there"
    )
    add_parameters(parser.add_argument_group("annotation"), tl.annotate, but=OBJECTS, texts=TEXTS)
    of_fragments = parser.add_argument_group("if the query is fragments")
    add_parameters(of_fragments, pp.count_fragments, but=OF_FRAGMENTS)
    add_talk(parser)


def run(options: Namespace) -> None:
    """Label the cells."""
    from .. import pl, tl
    from . import _labels

    _require(options)
    given = values(options, tl.annotate, but=OBJECTS)
    reference = None if options.reference is None else read_data(options.reference, "--reference", options.mod)
    if reference is not None:
        _require_columns(options, reference)
    query = read_query(options, reference)
    key, mod = options.key_added, options.mod
    with connected(options.client) as client:
        tl.annotate(query, reference, **{**given, "client": client})
    if options.output is not None:
        write_data(options, query, options.output)
    if options.table is not None:
        from ..get import annotation

        write_table(options, annotation(query, key, mod=mod), options.table)
    if options.figures is not None:
        options.figures.mkdir(parents=True, exist_ok=True)
        figure = pl.transfer_umap(query, key=key, reference=reference, return_fig=True, mod=mod)
        write_figure(options, figure, options.figures / "transfer_umap.png")
    if options.report is not None:
        pl.report(query, options.report, key=key, reference=reference, mod=mod)
        say(options, f"wrote {options.report}")
    found = _labels.summary(query, key, mod)
    say(options, _labels.as_text(found))
    files = {name: str(getattr(options, name)) for name in FILES if getattr(options, name) is not None}
    print_json(options, "annotate", {**found, "files": files})


def _require(options: Namespace) -> None:
    """Raise, before any work, if a path cannot be what its option says."""
    from .._files import naming, require_apart, require_folder
    from ..methods import make_recipe

    if options.output is None and options.table is None:
        options.usage_error("--output or --table is required")
    formats = require_query(options, has_reference=options.reference is not None)
    if options.reference is not None:
        require_data(options.reference, "--reference")
    apart = {options.reference: "the reference"}
    require_written(options, "output", suffixes=formats, apart=apart)
    apart |= {**dict.fromkeys(several(options.query), "the query"), options.output: "the output"}
    require_written(options, "table", "report", apart=apart)
    require_read(options)
    if options.figures is not None:
        with naming("--figures"):
            require_folder(options.figures)
            for name, other in (("the output", options.output), ("the reference", options.reference)):
                if other is not None:
                    require_apart(options.figures, other, name)
    # The annotation finds a wrong method by itself, but after both files were read.
    make_recipe(options.method, options.recipe)


def _require_columns(options: Namespace, reference: AnnData | MuData) -> None:
    """Raise if the reference lacks a column, before the query is read, or its fragments are counted."""
    from .._anndata import obs_column, read

    adata = read(reference, mod=options.mod, what="reference")
    for name in ("labels_key", "batch_key", "ontology_key"):
        for key in several(getattr(options, name)):
            obs_column(reference, adata, key, parameter=name, what="reference")


COMMAND = Command(
    "annotate",
    "label the cells of a query file from a reference file",
    "Label the cells of a query file from the labeled cells of a reference file, as scllmda.tl.annotate does.\n"
    "Fragments of a query are counted in the reference's peaks first, which is the better way wherever there are any.",
    add_options,
    run,
)
