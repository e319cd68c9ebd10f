"""Files that commands read: what they are, whether they can be read, and the objects in them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._command import DATA, path
from ._options import OneOrSeveral, parameters, several, values

if TYPE_CHECKING:
    from argparse import Namespace, _ArgumentGroup
    from collections.abc import Iterator
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData

OF_FRAGMENTS = {"fragments", "peaks", "mod"}
"""Parameters of :func:`scllmda.pp.count_fragments` that a query and its reference stand for."""
FORMATS = {"AnnData": (".h5ad", ".zarr"), "MuData": (".h5mu", ".zarr")}
"""Formats that objects are written in."""


def add_query(files: _ArgumentGroup, what: str) -> None:
    """Add the option of the query, which may be several files of fragments."""
    files.add_argument(
        "--query",
        type=path,
        required=True,
        nargs="+",
        action=OneOrSeveral,
        metavar="PATH",
        help=f"{what}: {DATA}; or fragments (.tsv.gz, .bed.gz), one file, or one for each sample: then cells are named "
        "barcode-sample",
    )


def is_fragments(path: Path) -> bool:
    """Return whether a file is a table of fragments, by its name; whether it can be read is another question."""
    return any(path.name.endswith((end, f"{end}.gz", f"{end}.bgz", f"{end}.zst")) for end in (".tsv", ".bed", ".txt"))


def require_data(path: Path, option: str) -> tuple[str, ...]:
    """Raise unless a path can be read, before any work; return what the name of a file made from it may end in."""
    from .._files import naming, require_readable

    with naming(option):
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
    if not all(map(is_fragments, several(options.query))):
        return read_data(options.query, "--query", options.mod)
    from .. import pp
    from .._files import naming

    given = values(options, pp.count_fragments, but=OF_FRAGMENTS)
    with naming("--query"):
        return pp.count_fragments(options.query, reference, mod=options.mod, **given)


def require_query(options: Namespace, *, has_reference: bool) -> tuple[str, ...]:
    """Raise unless the query can be read, before any work; return what the name of a file made from it may end in.

    Ends with a usage error where fragments lack a reference, other files are several, or have options of fragments.
    """
    from .. import pp
    from .._files import naming

    files = several(options.query)
    others = [path for path in files if not is_fragments(path)]
    if not others:
        if not has_reference:
            options.usage_error("fragments are counted in the reference's peaks: --reference is required")
        values(options, pp.count_fragments, but=OF_FRAGMENTS)
        with naming("--query"):
            pp.require_fragments(options.query)
        return FORMATS["AnnData"]
    if len(files) > 1:
        options.usage_error(f"several files of --query have to be fragments, and {str(others[0])!r} is none")
    given = [p.name for p in parameters(pp.count_fragments, OF_FRAGMENTS) if getattr(options, p.name) != p.default]
    if given:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        options.usage_error(f"{named}: of fragments alone, and {str(options.query)!r} holds none")
    return require_data(options.query, "--query")


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
