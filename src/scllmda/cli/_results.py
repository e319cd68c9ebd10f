"""What commands write and print."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from .. import __version__

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData
    from mudata import MuData


def say(options: Namespace, text: str) -> None:
    """Print for people, unless it is to be quiet, or a program reads."""
    if options.verbosity > 1 and not options.json:
        print(text)


def write_data(options: Namespace, data: AnnData | MuData, path: Path) -> None:
    """Write an object in the format that the path ends in."""
    from .._files import write

    write(data, path)
    say(options, f"wrote {path}")


def write_table(options: Namespace, table: pd.DataFrame, path: Path) -> None:
    """Write a table with a row per cell, tabs between columns."""
    from .._files import written_aside

    with written_aside(path) as aside:
        table.to_csv(aside, sep="\t", index_label="cell", float_format="%.6g")
    say(options, f"wrote {path}")


def write_figure(options: Namespace, figure: Any, path: Path) -> None:
    """Draw a figure."""
    from .._files import written_aside

    with written_aside(path) as aside:
        figure.savefig(aside, dpi=150, format=path.suffix[1:])
    say(options, f"wrote {path}")


def print_json(options: Namespace, command: str, found: Mapping[str, Any]) -> None:
    """Print what a program is to read, if one does."""
    if options.json:
        said = {"command": command, "version": __version__, **found}
        print(json.dumps(_plain(said), indent=2, ensure_ascii=False, allow_nan=False))


def as_table(rows: list[list[str]]) -> str:
    """Return a table as text: the first column on the left, the others on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first, *others = widths
    lines = [[row[0].ljust(first), *(cell.rjust(n) for cell, n in zip(row[1:], others, strict=True))] for row in rows]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: no arrays, and null for what is no number."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
