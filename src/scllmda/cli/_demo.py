"""``scllmda demo``: labels of simulated cells, in a folder of files to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import _labels
from ._command import Command, add_talk, path
from ._results import print_json, say, write_data, write_figure, write_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from anndata import AnnData

MAP = "X_tsne"
"""Slot of the map that figures are drawn on."""
TITLE = "t-SNE of reference and query"


def add_options(parser: ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--output",
        type=path,
        default=Path("scllmda_demo"),
        metavar="PATH",
        help="folder to write to (default: scllmda_demo)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the simulation and the annotation")
    add_talk(parser)


def run(options: Namespace) -> None:
    """Simulate, annotate, and draw, on one thread: with so few cells more of them wait for one another."""
    # Limited are libraries that are there: this one brings them.
    import sklearn.manifold  # noqa: F401
    from threadpoolctl import threadpool_limits

    from .._files import naming, require_folder

    folder: Path = options.output
    with naming("--output"):
        require_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    genome = folder / "genome.fa.gz"
    say(options, "simulating a labeled reference, and a query of another platform, on a random genome")
    with threadpool_limits(1):
        _annotate_and_draw(options, folder, genome)


def _annotate_and_draw(options: Namespace, folder: Path, genome: Path) -> None:
    from .. import datasets, get, metrics, pl, pp, tl

    reference, query = datasets.simulate(fasta=genome, rng=options.seed)
    for name, cells in (("reference", reference), ("query", query)):
        del cells.var["sequence"]
        say(options, f"{name}: {cells.n_obs:,} cells × {cells.n_vars:,} peaks")
        write_data(options, cells, folder / f"{name}.h5ad")
    pp.peak_sequences(reference, genome)
    tl.embed_peaks(reference)
    tl.annotate(query, reference, rng=options.seed)

    say(options, "drawing")
    _draw_map(reference, query)
    figures = {
        "transfer_map.png": pl.transfer_umap(
            query,
            reference=reference,
            truth="cell_type",
            basis=MAP,
            title=TITLE,
            return_fig=True,
        ),
        "confusion.png": pl.confusion(query, truth="cell_type", return_fig=True),
    }
    for name, figure in figures.items():
        write_figure(options, figure, folder / name)
    pl.report(query, folder / "report.html", reference=reference, truth="cell_type", basis=MAP)
    say(options, f"wrote {folder / 'report.html'}")
    write_table(options, get.annotation(query), folder / "labels.tsv")
    write_data(options, query, folder / "annotated.h5ad")

    found = _labels.summary(query, "scllmda", "atac")
    say(options, _labels.as_text(found))
    truth = metrics.annotation_report(query.obs["cell_type"], query.obs["scllmda"], query.obsm["scllmda_proba"])
    say(options, f"against the simulated truth: accuracy {truth['accuracy']:.3f}, macro-F1 {truth['macro_f1']:.3f}")
    print_json(options, "demo", {**found, "against_truth": truth, "files": {"output": str(folder)}})


def _draw_map(reference: AnnData, query: AnnData) -> None:
    """Give both objects a t-SNE of their aligned vectors: the first UMAP after an installation takes a minute."""
    import numpy as np
    from sklearn.manifold import TSNE

    aligned = np.vstack([query.uns["scllmda"]["reference"]["X_da"], query.obsm["X_scllmda_da"]])
    found = TSNE(random_state=0).fit_transform(aligned)
    reference.obsm[MAP], query.obsm[MAP] = np.split(found, [reference.n_obs])


COMMAND = Command(
    "demo",
    "annotate simulated data, draw figures and write a report",
    "Simulate a reference and a query of another platform, annotate the query, and write labels, figures and a report.",
    add_options,
    run,
)
