"""The first stage that scLLMDA and seqAlignATAC share: cells from the DNA of the peaks they open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._task import Represented, Task

CELLS = ("network", "factorisation")


@dataclass(frozen=True)
class CellNetworkRecipe:
    """Constants of the network that embeds cells, as in scLLMDA (Liu et al. 2026); seqAlignATAC names none."""

    cells: str = "network"
    """Space of the cells. With "network" it is that of the published first stage, with "factorisation" the package's
    own embedding in its place, so that only the second stage is the published one."""
    cell_hidden: tuple[int, ...] = (512, 256, 128)
    """Widths of the hidden layers; scLLMDA's paper. The last is the number of dimensions of a cell."""
    cell_dropout: float = 0.3
    """Share of units switched off after each hidden layer; scLLMDA's released code."""
    cell_lr: float = 1e-3
    """Learning rate of Adam; scLLMDA's paper."""
    cell_batch_size: int = 1024
    """Peaks per step; scLLMDA's released code."""
    cell_epochs: int = 400
    """Passes over the peaks; scLLMDA's paper. Nothing stops early."""
    min_open: float = 0.01
    """Peaks that a smaller share of reference and query cells open are not trained on; scLLMDA's released code."""

    def __post_init__(self) -> None:
        """Refuse an unknown space of cells before any work.

        Raises
        ------
        ValueError
            Neither "network" nor "factorisation".
        """
        if self.cells not in CELLS:
            msg = f"Unknown cells {self.cells!r} in the recipe; expected one of {list(CELLS)}."
            raise ValueError(msg)


OF_SPACE = frozenset(CellNetworkRecipe.__dataclass_fields__)
"""Constants that the first stage alone reads."""
WITHOUT_SEQUENCE = {"cells": "factorisation"}


def parts_read(recipe: CellNetworkRecipe) -> frozenset[str]:
    """Return what a system with this first stage reads."""
    return frozenset({"counts", "peak_embeddings"} if recipe.cells == "network" else {"embedding"})


def cells_by_network(task: Task, recipe: CellNetworkRecipe) -> Represented:
    """Embed reference and query cells jointly by predicting which peaks they open from the peaks' DNA.

    A network from peak embeddings Z to one output unit per cell, Ŷ = σ(MLP(Z) W_o + b_o), is trained on open and closed
    peaks by binary cross-entropy (scLLMDA eq. 1-3, seqAlignATAC eq. 1-4). Column j of W_o is the vector of cell j; the
    bias b_j, which is its depth, is left out. Peaks without a known base take no part, and have no place in the space.
    """
    from ..nn import pick_device, train_cell_network

    known = np.flatnonzero(np.isfinite(task.peak_embeddings).all(axis=1))
    cells, of_known, losses = train_cell_network(
        task.counts[:, known], task.peak_embeddings[known], recipe, seed=task.seed, device=pick_device(task.device)
    )
    # A cell that opens none of these peaks was drawn by chance.
    cells[np.diff(task.counts[:, known].indptr) == 0] = 0
    peaks = np.zeros((task.counts.shape[1], cells.shape[1]), dtype=np.float32)
    peaks[known] = of_known
    return Represented(cells, peaks, {"cell_loss": losses})
