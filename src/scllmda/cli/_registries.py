"""``scllmda methods`` and ``scllmda encoders``: what there is to choose from."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING

from ._command import Command, add_json
from ._results import print_json

if TYPE_CHECKING:
    from argparse import Namespace

    import pandas as pd


def _methods(options: Namespace) -> None:
    from .. import get

    _print(options, "methods", get.methods())


def _encoders(options: Namespace) -> None:
    from .. import get

    _print(options, "encoders", get.encoders())


def _print(options: Namespace, command: str, table: pd.DataFrame) -> None:
    """Print an entry per row, each column on lines of its own."""
    if options.json:
        print_json(options, command, {command: [{"name": name, **row} for name, row in table.to_dict("index").items()]})
        return
    width = min(100, shutil.get_terminal_size().columns)
    for name, row in table.iterrows():
        print(name)
        for column, value in row.items():
            text = f"{column}: {value}"
            print(textwrap.fill(text, width, initial_indent="    ", subsequent_indent="        "))


METHODS = Command("methods", "list the annotators", "List the annotators.", add_json, _methods)
ENCODERS = Command("encoders", "list the peak encoders", "List the peak encoders.", add_json, _encoders)
