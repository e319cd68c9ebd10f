"""What a command is, and the options that several have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace, _ArgumentGroup
    from collections.abc import Callable

DATA = ".h5ad, .h5mu or .zarr, or the .h5 or folder of Cell Ranger (ATAC or ARC)"
"""What :func:`scllmda.io.read` takes."""


@dataclass(frozen=True)
class Command:
    """One command of the command line."""

    name: str
    help: str
    """What it does, in a line."""
    description: str
    """The same in a paragraph or two."""
    add_options: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], None]


def path(text: str) -> Path:
    """Return the path that an option gives; "~" is the user's home."""
    return Path(text).expanduser()


def add_talk(parser: ArgumentParser, *, json: bool = True) -> None:
    """Add the options of what is printed."""
    talk = parser.add_argument_group("what is printed")
    how_much = talk.add_mutually_exclusive_group()
    for flag, verbosity, text in (
        ("quiet", 1, "only warnings, errors, and what --json asks for" if json else "only warnings and errors"),
        ("verbose", 3, "every slot that is written, too"),
    ):
        how_much.add_argument(
            f"-{flag[0]}", f"--{flag}", dest="verbosity", action="store_const", const=verbosity, default=2, help=text
        )
    if json:
        add_json(talk)


def add_json(parser: ArgumentParser | _ArgumentGroup) -> None:
    """Add the option of programs that read the output."""
    parser.add_argument("--json", action="store_true", help="print JSON, and nothing else, on stdout")
