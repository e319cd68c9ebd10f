"""Files that commands read: what they are, whether they can be read, and the objects in them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._options import parameters, values

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData

OF_FRAGMENTS = {"fragments", "peaks", "mod"}
"""Parameters of :func:`scllmda.pp.count_fragments` that a query and its reference stand for."""
FORMATS = {"AnnData": (".h5ad", ".zarr"), "MuData": (".h5mu", ".zarr")}
"""Formats that objects are written in."""


def is_fragments(path: Path) -> bool:
    """Return whether a file is a table of fragments, by its name."""
    return any(path.name.endswith(end + packed) for end in (".tsv", ".bed", ".txt") for packed in ("", ".gz", ".bgz"))


def require_data(path: Path, option: str, *, or_fragments: bool = False) -> tuple[str, ...]:
    """Raise unless a path can be read, before any work; return what the name of a file made from it may end in."""
    from .._files import naming, require_file, require_readable

    with naming(option):
        if or_fragments and is_fragments(path):
            require_file(path, "a file of fragments")
            return FORMATS["AnnData"]
        kind = require_readable(path)
    return (path.suffix,) if path.suffix in FORMATS[kind] else FORMATS[kind]


def read_data(path: Path, option: str, mod: str) -> AnnData | MuData:
    """Read an object."""
    from .._files import naming
    from ..io import read

    with naming(option):
        return read(path, mod=mod)


def read_query(options: Namespace, reference: AnnData | MuData | None) -> AnnData | MuData:
    """Read the query; of fragments, count those in the reference's peaks."""
    if not is_fragments(options.query):
        return read_data(options.query, "--query", options.mod)
    from .. import pp
    from .._files import naming

    given = values(options, pp.count_fragments, but=OF_FRAGMENTS)
    with naming("--query"):
        return pp.count_fragments(options.query, reference, mod=options.mod, **given)


def require_for_fragments(options: Namespace, *, has_reference: bool) -> None:
    """End with a usage error where fragments lack a reference, or other files have options of fragments."""
    from .. import pp

    if is_fragments(options.query):
        if not has_reference:
            options.usage_error("fragments are counted in the reference's peaks: --reference is required")
        return
    given = [p.name for p in parameters(pp.count_fragments, OF_FRAGMENTS) if getattr(options, p.name) != p.default]
    if given:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        options.usage_error(f"{named}: of fragments alone, and {str(options.query)!r} holds none")


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Give the client of a Dask scheduler, if there is an address."""
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as error:
        msg = "--client needs Dask. Install the extra: pip install 'scllmda[dask]'"
        raise ImportError(msg) from error
    with Client(address) as client:
        yield client
