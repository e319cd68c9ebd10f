"""What networks share that carry labels from one domain's cell graph to another's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, rate: float) -> torch.Tensor:
        ctx.rate = rate
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return -ctx.rate * gradients[0], None


def reverse_gradient(x: torch.Tensor, rate: float) -> torch.Tensor:
    """Return x; its gradient is multiplied by −rate (Ganin & Lempitsky 2015)."""
    return _ReverseGradient.apply(x, rate)


@dataclass(frozen=True)
class Domain:
    """One domain's cells and graphs."""

    X: NDArray[np.floating]
    """(n_cells, d)."""
    adjacency: sp.csr_matrix
    """Normalized kNN graph, with self-loops."""
    ppmi: sp.csr_matrix | None = None
    """Normalized PPMI graph, for networks that read one."""

    def tensors(self, device: str) -> tuple[torch.Tensor, ...]:
        """Return features and graphs on a device: X, adjacency and, if there is one, PPMI."""
        X = torch.from_numpy(np.ascontiguousarray(self.X, dtype=np.float32)).to(device)
        return X, *(_sparse(graph, device) for graph in (self.adjacency, self.ppmi) if graph is not None)


def descend(
    optimizer: torch.optim.Optimizer, losses: Callable[[int], tuple[torch.Tensor, torch.Tensor]], n_epochs: int
) -> dict[str, list[float]]:
    """Take one full-batch step per epoch.

    Parameters
    ----------
    optimizer
        Holds the parameters.
    losses
        From an epoch, counted from 0, to the loss that is descended and the domain loss within it.
    n_epochs
        Fixed: nothing stops early.

    Returns
    -------
    Both losses by epoch: ``"loss"`` and ``"domain_loss"``.
    """
    history: dict[str, list[float]] = {"loss": [], "domain_loss": []}
    for epoch in tqdm(range(n_epochs), desc="graph domain adaptation", unit="epoch", disable=None):
        loss, domain_loss = losses(epoch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history["loss"].append(loss.item())
        history["domain_loss"].append(domain_loss.item())
    return history


def read_out(
    model: nn.Module, encode: Callable[[], tuple[torch.Tensor, torch.Tensor]]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return what a trained network says, without dropout.

    Parameters
    ----------
    model
        With a ``classifier`` of encoded cells.
    encode
        To encoded source (n_source, d) and target (n_target, d) cells.

    Returns
    -------
    Posteriors of the target (n_target, n_classes), encoded source and target cells.
    """
    model.eval()
    with torch.no_grad():
        source, target = encode()
        proba = torch.softmax(model.get_submodule("classifier")(target), dim=1)
    return proba.cpu().numpy(), source.cpu().numpy(), target.cpu().numpy()


def _sparse(matrix: sp.csr_matrix, device: str) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data.astype(np.float32)),
            size=matrix.shape,
            check_invariants=True,
        ).to(device)
