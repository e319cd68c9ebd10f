"""scanpy's logger, loaded when something is first logged."""

from __future__ import annotations

from datetime import datetime


def info(message: str, *, time: datetime | None = None, deep: str | None = None) -> datetime:
    """Log at scanpy's "info" level (``scanpy.settings.verbosity >= 2``) and return the time."""
    from scanpy import logging as logg

    return logg.info(message, time=time, deep=deep)


def warning(message: str) -> datetime:
    """Log at scanpy's "warning" level, shown by default."""
    from scanpy import logging as logg

    return logg.warning(message)
