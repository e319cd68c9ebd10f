"""The graph domain adaptation network of scLLMDA's second stage."""

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
from torch.nn.functional import cross_entropy
from torch_geometric.nn import GCNConv
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


def reversal_rate(epoch: int, *, rate_epochs: int, max_rate: float) -> float:
    """Return the factor of the reversed gradient in an epoch counted from 0: a ramp up to ``max_rate``."""
    return min((epoch + 1) / rate_epochs, max_rate)


class Fusion(nn.Module):
    """Attention over the local and the global view of each cell (scLLMDA eq. 11-14)."""

    def __init__(self, n_dims: int) -> None:
        super().__init__()
        self.query = nn.Linear(n_dims, n_dims)
        self.key = nn.Linear(n_dims, n_dims)
        self.value = nn.Linear(n_dims, n_dims)

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        """Fuse (n_cells, n_views, d) into (n_cells, d): softmax(QKᵀ/√d) V, summed over views."""
        q, k, v = self.query(views), self.key(views), self.value(views)
        attention = torch.softmax(q @ k.transpose(1, 2) / views.shape[-1] ** 0.5, dim=-1)
        return (attention @ v).sum(dim=1)


class GraphEncoder(nn.Module):
    """Two graph convolutions, the same weights on the adjacency (AgConv) and the PPMI graph (PgConv), then fusion."""

    def __init__(self, n_dims: int, n_hidden: int, n_out: int, dropout: float) -> None:
        super().__init__()
        self.first = GCNConv(n_dims, n_hidden, normalize=False)
        self.second = GCNConv(n_hidden, n_out, normalize=False)
        self.dropout = nn.Dropout(dropout)
        self.fusion = Fusion(n_out)

    def convolve(self, x: torch.Tensor, propagation: torch.Tensor) -> torch.Tensor:
        """Return (n_cells, n_out) of one graph, given as its normalized sparse propagation matrix."""
        return self.second(self.dropout(torch.relu(self.first(x, propagation))), propagation)

    def forward(self, x: torch.Tensor, adjacency: torch.Tensor, ppmi: torch.Tensor) -> torch.Tensor:
        """Return fused cell vectors (n_cells, n_out)."""
        return self.fusion(torch.stack([self.convolve(x, adjacency), self.convolve(x, ppmi)], dim=1))


class DomainAdapter(nn.Module):
    """Shared encoder, classifier and domain discriminator."""

    def __init__(
        self, n_dims: int, n_classes: int, *, n_hidden: int, n_out: int, n_discriminator: int, dropout: float
    ) -> None:
        super().__init__()
        self.encoder = GraphEncoder(n_dims, n_hidden, n_out, dropout)
        self.classifier = nn.Linear(n_out, n_classes)
        self.discriminator = nn.Sequential(
            nn.Linear(n_out, n_discriminator), nn.ReLU(), nn.Dropout(dropout), nn.Linear(n_discriminator, 2)
        )


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


def adapter_loss(
    model: DomainAdapter,
    source: torch.Tensor,
    target: torch.Tensor,
    labels: torch.Tensor,
    *,
    domain_weight: float,
    rate: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return classification loss plus weighted domain loss, and the domain loss (scLLMDA eq. 15-17).

    Parameters
    ----------
    model
        Holds the heads.
    source, target
        (n_source, d) and (n_target, d) encoded cells.
    labels
        (n_source,) class codes.
    domain_weight
        λ.
    rate
        Factor of the reversed gradient.
    """
    domain = torch.zeros((), device=source.device)
    for code, cells in enumerate((source, target)):
        is_code = torch.full((len(cells),), code, dtype=torch.long, device=cells.device)
        domain = domain + cross_entropy(model.discriminator(reverse_gradient(cells, rate)), is_code)
    return cross_entropy(model.classifier(source), labels) + domain_weight * domain, domain


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


def train_adapter(
    source: Domain,
    target: Domain,
    labels: NDArray[np.integer],
    n_classes: int,
    *,
    n_hidden: int,
    n_out: int,
    n_discriminator: int,
    dropout: float,
    lr: float,
    domain_weight: float,
    max_rate: float,
    rate_epochs: int,
    n_epochs: int,
    seed: int,
    device: str,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], dict[str, list[float]]]:
    """Train full-batch with Adam for a fixed number of epochs.

    Returns
    -------
    Posteriors of the target (n_target, n_classes), encoded source and target cells, and the losses by epoch.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = DomainAdapter(
            source.X.shape[1],
            n_classes,
            n_hidden=n_hidden,
            n_out=n_out,
            n_discriminator=n_discriminator,
            dropout=dropout,
        ).to(device)
        optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        source_tensors, target_tensors = source.tensors(device), target.tensors(device)
        y = torch.from_numpy(labels.astype(np.int64)).to(device)

        def encode() -> tuple[torch.Tensor, torch.Tensor]:
            return model.encoder(*source_tensors), model.encoder(*target_tensors)

        def losses(epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
            return adapter_loss(
                model,
                *encode(),
                y,
                domain_weight=domain_weight,
                rate=reversal_rate(epoch, rate_epochs=rate_epochs, max_rate=max_rate),
            )

        history = descend(optimizer, losses, n_epochs)
    return *read_out(model, encode), history


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
