"""``scllmda fit``: a reference that can be passed on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._command import DATA, Command, add_talk, path
from ._data import FORMATS, connected, read_data, require_data
from ._options import add_parameters, values
from ._paths import require_read, require_written
from ._results import print_json, say, write_data

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

OBJECTS = {"adata"}
"""Parameter of :func:`scllmda.tl.cell_embeddings` that is a file here."""


def add_options(parser: ArgumentParser) -> None:
    """Add the options."""
    from .. import tl

    files = parser.add_argument_group("files")
    files.add_argument("--reference", type=path, required=True, metavar="PATH", help=f"labeled cells: {DATA}")
    files.add_argument("--output", type=path, required=True, metavar="PATH", help="fitted reference: .h5ad or .zarr")
    sequence = parser.add_argument_group("the DNA under the peaks")
    sequence.add_argument(
        "--encoder", metavar="NAME", help="embed the peaks first, by this encoder (kmer if there is a --genome)"
    )
    sequence.add_argument(
        "--genome", type=path, metavar="PATH", help="FASTA of the reference's genome build; else .var['sequence']"
    )
    add_parameters(parser.add_argument_group("embedding of the cells"), tl.cell_embeddings, but=OBJECTS)
    add_talk(parser)


def run(options: Namespace) -> None:
    """Fit a reference, and write what is needed of it."""
    from .. import get, tl

    require_data(options.reference, "--reference")
    require_written(options, "output", suffixes=FORMATS["AnnData"], apart={options.reference: "the reference"})
    require_read(options)
    given = values(options, tl.cell_embeddings, but=OBJECTS)
    mod, key = options.mod, options.key_added
    reference = read_data(options.reference, "--reference", mod)
    with connected(options.client) as client:
        if options.encoder is not None or options.genome is not None:
            encoder = options.encoder or "kmer"
            tl.embed_peaks(reference, encoder, genome=options.genome, device=options.device, client=client, mod=mod)
        tl.cell_embeddings(reference, **{**given, "client": client})
    portable = get.portable_reference(reference, use_rep=key, mod=mod)
    k = portable.obsm[key].shape[1]
    write_data(options, portable, options.output)
    say(options, f"{portable.n_obs:,} cells × {portable.n_vars:,} peaks, fitted in {k} dimensions, without counts")
    if list(portable.obs):
        say(options, f"columns that are passed on with the cells: {', '.join(map(str, portable.obs))}")
    found = {"n_cells": portable.n_obs, "n_peaks": portable.n_vars, "n_dims": k}
    print_json(options, "fit", {**found, "files": {"output": str(options.output)}})


COMMAND = Command(
    "fit",
    "fit a reference that can be passed on without its counts",
    "Embed the cells of a reference (scllmda.tl.cell_embeddings) and write what others need to label and map cells by\n"
    "it (scllmda.get.portable_reference): no counts, no sequences. `annotate` and `map` take it as --reference.",
    add_options,
    run,
)
