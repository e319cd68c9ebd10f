"""``scllmda embed``: a vector for the DNA under every peak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._command import DATA, Command, add_talk, path
from ._data import connected, read_data, require_data
from ._options import add_parameters, values
from ._paths import require_read, require_written
from ._results import print_json, say, write_data

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

TEXTS = {
    "encoder": "whose embeddings to make; `scllmda encoders` lists them",
    "genome": "FASTA of the peaks' genome build; else .var['sequence'] is read",
    "key_added": "slot of .varm to write, X_ and the encoder's name by default",
}
"""What to say of parameters whose docstrings speak of Python."""
OBJECTS = {"adata"}
"""Parameter of :func:`scllmda.tl.embed_peaks` that is a file here."""


def add_options(parser: ArgumentParser) -> None:
    """Add the options."""
    from .. import tl

    files = parser.add_argument_group("files")
    files.add_argument("--input", type=path, required=True, metavar="PATH", help=f"cells × peaks: {DATA}")
    files.add_argument(
        "--output", type=path, required=True, metavar="PATH", help="the same with the vectors; may be the input's path"
    )
    add_parameters(parser.add_argument_group("encoding"), tl.embed_peaks, but=OBJECTS, texts=TEXTS)
    add_talk(parser)


def run(options: Namespace) -> None:
    """Embed the peaks."""
    from .. import encoders, tl
    from .._anndata import read
    from .._files import naming, require_folder

    formats = require_data(options.input, "--input")
    require_written(options, "output", suffixes=formats, apart={})
    require_read(options)
    if options.cache_dir is not None:
        with naming("--cache-dir"):
            require_folder(options.cache_dir)
    given = values(options, tl.embed_peaks, but=OBJECTS)
    encoder = encoders.get(options.encoder, device=options.device)
    data = read_data(options.input, "--input", options.mod)
    with connected(options.client) as client:
        tl.embed_peaks(data, **{**given, "client": client})
    key = options.key_added or f"X_{encoder.name}"
    vectors = read(data, mod=options.mod).varm[key]
    n_peaks, n_dims = vectors.shape
    write_data(options, data, options.output)
    say(options, f"{n_peaks:,} peaks in {n_dims} dimensions by {encoder.name!r}: .varm[{key!r}]")
    found = {"encoder": encoder.name, "n_peaks": n_peaks, "n_dims": n_dims, "key": key}
    print_json(options, "embed", {**found, "files": {"output": str(options.output)}})


COMMAND = Command(
    "embed",
    "embed the DNA under the peaks of a file",
    "Turn the DNA under every peak into a vector (scllmda.tl.embed_peaks), from a FASTA or from .var['sequence'].\n"
    "`annotate` and `fit` find the vectors in the file and do not compute them again. Cells are embedded by `fit`.",
    add_options,
    run,
)
