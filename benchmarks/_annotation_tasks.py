"""The tasks of `annotation.py`: a labeled reference, and a query whose labels are known to the scoring alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from _annotation_methods import COUNTS, LABELS
from _real_data import (
    CELL_LINES,
    CELL_LINES_WITH_DNA,
    CORTEX,
    GRANJA,
    LINES,
    LINES_SCIATAC,
    MARROW,
    PBMC,
    PBMC_OF_MARROW,
    PBMC_ON_MARROW_PEAKS,
    SCHEP,
    Side,
    Split,
)
from cell_embeddings import open_somewhere

import scllmda as sl

REAL, SIMULATED, NOVELTY, PEAKS, STUDIES = "real", "simulated", "novelty", "peaks", "studies"


@dataclass(frozen=True)
class Pair:
    reference: ad.AnnData
    """With `.obs["cell_type"]`."""
    query: ad.AnnData
    """Without any column of `.obs`."""
    truth: np.ndarray
    """(n_query,) labels of the query."""
    scored_as: Mapping[str, str] = field(default_factory=dict)
    """The label of the query that a label of the reference counts as, where it is another."""

    @classmethod
    def of(cls, reference: ad.AnnData, query: ad.AnnData, scored_as: Mapping[str, str] | None = None) -> Pair:
        """Keep of two objects what methods may see: counts, peaks, sequences, the reference's labels."""
        truth = query.obs[LABELS].to_numpy(str)
        reference, query = bare(reference, [LABELS]), bare(query, [])
        return cls(reference, query, truth, scored_as or {})

    @property
    def is_known(self) -> np.ndarray:
        """(n_query,) whether the reference has a cell's type."""
        return np.isin(self.truth, self.as_scored(self.reference.obs[LABELS]))

    def as_scored(self, labels: np.ndarray | pd.Series) -> np.ndarray:
        """Return labels of the reference as the query has them."""
        return np.array([self.scored_as.get(label, label) for label in labels], dtype=object)

    def on_shared_peaks(self) -> tuple[ad.AnnData, ad.AnnData, np.ndarray]:
        """Return both on the reference's peaks that are open in both, and the query's cells with an open peak."""
        query = sl.pp.match_peaks(self.query, self.reference)
        query.X.data[:] = 1
        query = bare(query, [])
        (_, of_reference), (_, of_query) = open_somewhere(self.reference.X), open_somewhere(query.X)
        peaks = np.intersect1d(of_reference, of_query)
        reference, query = self.reference[:, peaks], query[:, peaks]
        seen = open_somewhere(query.X)[0]
        return reference[open_somewhere(reference.X)[0]].copy(), query[seen].copy(), seen


def bare(adata: ad.AnnData, columns: list[str]) -> ad.AnnData:
    """Return what methods may see: open or closed in `.X`, counts in a layer for those that tell them apart."""
    obs = adata.obs[columns].astype(str)
    var = adata.var[[column for column in ("chrom", "start", "end", "sequence") if column in adata.var]]
    layers = {COUNTS: sp.csr_matrix(adata.layers.get(COUNTS, adata.X), dtype=np.float32)}
    return ad.AnnData(sp.csr_matrix(adata.X > 0, dtype=np.float32), obs=obs, var=var, layers=layers)


@dataclass(frozen=True)
class Task:
    group: str
    make: Callable[[Path, int], Pair]
    """(folder of the data, seed) → pair."""
    genome: str = "hg19"
    """Build of the reference; of simulated genomes nothing is known."""

    @property
    def is_drawn(self) -> bool:
        """Whether the seed also makes the data."""
        return self.group in (SIMULATED, PEAKS)

    @property
    def starts(self) -> str | None:
        """Name of the file with the transcription starts, where there is one."""
        return None if self.group == SIMULATED else f"{self.genome}_gencode_tss_unique.bed.gz"


def between_batches(
    folder: Path, seed: int, *, split: Split, labels: str = LABELS, back: bool = False, without: str = ""
) -> Pair:
    """Return cells of one side as reference and of the other as query, without one type in the reference."""
    adata = ad.read_h5ad(folder / split.file)
    adata.obs[LABELS] = adata.obs[labels].astype(str)
    adata.var = adata.var.rename(columns={"seq": "sequence"})
    side_of = split.sides(adata.obs["batch"])
    sides = [adata[side_of == side] for side in split.batches]
    reference, query = reversed(sides) if back else sides
    return Pair.of(reference[reference.obs[LABELS] != without], query)


def between_files(
    folder: Path, seed: int, *, reference: Side, query: Side, scored_as: Mapping[str, str] | None = None
) -> Pair:
    return Pair.of(reference.read(folder), query.read(folder), scored_as)


