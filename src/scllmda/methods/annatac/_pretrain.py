"""Pre-training on cells without labels, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from ... import _logging as logg
from .._pretraining import Batch, Plan, Unlabeled, data_hash, pretrain
from .._pretraining_state import LOSSES, read_pretrained, require_build
from ._masking import mask
from ._network import IslandEncoder, MaskedIslands, Sizes
from ._recipe import AnnAtacRecipe
from ._tokens import IslandCells, Tokens, canonical, classes_of_openness, names_of, positions

if TYPE_CHECKING:
    from ...genomics import Intervals

MODEL = "annatac"
"""Name of the model in a checkpoint."""
OF_TRAINING = [
    "bin_size",
    "n_islands",
    "dropout",
    "precision",
    "lr",
    "lr_decay",
    "decay_epochs",
    "batch_size",
    "accumulate",
    "mask_share",
    "replace_share",
]
"""Constants that a pre-training depends on, besides the sizes of the network and the number of epochs."""


class MaskedCells:
    """Cells whose islands are masked, for the pre-training; the masks of a cell follow from the seed and the epoch."""

    def __init__(self, cells: IslandCells, recipe: AnnAtacRecipe, n_values: int, seed: int) -> None:
        self._cells, self._recipe, self._seed = cells, recipe, seed
        self._tokens = Tokens(n_values)

    def __len__(self) -> int:
        """Return the number of cells."""
        return self._cells.values.shape[0]

    def batch(self, cells: NDArray[np.intp], epoch: int) -> Batch:
        """Return masked tokens, the cell and island of each mask, and the class that was there."""
        X = self._cells.values
        ids, at, classes = self._cells.tokens(cells, self._tokens), [], []
        for row, cell in enumerate(cells):
            mine = slice(X.indptr[cell], X.indptr[cell + 1])
            columns, values = X.indices[mine], X.data[mine]
            rng = np.random.default_rng([self._seed, epoch, cell])
            chosen, replaced = mask(values, self._recipe.mask_share, self._recipe.replace_share, rng)
            ids[row, columns[chosen[replaced]]] = self._tokens.mask
            at.append(np.column_stack([np.full(len(chosen), row), columns[chosen]]))
            classes.append(values[chosen])
        tensors = (ids, np.concatenate(at).astype(np.int64), np.concatenate(classes))
        return Batch(tuple(map(torch.from_numpy, tensors)), len(tensors[2]))


@dataclass(frozen=True)
class Weights:
    """A pre-trained network, and the islands that it knows."""

    source: str
    """Where it was read from."""
    tensors: Mapping[str, torch.Tensor]
    sizes: Sizes
    vocabulary: tuple[str, ...]
    build: str | None
    """Genome build of the islands, if it was known."""
    losses: tuple[float, ...]

    @classmethod
    def read(cls, source: str, recipe: AnnAtacRecipe) -> Weights:
        """Read a checkpoint of :func:`pretrain_on_islands`.

        Raises
        ------
        FileNotFoundError
            There is none.
        ValueError
            It is of another model, or of islands of another width.
        """
        tensors, config = read_pretrained(source, MODEL)
        constants = config["recipe"]
        if constants["bin_size"] != recipe.bin_size:
            msg = (
                f"The checkpoint weights={source!r} knows islands of {constants['bin_size']:,} bp, the recipe has "
                f"bin_size={recipe.bin_size:,}; expected the same. Pass recipe={{'bin_size': {constants['bin_size']}}}."
            )
            raise ValueError(msg)
        sizes, vocabulary = Sizes.of(constants), tuple(config["vocabulary"])
        return cls(source, tensors, sizes, vocabulary, config.get("build"), tuple(config[LOSSES]))

    def place(self, cells: IslandCells, builds: Mapping[str, str | None]) -> IslandCells:
        """Return cells on the islands that the network knows; those that the data lack are not there.

        Parameters
        ----------
        cells
            On islands of their own.
        builds
            Genome build of "reference" and "query", None where it is not known.

        Raises
        ------
        ValueError
            It knows none of them, or is of another genome build.
        """
        for what, build in builds.items():
            require_build(self.build, self.source, build, what)
        placed = cells.onto(self.vocabulary)
        n_known, n_there = len(self.vocabulary), placed.n_there
        found = (
            f"{n_there:,} of the {n_known:,} islands that the checkpoint weights={self.source!r} knows hold a peak of "
            f"reference and query (it knows {self.vocabulary[0]!r}, they have {cells.names[0]!r})"
        )
        if n_there == 0:
            msg = f"{found}; expected some. Pass weights of the same genome build."
            raise ValueError(msg)
        if n_there < n_known / 2:
            logg.warning(f"{found}: it was trained on others, which are left out of its attention.")
        return placed


def make_network(X: sp.csr_matrix, sizes: Sizes, recipe: AnnAtacRecipe) -> MaskedIslands:
    """Return a network for cells (n_cells, n_islands) with weights drawn at random."""
    return _network(torch.from_numpy(positions(X, sizes.n_dims)), sizes, recipe)


def load_network(weights: Weights, recipe: AnnAtacRecipe) -> MaskedIslands:
    """Return a pre-trained network."""
    network = _network(torch.zeros(len(weights.vocabulary), weights.sizes.n_dims), weights.sizes, recipe)
    network.load_state_dict(dict(weights.tensors))
    return network


def _network(where: torch.Tensor, sizes: Sizes, recipe: AnnAtacRecipe) -> MaskedIslands:
    return MaskedIslands(IslandEncoder(where, sizes, dropout=recipe.dropout, recompute=recipe.recompute), sizes)


def train_network(
    network: MaskedIslands,
    cells: IslandCells,
    sizes: Sizes,
    recipe: AnnAtacRecipe,
    *,
    seed: int,
    device: str,
    folder: Path | None = None,
    config: Mapping[str, Any] | None = None,
    resume: bool = True,
) -> list[float]:
    """Train a network to foretell masked islands, and return the mean loss of each epoch."""
    plan = Plan(
        recipe.pretrain_epochs,
        recipe.batch_size,
        recipe.accumulate,
        recipe.lr,
        recipe.factor,
        seed,
        device,
        recipe.precision,
    )
    if len(np.unique(cells.values.data)) == 1:
        logg.warning(
            "All open islands have the same openness, so that pre-training has nothing to foretell: expected counts, "
            "and not only whether peaks are open."
        )
    corpus = MaskedCells(cells, recipe, sizes.n_values, seed)
    return pretrain(network, corpus, plan, folder=folder, config=config, resume=resume)


def pretrain_on_islands(
    unlabeled: Unlabeled, recipe: AnnAtacRecipe, *, output: Path, resume: bool, device: str, seed: int
) -> list[float]:
    """Pre-train annATAC on cells × islands, and write a checkpoint folder after each epoch.

    Raises
    ------
    ValueError
        Peaks are no islands of the recipe's width, or no cell opens one; constants that have no effect here.
    """
    if given := [f"{name}={getattr(recipe, name)!r}" for name in ("tss", "weights") if getattr(recipe, name)]:
        msg = f"{', '.join(given)} in recipe= has no effect on pre-training; expected it to be left out."
        raise ValueError(msg)
    _require_islands(unlabeled.peaks, recipe.bin_size)
    cells = _cells_of(unlabeled, recipe)
    sizes = Sizes.of(recipe)
    of_training = {name: getattr(recipe, name) for name in OF_TRAINING}
    config = {
        "model": MODEL,
        "recipe": asdict(sizes) | of_training,
        "vocabulary": list(cells.names),
        "build": unlabeled.build,
        "n_cells": cells.values.shape[0],
        "data": data_hash(cells.values),
        "seed": seed,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = make_network(cells.values, sizes, recipe)
        return train_network(
            network, cells, sizes, recipe, seed=seed, device=device, folder=output, config=config, resume=resume
        )


def _require_islands(peaks: Intervals, bin_size: int) -> None:
    bad = (peaks.width != bin_size) | (peaks.start % bin_size != 0)
    if bad.any():
        msg = (
            f"{bad.sum():,} of {len(peaks):,} features are no islands of {bin_size:,} bp (first: "
            f"{str(peaks.names()[bad][0])!r}); expected cells × islands. Pass sl.pp.peak_islands(adata, tss), or "
            "recipe={'bin_size': …} as it was called with."
        )
        raise ValueError(msg)


def _cells_of(unlabeled: Unlabeled, recipe: AnnAtacRecipe) -> IslandCells:
    """Return the cells with an open island, on islands in the order along the genome."""
    code = np.unique(unlabeled.peaks.chrom, return_inverse=True)[1]
    order = np.lexsort((unlabeled.peaks.start, code))
    names = tuple(names_of(unlabeled.peaks)[order].tolist())
    values = classes_of_openness(canonical(unlabeled.counts[:, order]), recipe.n_values)
    cells = IslandCells(values, names, np.ones(len(names), dtype=bool)).most_open(recipe.n_islands)
    seen = np.flatnonzero(np.diff(cells.values.indptr) > 0)
    if not len(seen):
        msg = f"None of {values.shape[0]:,} cells opens one of {len(names):,} islands; expected counts of open ones."
        raise ValueError(msg)
    return cells.take(seen)
