"""``scllmda report``: what an annotation says, in one HTML file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._command import DATA, Command, add_talk, path
from ._data import read_data, require_data
from ._options import add_parameters, values
from ._paths import require_written
from ._results import print_json, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

OBJECTS = {"adata", "path", "reference"}
"""Parameters of :func:`scllmda.pl.report` that are files here."""


def add_options(parser: ArgumentParser) -> None:
    """Add the options."""
    from .. import pl

    parser.add_argument("--input", type=path, required=True, metavar="PATH", help=f"annotated cells: {DATA}")
    parser.add_argument("--output", type=path, required=True, metavar="PATH", help="report: .html")
    parser.add_argument("--reference", type=path, metavar="PATH", help=f"reference that was used: {DATA}")
    add_parameters(parser, pl.report, but=OBJECTS)
    add_talk(parser)


def run(options: Namespace) -> None:
    """Write the report."""
    from .. import pl

    require_data(options.input, "--input")
    if options.reference is not None:
        require_data(options.reference, "--reference")
    require_written(options, "output", suffixes=(".html",), apart={})
    data = read_data(options.input, "--input", options.mod)
    reference = None if options.reference is None else read_data(options.reference, "--reference", options.mod)
    pl.report(data, options.output, reference=reference, **values(options, pl.report, but=OBJECTS))
    say(options, f"wrote {options.output}")
    print_json(options, "report", {"files": {"output": str(options.output)}})


COMMAND = Command(
    "report",
    "write a report on the labels of a file, one HTML file",
    "Write all that is to be known of an annotation into one HTML file (scllmda.pl.report).",
    add_options,
    run,
)