def split_peaks(
    folder: Path, seed: int, *, reference: Side, query: Side, n_shared: int, types: tuple[str, ...], n_cells: int
) -> Pair:
    """Return some cells of two sides, each on `n_shared` peaks of both and on half of the others, all drawn.

    The query has cells of `types` alone, or of all if there are none given. The reference and the order of the peaks
    are the same for any of them.
    """
    rng = np.random.default_rng(seed)
    known, new = reference.read(folder), query.read(folder)
    peaks = rng.permutation(known.n_vars)
    shared, rest = peaks[:n_shared], peaks[n_shared:]
    of_known, of_new = (np.sort(np.concatenate([shared, rest[i::2]])) for i in (0, 1))
    known = known[np.sort(rng.permutation(known.n_obs)[:n_cells])]
    candidates = np.flatnonzero(new.obs[LABELS].isin(types)) if types else np.arange(new.n_obs)
    new = new[np.sort(rng.permutation(candidates)[:n_cells])]
    return Pair.of(known[:, of_known], new[:, of_new])


def simulated(folder: Path, seed: int, **given: Any) -> Pair:
    return Pair.of(*sl.datasets.simulate(**SIZE | given, rng=seed))


def prior_shift(folder: Path, seed: int, *, ratio: float) -> Pair:
    """Return a simulated pair in which the types' numbers fall geometrically in the reference and rise in the query."""
    plenty = {size: PLENTY * SIZE[size] for size in ("n_reference", "n_query")}
    reference, query = sl.datasets.simulate(**SIZE | plenty, shared_peaks=1.0, rng=seed)
    types = np.unique(reference.obs[LABELS])
    shares = np.geomspace(ratio, 1, len(types)) / np.geomspace(ratio, 1, len(types)).sum()
    rng = np.random.default_rng(seed)
    rng.shuffle(types)
    reference = reference[draw(reference, dict(zip(types, shares * SIZE["n_reference"], strict=True)), rng)]
    query = query[draw(query, dict(zip(types, shares[::-1] * SIZE["n_query"], strict=True)), rng)]
    return Pair.of(reference, query)


def draw(adata: ad.AnnData, sizes: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """Return the sorted positions of so many cells of each type, or of all there are."""
    cells = (rng.permutation(np.flatnonzero(adata.obs[LABELS] == t))[: round(n)] for t, n in sizes.items())
    return np.sort(np.concatenate(list(cells)))


SIZE: dict[str, Any] = {"n_reference": 900, "n_query": 600, "n_peaks": 3000, "n_types": 8, "depth": 0.05}
PLENTY = 6
"""Times as many cells are simulated as are drawn for a shift of proportions."""

COARSE = GRANJA.labels[1]
SPLIT = {"reference": MARROW["D5T1"], "query": MARROW["D6T1"], "n_cells": 2000}
SPLIT_TYPES = ("all", "B", "Mono", "NK", "CD4+CD8")
TASKS = {
    "granja-fine D6T1→D5T1": Task(REAL, partial(between_batches, split=GRANJA)),
    "granja-fine D5T1→D6T1": Task(REAL, partial(between_batches, split=GRANJA, back=True)),
    "granja-coarse D6T1→D5T1": Task(REAL, partial(between_batches, split=GRANJA, labels=COARSE)),
    "granja-coarse D5T1→D6T1": Task(REAL, partial(between_batches, split=GRANJA, labels=COARSE, back=True)),
    "cortex A–D→E–H": Task(REAL, partial(between_batches, split=CORTEX), genome="mm10"),
    "cell lines sciATAC→C1": Task(REAL, partial(between_batches, split=CELL_LINES)),
    "cell lines with DNA sciATAC→C1": Task(REAL, partial(between_batches, split=CELL_LINES_WITH_DNA)),
    "sim no shift": Task(SIMULATED, partial(simulated, shift=0.0)),
    "sim fewer types": Task(SIMULATED, partial(simulated, query_types=(0, 2, 5), shared_peaks=1.0)),
    **{f"sim platform {s:g}": Task(SIMULATED, partial(simulated, shift=s, shared_peaks=1.0)) for s in (1.0, 2.0, 3.0)},
    **{f"sim proportions {r:g}": Task(SIMULATED, partial(prior_shift, ratio=r)) for r in (3.0, 10.0, 30.0)},
    **{f"sim shared peaks {s:g}": Task(SIMULATED, partial(simulated, shared_peaks=s)) for s in (0.5, 0.2, 0.05)},
    **{
        f"granja without {left_out}": Task(
            NOVELTY, partial(between_batches, split=GRANJA, labels=COARSE, without=left_out)
        )
        for left_out in ("B", "NK", "Pre.B", "Mono")
    },
    **{
        f"granja split {n} {types}": Task(
            PEAKS,
            partial(split_peaks, **SPLIT, n_shared=n, types=() if types == "all" else tuple(types.split("+"))),
        )
        for n in (500, 2000, 5000)
        for types in SPLIT_TYPES
    },
    "schep → cell lines": Task(STUDIES, partial(between_files, reference=SCHEP, query=LINES)),
    "schep → sciATAC": Task(STUDIES, partial(between_files, reference=SCHEP, query=LINES_SCIATAC)),
    "cell lines → schep": Task(STUDIES, partial(between_files, reference=LINES, query=SCHEP)),
    **{
        f"granja {donor} → pbmc{how}": Task(
            STUDIES, partial(between_files, reference=MARROW[donor], query=blood, scored_as=PBMC_OF_MARROW)
        )
        for how, blood in (("", PBMC), (", its fragments on the reference's peaks", PBMC_ON_MARROW_PEAKS))
        for donor in ("D5T1", "D6T1")
    },
}
