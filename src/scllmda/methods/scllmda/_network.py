"""The graph domain adaptation network of scLLMDA's second stage."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy
from torch_geometric.nn import GCNConv

from ...nn import Domain, descend, read_out, reverse_gradient
from ._recipe import ScllmdaRecipe


def reversal_rate(epoch: int, recipe: ScllmdaRecipe) -> float:
    """Return the factor of the reversed gradient in an epoch counted from 0: a ramp up to ``max_rate``."""
    return min((epoch + 1) / recipe.rate_epochs, recipe.max_rate)


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

    def __init__(self, n_dims: int, recipe: ScllmdaRecipe) -> None:
        super().__init__()
        self.first = GCNConv(n_dims, recipe.n_hidden, normalize=False)
        self.second = GCNConv(recipe.n_hidden, recipe.n_out, normalize=False)
        self.dropout = nn.Dropout(recipe.dropout)
        self.fusion = Fusion(recipe.n_out)

    def convolve(self, x: torch.Tensor, propagation: torch.Tensor) -> torch.Tensor:
        """Return (n_cells, n_out) of one graph, given as its normalized sparse propagation matrix."""
        return self.second(self.dropout(torch.relu(self.first(x, propagation))), propagation)

    def forward(self, x: torch.Tensor, adjacency: torch.Tensor, ppmi: torch.Tensor) -> torch.Tensor:
        """Return fused cell vectors (n_cells, n_out)."""
        return self.fusion(torch.stack([self.convolve(x, adjacency), self.convolve(x, ppmi)], dim=1))


class DomainAdapter(nn.Module):
    """Shared encoder, classifier and domain discriminator."""

    def __init__(self, n_dims: int, n_classes: int, recipe: ScllmdaRecipe) -> None:
        super().__init__()
        self.encoder = GraphEncoder(n_dims, recipe)
        self.classifier = nn.Linear(recipe.n_out, n_classes)
        self.discriminator = nn.Sequential(
            nn.Linear(recipe.n_out, recipe.n_discriminator),
            nn.ReLU(),
            nn.Dropout(recipe.dropout),
            nn.Linear(recipe.n_discriminator, 2),
        )


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


def train_adapter(
    source: Domain,
    target: Domain,
    labels: NDArray[np.integer],
    n_classes: int,
    recipe: ScllmdaRecipe,
    *,
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
        model = DomainAdapter(source.X.shape[1], n_classes, recipe).to(device)
        optimizer = torch.optim.Adam(model.parameters(), lr=recipe.lr)
        source_tensors, target_tensors = source.tensors(device), target.tensors(device)
        y = torch.from_numpy(labels.astype(np.int64)).to(device)

        def encode() -> tuple[torch.Tensor, torch.Tensor]:
            return model.encoder(*source_tensors), model.encoder(*target_tensors)

        def losses(epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
            rate = reversal_rate(epoch, recipe)
            return adapter_loss(model, *encode(), y, domain_weight=recipe.domain_weight, rate=rate)

        history = descend(optimizer, losses, recipe.n_epochs)
    return *read_out(model, encode), history
