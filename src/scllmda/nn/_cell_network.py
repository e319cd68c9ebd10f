"""The first stage of scLLMDA and seqAlignATAC: a network from peak embeddings to the openness of each cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from ._device import pick_device


class CellNetwork(nn.Module):
    """Ŷ = σ(MLP(Z) W_o + b_o): one output unit per cell (scLLMDA eq. 2, seqAlignATAC eq. 1-3)."""

    def __init__(self, n_dims: int, n_cells: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for width in hidden:
            blocks += [nn.Linear(n_dims, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)]
            n_dims = width
        self.body = nn.Sequential(*blocks)
        self.cells = nn.Linear(n_dims, n_cells)

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return logits (n_peaks, n_cells)."""
        return self.cells(self.body(embeddings))


class CellNetworkRecipe(Protocol):
    """Constants that a system's recipe has to have for this network; their values are the system's."""

    @property
    def cell_hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers; the last is the number of dimensions of a cell."""

    @property
    def cell_dropout(self) -> float:
        """Share of units switched off after each hidden layer."""

    @property
    def cell_lr(self) -> float:
        """Learning rate of Adam."""

    @property
    def cell_batch_size(self) -> int:
        """Peaks per step."""

    @property
    def cell_epochs(self) -> int:
        """Passes over the peaks."""

    @property
    def min_open(self) -> float:
        """Share of the cells that have to open a peak for it to be trained on."""


def train_cell_network(
    X: sp.csr_matrix,
    embeddings: NDArray[np.floating],
    recipe: CellNetworkRecipe,
    *,
    seed: int,
    device: str,
) -> tuple[NDArray[np.float32], NDArray[np.float32], list[float]]:
    """Train on binary accessibility by mean binary cross-entropy over peaks × cells, with Adam.

    It is eq. 3 of scLLMDA and eq. 4 of seqAlignATAC. Cost grows with peaks × cells: that is the published recipe.

    Parameters
    ----------
    X
        (n_cells, n_peaks) binary CSR.
    embeddings
        (n_peaks, d) float32.
    recipe
        Constants. Peaks open in a smaller share of all cells than ``min_open`` are left out of the training.
    seed
        Of weights, dropout and order; the global generator is left as it was.
    device
        Torch device, or "auto".

    Returns
    -------
    Cells (n_cells, k): the columns of W_o, without the biases, which are depth; peaks (n_peaks, k): the last hidden
    layer of every peak, with dropout off; the mean loss of each epoch.

    Raises
    ------
    ValueError
        Fewer than two peaks are open in enough cells.
    """
    device = pick_device(device)
    by_peak = sp.csr_matrix(X.T)
    frequent = np.flatnonzero(np.diff(by_peak.indptr) >= recipe.min_open * X.shape[0])
    if len(frequent) < 2:
        msg = f"{len(frequent)} of {X.shape[1]} peaks are open in {recipe.min_open:.0%} of the cells; expected two."
        raise ValueError(msg)
    by_peak = by_peak[frequent]
    Z = torch.from_numpy(np.ascontiguousarray(embeddings, dtype=np.float32))
    history = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = CellNetwork(Z.shape[1], X.shape[0], recipe.cell_hidden, recipe.cell_dropout).to(device)
        optimizer = torch.optim.Adam(network.parameters(), lr=recipe.cell_lr)
        for _ in tqdm(range(recipe.cell_epochs), desc="cell embeddings", unit="epoch", disable=None):
            loss_sum = 0.0
            for batch in _batches(torch.randperm(len(frequent)), recipe.cell_batch_size):
                target = torch.from_numpy(by_peak[batch.numpy()].toarray()).to(device)
                logits = network(Z[frequent[batch.numpy()]].to(device))
                loss = nn.functional.binary_cross_entropy_with_logits(logits, target)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                loss_sum += loss.item() * len(batch)
            history.append(loss_sum / len(frequent))
    network.eval()
    with torch.no_grad():
        peaks = torch.cat([network.body(chunk.to(device)).cpu() for chunk in Z.split(8192)])
    return network.cells.weight.detach().cpu().numpy().copy(), peaks.numpy(), history


def _batches(order: torch.Tensor, batch_size: int) -> list[torch.Tensor]:
    """Split; a last batch of one peak joins the one before, because batch normalization needs two."""
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
