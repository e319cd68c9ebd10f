"""Pre-training on cells with open peaks and expression, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from ... import _logging as logg
from ...nn import pick_device
from .._pretraining import Batch, Expression, Plan, Unlabeled, data_hash, pretrain
from .._pretraining_state import LOSSES, part_of, read_pretrained, require_build
from ._cells import PeakCells
from ._cost import warn_of_cost
from ._network import AlignedGenes, PeakSetEncoder, Sizes
from ._recipe import EpiFoundationRecipe
from ._vocabulary import Vocabulary

MODEL = "epifoundation"
"""Name of the model in a checkpoint."""
ENCODER, GENES = "encoder.", "decoder.genes."
"""How the names of tensors begin in a network with a head: those of the encoder, and the embeddings of genes."""
OF_TRAINING = [
    "max_peaks",
    "dropout",
    "precision",
    "lr",
    "warmup",
    "batch_size",
    "accumulate",
    "n_genes",
    "pretrain_epochs",
]
"""Constants that a pre-training depends on, besides the sizes of the network."""


def draw_genes(
    expressed: NDArray[np.integer], n_genes: int, n_drawn: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw genes that a cell is asked for, as many expressed ones as others.

    Parameters
    ----------
    expressed
        (n_expressed,) genes that the cell expresses.
    n_genes
        Number of all genes.
    n_drawn
        Genes to draw, half of them expressed; fewer of both where there are fewer of one.
    rng
        Of the cell and the epoch.

    Returns
    -------
    The expressed genes and as many others, each in increasing order.
    """
    others = np.setdiff1d(np.arange(n_genes), expressed, assume_unique=True)
    n = min(n_drawn // 2, len(expressed), len(others))
    first, second = (np.sort(rng.permutation(genes)[:n]).astype(np.int64) for genes in (expressed, others))
    return first, second


class AlignedCells:
    """Cells that are asked which genes they express; what is drawn of a cell follows from the seed and the epoch."""

    def __init__(
        self, cells: PeakCells, expressed: sp.csr_matrix, batch: NDArray[np.integer], n_genes: int, seed: int
    ) -> None:
        self._cells, self._expressed, self._batch = cells, expressed, batch
        self._n_genes, self._seed = n_genes, seed

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self._cells)

    def batch(self, cells: NDArray[np.intp], epoch: int) -> Batch:
        """Return open peaks, the number of each cell's, batches, genes that are asked for, and whether expressed."""
        draws = {int(cell): np.random.default_rng([self._seed, epoch, cell]) for cell in cells}
        ids, lengths = self._cells.sets(cells, draws.__getitem__)
        X, at, expressed = self._expressed, [], []
        for row, cell in enumerate(cells):
            mine = X.indices[X.indptr[cell] : X.indptr[cell + 1]]
            both = draw_genes(mine, X.shape[1], self._n_genes, draws[int(cell)])
            genes = np.concatenate(both)
            at.append(np.column_stack([np.full(len(genes), row), genes]))
            expressed.append(np.repeat(np.array([1, 0], dtype=np.uint8), [len(both[0]), len(both[1])]))
        tensors = (
            ids,
            lengths,
            self._batch[cells].astype(np.int64),
            np.concatenate(at).astype(np.int64),
            np.concatenate(expressed),
        )
        return Batch(tuple(map(torch.from_numpy, tensors)), len(tensors[-1]))


@dataclass(frozen=True)
class Weights:
    """A pre-trained network, the peaks and genes that it knows."""

    source: str
    """Where it was read from."""
    tensors: Mapping[str, torch.Tensor]
    """Of the whole network."""
    sizes: Sizes
    vocabulary: Vocabulary
    genes: tuple[str, ...]
    n_batches: int
    build: str | None
    """Genome build of the vocabulary, if it was known."""
    losses: tuple[float, ...]

    @classmethod
    def read(cls, source: str) -> Weights:
        """Read a checkpoint of :func:`pretrain_on_pairs`.

        Raises
        ------
        FileNotFoundError
            There is none.
        ValueError
            It is of another model, or damaged.
        """
        tensors, config = read_pretrained(source, MODEL)
        return cls(
            source,
            tensors,
            Sizes.of(config["recipe"]),
            Vocabulary.of_names(config["vocabulary"]),
            tuple(config["genes"]),
            config["n_batches"],
            config["build"],
            tuple(config[LOSSES]),
        )

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"the checkpoint weights={self.source!r}"

    def place(self, unlabeled: Unlabeled, recipe: EpiFoundationRecipe) -> tuple[PeakCells, dict[str, float]]:
        """Return cells on the peaks that the network knows, and numbers of known and unknown peaks.

        Raises
        ------
        ValueError
            They are of another genome.
        """
        require_build(self.build, self.source, unlabeled.build, "data")
        X, _, coverage = self.vocabulary.place(
            unlabeled.counts, unlabeled.peaks, min_overlap=recipe.min_overlap, what="data", source=self.name
        )
        numbers = {"n_vocabulary": len(self.vocabulary), **coverage.numbers("data")}
        return PeakCells(X, self.vocabulary, recipe.max_peaks), numbers

    def encoder(self, recipe: EpiFoundationRecipe) -> PeakSetEncoder:
        """Return the pre-trained encoder."""
        encoder = make_encoder(self.vocabulary, self.sizes, recipe)
        encoder.load_state_dict(part_of(self.tensors, ENCODER))
        return encoder

    def network(self, recipe: EpiFoundationRecipe) -> AlignedGenes:
        """Return the whole pre-trained network."""
        encoder = make_encoder(self.vocabulary, self.sizes, recipe)
        network = AlignedGenes(encoder, len(self.genes), self.n_batches)
        network.load_state_dict(dict(self.tensors))
        return network

    @property
    def of_genes(self) -> torch.Tensor:
        """(n_genes, n_dims) the embeddings of genes."""
        return part_of(self.tensors, GENES)["weight"]


