"""Label the cells of a scATAC-seq experiment from a labeled reference, reading the DNA under every peak.

``import scllmda as sl``, then ``sl.io`` (reading), ``sl.pp`` (preprocessing), ``sl.tl`` (tools), ``sl.pl`` (plots),
``sl.get`` (results and registries), ``sl.encoders``, ``sl.metrics`` and ``sl.datasets``. Nothing heavy is imported
before a function needs it.
"""

from __future__ import annotations

from importlib.metadata import version

from . import datasets, encoders, get, io, metrics, pl, pp, tl

__all__ = ["datasets", "encoders", "get", "io", "metrics", "pl", "pp", "tl"]

__version__ = version("scllmda")
