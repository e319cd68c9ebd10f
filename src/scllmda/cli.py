"""The ``scllmda`` command: thin wrappers of the public functions."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from anndata import AnnData
    from mudata import MuData


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 1 after an error, 128 and its number after a signal."""
    options = _parser().parse_args(arguments)
    try:
        with _signals_raise():
            import scanpy as sc

            sc.settings.verbosity = 1 if options.quiet else 2
            return options.run(options)
    except KeyboardInterrupt:
        return _end("interrupted", 128 + signal.SIGINT)
    except _Signalled as error:
        return _end(f"ended by {error.signal.name}", 128 + error.signal)
    except (ImportError, KeyError, MemoryError, OSError, TypeError, ValueError) as error:
        text = str(error.args[0] if isinstance(error, KeyError) else error)
        return _end(f"error: {' '.join(text.split()) or type(error).__name__}", 1)


def _end(message: str, status: int) -> int:
    print(f"scllmda: {message}", file=sys.stderr)
    return status


class _Signalled(SystemExit):
    """A signal asked the command to end."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(128 + number)


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Have signals that would end the process at once raise instead, so that what is being written is removed."""

    def end(number: int, _: FrameType | None) -> None:
        raise _Signalled(number)

    # Handlers belong to the main thread. A signal that is ignored, as by nohup, or handled already stays so.
    is_main = threading.current_thread() is threading.main_thread()
    ours = [s for s in (signal.SIGTERM, signal.SIGHUP) if is_main and signal.getsignal(s) is signal.SIG_DFL]
    try:
        for number in ours:
            signal.signal(number, end)
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scllmda", description="Label scATAC-seq cells from a labeled reference.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    demo = commands.add_parser("demo", help="annotate simulated data and draw the figures")
    demo.set_defaults(run=_demo)
    demo.add_argument("--output", type=_path, default=Path("scllmda_demo"), help="folder to write to")
    demo.add_argument("--seed", type=int, default=0)

    annotate = commands.add_parser("annotate", help="annotate a query file from a reference file")
    annotate.set_defaults(run=_annotate)
    annotate.add_argument("--reference", type=_path, required=True, help=".h5ad, .h5mu or .zarr with labels")
    annotate.add_argument("--query", type=_path, required=True, help=".h5ad, .h5mu or .zarr to annotate")
    annotate.add_argument(
        "--output",
        type=_path,
        required=True,
        help="annotated query, in the query's format; may be the query's own path, which is replaced once all is done, "
        "but not the reference's",
    )
    annotate.add_argument("--genome", type=_path, help="FASTA of the reference's genome build")
    annotate.add_argument(
        "--labels-key", default="cell_type", help="column of the reference's obs (default: cell_type)"
    )
    annotate.add_argument("--batch-key", help="column of the reference's obs with batches or donors")
    annotate.add_argument("--method", default="robust", help="annotator (default: robust)")
    annotate.add_argument("--encoder", default="kmer", help="peak encoder (default: kmer)")
    annotate.add_argument("--key-added", default="scllmda", help="prefix of the slots (default: scllmda)")
    annotate.add_argument("--mod", default="atac", help="modality of a .h5mu (default: atac)")
    annotate.add_argument("--figures", type=_path, help="folder to draw figures to, made if it is not there")
    annotate.add_argument("--seed", type=int, default=0)
    for command in (demo, annotate):
        command.add_argument("--quiet", action="store_true", help="only warnings and errors")
    return parser


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _demo(options: argparse.Namespace) -> int:
    from . import datasets, metrics, pl, pp, tl
    from ._files import naming, require_folder

    folder: Path = options.output
    with naming("--output"):
        require_folder(folder)
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

    _require_paths(options)
    query = _load(options.query, "--query")
    tl.annotate(
        query,
        _load(options.reference, "--reference"),
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


def _require_paths(options: argparse.Namespace) -> None:
    """Raise, before any work, if a path cannot be what its option says."""
    from ._files import naming, require_apart, require_file, require_folder, require_output, require_readable
    from .methods import make_recipe

    with naming("--reference"):
        require_readable(options.reference)
    with naming("--query"):
        require_readable(options.query)
    with naming("--output"):
        require_output(options.output, options.query.suffix)
        require_apart(options.output, options.reference, "the reference")
    if options.genome is not None:
        with naming("--genome"):
            require_file(options.genome, "the FASTA of the reference's genome build")
    if options.figures is not None:
        with naming("--figures"):
            require_folder(options.figures)
            for path, name in ((options.output, "the output"), (options.reference, "the reference")):
                require_apart(options.figures, path, name)
    # The annotation finds a wrong method by itself, but after both files were read.
    make_recipe(options.method, None)


def _load(path: Path, option: str) -> AnnData | MuData:
    from ._files import load, naming

    with naming(option):
        return load(path)


def _write(data: AnnData | MuData, path: Path) -> None:
    from ._files import write

    write(data, path)
    print(f"wrote {path}")


def _save(figure: Any, path: Path) -> None:
    from ._files import written_aside

    with written_aside(path) as aside:
        figure.savefig(aside, dpi=150, format=path.suffix[1:])
    print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
