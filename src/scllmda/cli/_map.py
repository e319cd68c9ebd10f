"""``scllmda map``: new cells in the space of a fitted reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._command import Command, add_talk, path
from ._data import OF_FRAGMENTS, add_query, connected, read_data, read_query, require_data, require_query
from ._options import add_parameters, values
from ._paths import require_read, require_written
from ._results import print_json, say, write_data

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

OBJECTS = {"query", "reference"}
"""Parameters of :func:`scllmda.tl.map_cells` that are files here."""
USE_VARM = "key of the query's .varm with peak embeddings; by default that of the reference, if the query has it"


def add_options(parser: ArgumentParser) -> None:
    """Add the options."""
    from .. import pp, tl

    files = parser.add_argument_group("files")
    add_query(files, "cells to map")
    files.add_argument(
        "--reference", type=path, required=True, metavar="PATH", help="fitted reference, such as `fit` writes"
    )
    files.add_argument(
        "--output", type=path, required=True, metavar="PATH", help="the query with its vectors; may be the query's path"
    )
    add_parameters(parser.add_argument_group("mapping"), tl.map_cells, but=OBJECTS, texts={"use_varm": USE_VARM})
    of_fragments = parser.add_argument_group("if the query is fragments")
    add_parameters(of_fragments, pp.count_fragments, but=OF_FRAGMENTS)
    add_talk(parser)


def run(options: Namespace) -> None:
    """Map the cells."""
    from .. import tl
    from .._anndata import read

    formats = require_query(options, has_reference=True)
    require_data(options.reference, "--reference")
    require_written(options, "output", suffixes=formats, apart={options.reference: "the reference"})
    require_read(options)
    given = values(options, tl.map_cells, but=OBJECTS)
    reference = read_data(options.reference, "--reference", options.mod)
    query = read_query(options, reference)
    with connected(options.client) as client:
        tl.map_cells(query, reference, **{**given, "client": client})
    adata = read(query, mod=options.mod)
    n_dims, coverage = adata.obsm[options.key_added].shape[1], dict(adata.uns[options.key_added]["coverage"])
    write_data(options, query, options.output)
    say(options, f"{adata.n_obs:,} cells in {n_dims} dimensions: .obsm[{options.key_added!r}]")
    found = {"n_cells": adata.n_obs, "n_dims": n_dims, "coverage": coverage}
    print_json(options, "map", {**found, "files": {"output": str(options.output)}})


COMMAND = Command(
    "map",
    "embed the cells of a query in the space of a fitted reference",
    "Give each cell of a query a vector in the space of a reference that `fit` wrote (scllmda.tl.map_cells). Nothing\n"
    "is trained, and a cell's vector does not depend on the other cells.",
    add_options,
    run,
)
