"""The ``scllmda`` command.

Lives here: one file per command, which reads files, calls public functions, writes files and prints what was found; and
what the commands share. May not live here: anything that the functions do not do. Options are made from the signatures
and docstrings of these functions. Nothing is imported before a command that needs it was chosen.
"""

from __future__ import annotations

from ._main import main

__all__ = ["main"]
