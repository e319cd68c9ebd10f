"""``scllmda count``: fragments as counts in given peaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._command import DATA, Command, add_talk, path
from ._data import FORMATS
from ._options import OneOrSeveral, add_parameters, values
from ._paths import require_read, require_written
from ._results import print_json, say, write_data

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

OBJECTS = {"fragments", "peaks"}
"""Parameters of :func:`scllmda.pp.count_fragments` that are files here."""


def add_options(parser: ArgumentParser) -> None:
    """Add the options."""
    from .. import pp

    files = parser.add_argument_group("files")
    files.add_argument(
        "--fragments",
        type=path,
        required=True,
        nargs="+",
        action=OneOrSeveral,
        metavar="PATH",
        help="fragments: .tsv.gz, .bed.gz; of several files, cells are named barcode-sample",
    )
    files.add_argument(
        "--peaks", type=path, required=True, metavar="PATH", help=f"peaks: a BED file, or those of a reference: {DATA}"
    )
    files.add_argument("--output", type=path, required=True, metavar="PATH", help="cells × peaks: .h5ad or .zarr")
    add_parameters(parser.add_argument_group("counting"), pp.count_fragments, but=OBJECTS)
    add_talk(parser)


def run(options: Namespace) -> None:
    """Count the fragments."""
    from .. import pp
    from .._files import naming

    with naming("--fragments"):
        pp.require_fragments(options.fragments)
    require_written(options, "output", suffixes=FORMATS["AnnData"], apart={options.peaks: "the peaks"})
    require_read(options)
    given = values(options, pp.count_fragments, but=OBJECTS)
    counts = pp.count_fragments(options.fragments, options.peaks, **given)
    write_data(options, counts, options.output)
    found = {"n_cells": counts.n_obs, "n_peaks": counts.n_vars, **counts.uns["count_fragments"]}
    say(
        options,
        f"{counts.n_obs:,} cells × {counts.n_vars:,} peaks, {found['fraction_in_peaks']:.1%} of fragments in peaks",
    )
    print_json(options, "count", {**found, "files": {"output": str(options.output)}})


COMMAND = Command(
    "count",
    "count fragments in the peaks of a reference or a BED file",
    "Count the fragments of each cell in given peaks (scllmda.pp.count_fragments). `annotate` does it by itself\n"
    "where its query is a file of fragments.",
    add_options,
    run,
)
