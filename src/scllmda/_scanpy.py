"""scanpy with the defaults that our numbers were made with, whatever its user has set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import ModuleType


@contextmanager
def scanpy_by_default() -> Iterator[ModuleType]:
    """Yield scanpy, its preset that of version 1 meanwhile.

    The preset of version 2 (scanpy 1.13) makes other edges for Leiden and reads strings such as ``use_rep=`` otherwise.
    """
    import scanpy as sc

    preset = getattr(sc.settings, "preset", None)
    with nullcontext() if preset is None else preset.override(sc.Preset.ScanpyV1):
        yield sc
