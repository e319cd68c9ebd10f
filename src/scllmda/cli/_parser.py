"""The parser of all commands."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import TYPE_CHECKING

from .. import __version__
from . import _annotate, _completion, _count, _demo, _embed, _evaluate, _fit, _map, _registries, _report

if TYPE_CHECKING:
    from collections.abc import Collection

    from ._command import Command

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        _annotate.COMMAND,
        _fit.COMMAND,
        _map.COMMAND,
        _embed.COMMAND,
        _count.COMMAND,
        _evaluate.COMMAND,
        _report.COMMAND,
        _registries.METHODS,
        _registries.ENCODERS,
        _demo.COMMAND,
        _completion.COMMAND,
    )
}

EPILOG = """\
exit status:
  0  all was done
  1  an error, told in one line on stderr; nothing is half written
  2  the call is wrong: no such option, or one is missing
  128 + n  ended by signal n: 130 after Ctrl-C, 143 after kill

`scllmda COMMAND --help` has the options of a command."""


def make_parser(chosen: Collection[str]) -> ArgumentParser:
    """Return the parser; only commands that are chosen have their options, which are made from what they call."""
    parser = ArgumentParser(
        prog="scllmda",
        description="Label scATAC-seq cells from a labeled reference.",
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for name, command in COMMANDS.items():
        of_command = commands.add_parser(
            name,
            help=command.help,
            description=command.description,
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        of_command.set_defaults(run=command.run, usage_error=of_command.error, verbosity=None)
        if name in chosen:
            command.add_options(of_command)
    return parser
