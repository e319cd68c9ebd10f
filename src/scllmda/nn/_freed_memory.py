"""Memory that networks on a CPU have freed, and that the C library keeps."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


def give_back() -> None:
    """Give freed memory back to the system, where the C library can (glibc).

    Before release 2.38 glibc cannot use again what is left between aligned blocks, as tensors are: a training of
    annATAC on 10,000 cells, which needs less than 1 GB, grew to 5 GB. It takes milliseconds; call it after an epoch.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    """Return ``malloc_trim``, or None where there is none."""
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # TypeError: Windows, which has no library of the process
        return None
