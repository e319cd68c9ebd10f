"""Paths checked before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping
    from pathlib import Path

READ = {
    "genome": "the FASTA of the reference's genome build",
    "chain": "a UCSC chain file",
    "barcodes": "a file with a barcode per line",
}
"""Files that options name besides the data, and what they should be."""
WRITTEN_AS = {"report": ".html"}
"""What outputs have to end in, where it is not the data that decides."""


def require_read(options: Namespace) -> None:
    """Raise if a file that is to be read besides the data is not there."""
    from .._files import naming, require_file

    for name, expected in READ.items():
        given = getattr(options, name, None)
        if given is not None:
            with naming(f"--{name}"):
                require_file(given, expected)


def require_written(
    options: Namespace, *names: str, suffixes: tuple[str, ...] = (), apart: Mapping[Path | None, str]
) -> None:
    """Raise if an output cannot be written, or would replace what is read or another output.

    Parameters
    ----------
    options
        What was given.
    names
        Options of files to write.
    suffixes
        What ``--output`` may end in.
    apart
        What files are that may not be written to.
    """
    from .._files import naming, require_apart, require_output

    others = dict(apart)
    for name in names:
        given: Path | None = getattr(options, name)
        if given is None:
            continue
        allowed = suffixes if name == "output" else (WRITTEN_AS.get(name, given.suffix),)
        with naming(f"--{name}"):
            if given.suffix not in allowed:
                ends = " or ".join(map(repr, allowed))
                msg = f"{str(given)!r} should end in {ends}, the format of what it is to hold. Rename it."
                raise ValueError(msg)
            require_output(given, given.suffix)
            for other, what in others.items():
                if other is not None:
                    require_apart(given, other, what)
        others[given] = f"the {name}"
