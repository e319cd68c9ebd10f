"""The accessibility network of scLLMDA's first stage: from peak embeddings to the openness of each cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm.auto import tqdm


class AccessibilityNetwork(nn.Module):
    """Ŷ = σ(MLP(Z) W_o + b_o): one output unit per cell (scLLMDA eq. 2)."""

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


def train_accessibility(
    peaks_by_cells: sp.csr_matrix,
    embeddings: NDArray[np.floating],
    *,
    hidden: Sequence[int],
    dropout: float,
    lr: float,
    batch_size: int,
    n_epochs: int,
    seed: int,
    device: str,
) -> tuple[AccessibilityNetwork, list[float]]:
    """Train on binary accessibility by mean binary cross-entropy over peaks × cells (scLLMDA eq. 3), with Adam.

    Parameters
    ----------
    peaks_by_cells
        (n_peaks, n_cells) binary CSR.
    embeddings
        (n_peaks, d) float32.
    hidden, dropout, lr, batch_size, n_epochs
        As published: 512-256-128, 0.3, 1e-3, 1024 peaks, 400.
    seed
        Of weights, dropout and order; the global generator is left as it was.
    device
        Torch device.

    Returns
    -------
    The network, in evaluation mode, and the mean loss of each epoch.
    """
    n_peaks, n_cells = peaks_by_cells.shape
    history = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = AccessibilityNetwork(embeddings.shape[1], n_cells, hidden, dropout).to(device)
        optimiser = torch.optim.Adam(network.parameters(), lr=lr)
        Z = torch.from_numpy(np.ascontiguousarray(embeddings, dtype=np.float32)).to(device)
        for _ in tqdm(range(n_epochs), desc="cell embeddings", unit="epoch", disable=None):
            loss_sum = 0.0
            for batch in _batches(torch.randperm(n_peaks), batch_size):
                target = torch.from_numpy(peaks_by_cells[batch.numpy()].toarray()).to(device)
                loss = nn.functional.binary_cross_entropy_with_logits(network(Z[batch.to(device)]), target)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                loss_sum += loss.item() * len(batch)
            history.append(loss_sum / n_peaks)
    return network.eval(), history


def _batches(order: torch.Tensor, batch_size: int) -> list[torch.Tensor]:
    """Split; a last batch of one peak joins the one before, because batch normalisation needs two."""
    batches = list(order.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
