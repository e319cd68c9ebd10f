"""scanpy's logger, loaded when something is first logged."""

from __future__ import annotations

import logging
from datetime import datetime

RESULT = logging.WARNING + 1
"""Level of what a call found: shown by default, as warnings are, without being one."""


def info(message: str, *, time: datetime | None = None, deep: str | None = None) -> datetime:
    """Log at scanpy's "info" level (``scanpy.settings.verbosity >= 2``) and return the time."""
    from scanpy import logging as logg

    return logg.info(message, time=time, deep=deep)


def result(message: str) -> datetime:
    """Log what a call found, shown by default (``scanpy.settings.verbosity >= 1``), as "scllmda: …"."""
    from scanpy import settings

    logging.addLevelName(RESULT, "scllmda")
    return settings._root_logger.log(RESULT, message)


def warning(message: str) -> datetime:
    """Log at scanpy's "warning" level, shown by default."""
    from scanpy import logging as logg

    return logg.warning(message)