def make_encoder(vocabulary: Vocabulary, sizes: Sizes, recipe: EpiFoundationRecipe) -> PeakSetEncoder:
    """Return an encoder of a vocabulary's peaks with weights drawn at random."""
    contig = torch.from_numpy(vocabulary.contig_of_peak)
    return PeakSetEncoder(contig, len(vocabulary.contigs), sizes, dropout=recipe.dropout, recompute=recipe.recompute)


def pretrain_on_pairs(
    unlabeled: Unlabeled, recipe: EpiFoundationRecipe, *, output: Path, resume: bool, device: str, seed: int
) -> list[float]:
    """Pre-train EpiFoundation on cells × peaks with expression, and write a checkpoint folder after each epoch.

    The vocabulary is the peaks of the data. Cells without an open peak, and those without an expressed gene, are left
    out and counted.

    Raises
    ------
    ValueError
        No cell has both; a constant that has no effect here.
    """
    if recipe.weights is not None:
        msg = f"weights={recipe.weights!r} in recipe= has no effect on pre-training; expected it to be left out."
        raise ValueError(msg)
    assert unlabeled.expression is not None
    vocabulary = Vocabulary.of(unlabeled.peaks)
    X, _, _ = vocabulary.place(
        unlabeled.counts, unlabeled.peaks, min_overlap=recipe.min_overlap, what="data", source="the data"
    )
    expressed, genes = _in_order(unlabeled.expression)
    kept = _with_both(X, expressed)
    cells = PeakCells(sp.csr_matrix(X[kept]), vocabulary, recipe.max_peaks)
    expressed = sp.csr_matrix(expressed[kept])
    n_batches = 0 if unlabeled.batch is None else int(unlabeled.batch.max()) + 1
    batch = np.zeros(len(kept), dtype=np.int64) if unlabeled.batch is None else unlabeled.batch[kept]
    sizes = Sizes.of(recipe)
    warn_of_cost(sizes, cells, pick_device(device))
    of_batch = sp.csr_matrix(batch[None, :])
    config = {
        "model": MODEL,
        "recipe": asdict(sizes) | {name: getattr(recipe, name) for name in OF_TRAINING},
        "vocabulary": list(vocabulary.names),
        "genes": list(genes),
        "n_batches": n_batches,
        "build": unlabeled.build,
        "n_cells": len(kept),
        "data": data_hash(cells.X, expressed, of_batch),
        "seed": seed,
    }
    plan = Plan(
        recipe.pretrain_epochs,
        recipe.batch_size,
        recipe.accumulate,
        recipe.lr,
        lambda step, steps_per_epoch: recipe.factor(step, steps_per_epoch * recipe.pretrain_epochs),
        seed,
        device,
        recipe.precision,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = AlignedGenes(make_encoder(vocabulary, sizes, recipe), len(genes), n_batches)
        corpus = AlignedCells(cells, expressed, batch, recipe.n_genes, seed)
        return pretrain(network, corpus, plan, folder=output, config=config, resume=resume)


def _in_order(expression: Expression) -> tuple[sp.csr_matrix, tuple[str, ...]]:
    """Return whether genes are expressed, in the order of their names, and the names."""
    order = np.argsort(np.array(expression.genes))
    X = sp.csr_matrix(expression.values[:, order], copy=True)
    X.eliminate_zeros()
    X.sort_indices()
    X.data = np.ones(X.nnz, dtype=np.uint8)
    return X, tuple(expression.genes[i] for i in order)


def _with_both(X: sp.csr_matrix, expressed: sp.csr_matrix) -> NDArray[np.intp]:
    """Return the cells that have an open peak, and a gene that is expressed and one that is not."""
    n_expressed = np.diff(expressed.indptr)
    are_open = np.diff(X.indptr) > 0
    tell = (n_expressed > 0) & (n_expressed < expressed.shape[1])
    kept = np.flatnonzero(are_open & tell)
    lost = (
        f"{(~are_open).sum():,} of {len(are_open):,} cells open no peak, and {(~tell).sum():,} express no gene or all"
    )
    if not len(kept):
        msg = f"{lost}, so that none is left; expected cells with open peaks and genes that some of them express."
        raise ValueError(msg)
    if len(kept) < len(are_open):
        logg.info(f"    {lost}; they are left out")
    return kept
