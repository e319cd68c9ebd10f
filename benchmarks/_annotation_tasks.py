"""The tasks of `annotation.py`: a labelled reference, and a query whose labels are known to the scoring alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import scipy.sparse as sp
from _annotation_methods import LABELS
from _real_data import CELL_LINES, CORTEX, GRANJA, Split
from cell_embeddings import open_somewhere

import scllmda as sl

REAL, SIMULATED, NOVELTY = "real", "simulated", "novelty"


@dataclass(frozen=True)
class Pair:
    reference: ad.AnnData
    """With `.obs["cell_type"]`."""
    query: ad.AnnData
    """Without any column of `.obs`."""
    truth: np.ndarray
    """(n_query,) labels of the query."""

    @classmethod
    def of(cls, reference: ad.AnnData, query: ad.AnnData) -> Pair:
        """Keep of two objects what methods may see: open or closed, peaks, sequences, the reference's labels."""
        truth = query.obs[LABELS].to_numpy(str)
        reference, query = bare(reference, [LABELS]), bare(query, [])
        return cls(reference, query, truth)

    @property
    def is_known(self) -> np.ndarray:
        """(n_query,) whether the reference has a cell's type."""
        return np.isin(self.truth, self.reference.obs[LABELS].to_numpy(str))

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
    obs = adata.obs[columns].astype(str)
    var = adata.var[[column for column in ("chrom", "start", "end", "sequence") if column in adata.var]]
    return ad.AnnData(sp.csr_matrix(adata.X > 0, dtype=np.float32), obs=obs, var=var)


@dataclass(frozen=True)
class Task:
    group: str
    make: Callable[[Path, int], Pair]
    """(folder of the data, seed) → pair."""

    @property
    def is_simulated(self) -> bool:
        """Whether the seed also makes the data."""
        return self.group == SIMULATED


def between_batches(
    folder: Path, seed: int, *, split: Split, labels: str = LABELS, back: bool = False, without: str = ""
) -> Pair:
    """Return cells of one side as reference and of the other as query, without one type in the reference."""
    adata = ad.read_h5ad(folder / split.file)
    adata.obs[LABELS] = adata.obs[labels].astype(str)
    side_of = split.sides(adata.obs["batch"])
    sides = [adata[side_of == side] for side in split.batches]
    reference, query = reversed(sides) if back else sides
    return Pair.of(reference[reference.obs[LABELS] != without], query)


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
TASKS = {
    "granja-fine D6T1→D5T1": Task(REAL, partial(between_batches, split=GRANJA)),
    "granja-fine D5T1→D6T1": Task(REAL, partial(between_batches, split=GRANJA, back=True)),
    "granja-coarse D6T1→D5T1": Task(REAL, partial(between_batches, split=GRANJA, labels=COARSE)),
    "granja-coarse D5T1→D6T1": Task(REAL, partial(between_batches, split=GRANJA, labels=COARSE, back=True)),
    "cortex A–D→E–H": Task(REAL, partial(between_batches, split=CORTEX)),
    "cell lines sciATAC→C1": Task(REAL, partial(between_batches, split=CELL_LINES)),
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
}
