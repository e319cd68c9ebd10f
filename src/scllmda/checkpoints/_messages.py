"""How messages show what was found in a file."""

from __future__ import annotations

from collections.abc import Sequence
from reprlib import Repr
from typing import Any

DOWNLOAD_AGAIN = "Download it again from its publisher, and pass source= the folder it is in."
"""The mend of a file that is damaged."""

_LISTED = 8
_REPR = Repr()
_REPR.maxstring = _REPR.maxother = 80


def shortened(value: Any) -> str:
    """Return a value as an error message shows it, whatever its size."""
    return _REPR.repr(value)


def listed(names: Sequence[str]) -> str:
    """Return the first of many names, and how many more there are."""
    more = f", … {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def first_line(error: BaseException) -> str:
    """Return what the first line of an error says; libraries often go on for pages."""
    return str(error).strip().partition("\n")[0]
