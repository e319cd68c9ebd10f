"""Label the cells of a scATAC-seq experiment from a labeled reference, reading the DNA under every peak.

``import scllmda as sl``, then ``sl.io`` (reading), ``sl.pp`` (preprocessing), ``sl.tl`` (tools), ``sl.pl`` (plots),
``sl.get`` (results and registries), ``sl.encoders``, ``sl.metrics`` and ``sl.datasets``. Each is imported when it is
first used, and nothing heavy before a function needs it.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import datasets, encoders, get, io, metrics, pl, pp, tl

__all__ = ["datasets", "encoders", "get", "io", "metrics", "pl", "pp", "tl"]

__version__ = version("scllmda")


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f".{name}", __name__)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
