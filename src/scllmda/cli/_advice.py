"""What messages of the package advise, in the words of the command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

COMMAND_OF = {
    "pp.count_fragments": "count",
    "tl.annotate": "annotate",
    "tl.cell_embeddings": "fit",
    "tl.embed_peaks": "embed",
    "tl.map_cells": "map",
}
"""Commands by the function that they run."""
_CALL = re.compile(r"\b(?:sl|scllmda)\.(\w+\.\w+)(?:\((?:[^()]|\([^()]*\))*\))?")
_PARAMETER = re.compile(r"(?<![\w.'\"])([a-z]\w*)=(?=(\w?))")


def for_command_line(text: str, parameters: Collection[str]) -> str:
    """Return a message that names options in the place of parameters, and commands in that of calls.

    Parameters
    ----------
    text
        Message.
    parameters
        Names of the parameters that the command has as options; others, and calls of other functions, stay.
    """

    def option(found: re.Match[str]) -> str:
        name, value = found.groups()
        return f"--{name.replace('_', '-')}{' ' * bool(value)}" if name in parameters else found[0]

    parts, end = [], 0
    for call in _CALL.finditer(text):
        command = COMMAND_OF.get(call[1])
        parts += [_PARAMETER.sub(option, text[end : call.start()]), f"`scllmda {command}`" if command else call[0]]
        end = call.end()
    return "".join([*parts, _PARAMETER.sub(option, text[end:])])
