"""The ``scllmda`` command: thin wrappers of the public functions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(arguments)
    import scanpy as sc

    sc.settings.verbosity = 1 if options.quiet else 2
    try:
        return options.run(options)
    except (ValueError, KeyError, TypeError, OSError) as error:
        text = error.args[0] if isinstance(error, KeyError) else error
        print(f"scllmda: error: {text}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scllmda", description="Label scATAC-seq cells from a labelled reference.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    demo = commands.add_parser("demo", help="annotate simulated data and draw the figures")
    demo.set_defaults(run=_demo)
    demo.add_argument("--output", type=Path, default=Path("scllmda_demo"), help="folder to write to")
    demo.add_argument("--seed", type=int, default=0)

    annotate = commands.add_parser("annotate", help="annotate a query file from a reference file")
    annotate.set_defaults(run=_annotate)
    annotate.add_argument("--reference", required=True, help=".h5ad, .h5mu or .zarr with labels")
    annotate.add_argument("--query", required=True, help=".h5ad, .h5mu or .zarr to annotate")
    annotate.add_argument("--output", type=Path, required=True, help="annotated query, in the query's format")
    annotate.add_argument("--genome", help="FASTA of the reference's genome build")
    annotate.add_argument(
        "--labels-key", default="cell_type", help="column of the reference's obs (default: cell_type)"
    )
    annotate.add_argument("--batch-key", help="column of the reference's obs with batches or donors")
    annotate.add_argument("--method", default="robust", help="annotator (default: robust)")
    annotate.add_argument("--encoder", default="kmer", help="peak encoder (default: kmer)")
    annotate.add_argument("--key-added", default="scllmda", help="prefix of the slots (default: scllmda)")
    annotate.add_argument("--mod", default="atac", help="modality of a .h5mu (default: atac)")
    annotate.add_argument("--figures", type=Path, help="folder to draw figures to")
    annotate.add_argument("--seed", type=int, default=0)
    for command in (demo, annotate):
        command.add_argument("--quiet", action="store_true", help="only warnings and errors")
    return parser


def _demo(options: argparse.Namespace) -> int:
    from . import datasets, metrics, pl, pp, tl

    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    genome = folder / "genome.fa.gz"
    reference, query = datasets.simulate(fasta=genome, rng=options.seed)
    for cells in (reference, query):
        del cells.var["sequence"]
    print(f"reference: {reference.n_obs} cells × {reference.n_vars} peaks; query: {query.n_obs} × {query.n_vars}")
    pp.peak_sequences(reference, genome)
    tl.embed_peaks(reference)
    tl.annotate(query, reference, rng=options.seed)
    report = metrics.annotation_report(query.obs["cell_type"], query.obs["scllmda"], query.obsm["scllmda_proba"])
    print("".join(f"{name:>20}  {value:.3f}\n" for name, value in report.items()), end="")
    _write(query, folder / "annotated.h5ad")
    _save(pl.transfer_umap(query, truth="cell_type", return_fig=True), folder / "transfer_umap.png")
    _save(pl.confusion(query, truth="cell_type", return_fig=True), folder / "confusion.png")
    return 0


def _annotate(options: argparse.Namespace) -> int:
    from . import pl, tl
    from ._anndata import load

    _require_format(options.query, options.output)
    query = load(options.query)
    tl.annotate(
        query,
        options.reference,
        genome=options.genome,
        labels_key=options.labels_key,
        batch_key=options.batch_key,
        method=options.method,
        encoder=options.encoder,
        key_added=options.key_added,
        rng=options.seed,
        mod=options.mod,
    )
    _write(query, options.output)
    if options.figures is not None:
        options.figures.mkdir(parents=True, exist_ok=True)
        figure = pl.transfer_umap(query, key=options.key_added, return_fig=True, mod=options.mod)
        _save(figure, options.figures / "transfer_umap.png")
    return 0


def _require_format(query: str, output: Path) -> None:
    """Raise, before any work, if the output cannot be written in the query's format."""
    expected = Path(query).suffix
    if output.suffix != expected:
        msg = f"--output {str(output)!r} should end in {expected!r}, like the query that it holds."
        raise ValueError(msg)
    if not output.parent.is_dir():
        msg = f"--output {str(output)!r}: found no folder {str(output.parent)!r}. Make it first."
        raise FileNotFoundError(msg)


def _write(data: AnnData | MuData, path: Path) -> None:
    """Write aside, then rename, so that an interrupted run leaves no half file."""
    aside = path.with_name(f".{path.stem}.partial{path.suffix}")
    if path.suffix == ".zarr":
        data.write_zarr(aside)
        if path.exists():
            import shutil

            shutil.rmtree(path)
    else:
        data.write(aside)
    aside.replace(path)
    print(f"wrote {path}")


def _save(figure: Any, path: Path) -> None:
    aside = path.with_name(f".{path.name}.partial")
    figure.savefig(aside, dpi=150, format=path.suffix[1:])
    aside.replace(path)
    print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
