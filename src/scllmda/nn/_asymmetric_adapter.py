"""The asymmetric graph network of A2GNN (Liu et al. 2024, AAAI), the second stage of seqAlignATAC."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy
from torch_geometric.nn import GCNConv

from ._domain_adapter import Domain, descend, read_out, reverse_gradient

N_KERNELS = 5
"""Released A2GNN code."""
WIDEST_KERNEL = 4.0
"""Its bandwidth as multiple of the mean squared distance, halved from kernel to kernel; released A2GNN code."""


def adversarial_schedule(progress: float) -> float:
    """Return the factor of the reversed gradient at a share of all epochs (seqAlignATAC eq. 20): from 0 towards 1."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


def squared_mmd(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the squared maximum mean discrepancy of two sets of vectors (Gretton et al. 2012, eq. 5).

    The kernel is the sum of Gaussians exp(−‖x − y‖² / b) with b at 4, 2, 1, 1/2 and 1/4 of the mean squared distance
    among all vectors, itself a constant to the gradient (released A2GNN code, after Long et al. 2015).

    Parameters
    ----------
    source, target
        (n_source, d) and (n_target, d).
    """
    x = torch.cat([source, target])
    size = x.square().sum(dim=1)
    distance = (size[:, None] + size - 2 * x @ x.T).clamp(min=0)
    # Where all vectors are the same one, 0 / 0 would be no number.
    mean = (distance.detach().sum() / (len(x) * (len(x) - 1))).clamp(min=1e-12)
    gaussian = torch.exp(-distance / (WIDEST_KERNEL * mean))
    kernel = gaussian
    for _ in range(N_KERNELS - 1):
        # Half the bandwidth is the square: far cheaper than another exponential.
        gaussian = gaussian.square()
        kernel = kernel + gaussian
    n = len(source)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


class PropagatingConv(GCNConv):
    """Graph convolution Â^K X W + b: one transformation, any number of propagations, the same weights for all."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, n_out, normalize=False)

    def forward(self, x: torch.Tensor, propagation: torch.Tensor, n_propagations: int) -> torch.Tensor:
        """Return (n_cells, n_out); without propagations a linear map."""
        x = self.lin(x)
        for _ in range(n_propagations):
            x = self.propagate(propagation, x=x, edge_weight=None)
        return x + self.bias


class AsymmetricAdapter(nn.Module):
    """Shallow on the source, deep on the target, with the same weights; classifier and domain discriminator.

    Source: GCN → linear → classifier. Target: GCN → the same linear map, propagated K times → the same classifier
    (seqAlignATAC eq. 8-15).
    """

    def __init__(self, n_dims: int, n_classes: int, *, n_hidden: int, dropout: float) -> None:
        super().__init__()
        self.first = PropagatingConv(n_dims, n_hidden)
        self.second = PropagatingConv(n_hidden, n_hidden)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(n_hidden, n_classes)
        self.discriminator = nn.Linear(n_hidden, 2)

    def encode(self, x: torch.Tensor, propagation: torch.Tensor, n_propagations: int) -> torch.Tensor:
        """Return encoded cells (n_cells, n_hidden).

        Parameters
        ----------
        x
            (n_cells, d).
        propagation
            (n_cells, n_cells) normalized sparse graph Â.
        n_propagations
            Of the second convolution: 0 on the source, K on the target.
        """
        x = self.dropout(torch.relu(self.first(x, propagation, 1)))
        return torch.relu(self.second(x, propagation, n_propagations))


@dataclass(frozen=True)
class Adversary:
    """Alignment by a discriminator whose gradient is reversed, trained by gradient descent with momentum."""

    weight: float
    lr: float
    momentum: float
    weight_decay: float

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimizer of the released code."""
        return torch.optim.SGD(parameters, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)

    def loss(
        self, model: AsymmetricAdapter, source: torch.Tensor, target: torch.Tensor, progress: float
    ) -> torch.Tensor:
        """Return the cross-entropy of the domains, averaged over the cells of both (seqAlignATAC eq. 17-20).

        Parameters
        ----------
        model
            Holds the discriminator.
        source, target
            (n_source, d) and (n_target, d) encoded cells.
        progress
            Share of the epochs done, 0-1.
        """
        logits = model.discriminator(reverse_gradient(torch.cat([source, target]), adversarial_schedule(progress)))
        domain = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        domain[len(source) :] = 1
        return cross_entropy(logits, domain)


@dataclass(frozen=True)
class Mmd:
    """Alignment by maximum mean discrepancy, trained by Adam."""

    weight: float
    lr: float
    weight_decay: float
    n_draws: int
    n_cells: int

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimizer of the released code."""
        return torch.optim.Adam(parameters, lr=self.lr, weight_decay=self.weight_decay)

    def loss(
        self, model: AsymmetricAdapter, source: torch.Tensor, target: torch.Tensor, progress: float
    ) -> torch.Tensor:
        """Return the mean squared MMD of ``n_draws`` draws of ``n_cells`` cells of each domain, with replacement.

        Parameters
        ----------
        model, progress
            Not read: taken to have the signature of :class:`Adversary`.
        source, target
            (n_source, d) and (n_target, d) encoded cells.
        """
        draws = [
            squared_mmd(*(cells[torch.randint(len(cells), (self.n_cells,))] for cells in (source, target)))
            for _ in range(self.n_draws)
        ]
        return torch.stack(draws).mean()


def train_asymmetric_adapter(
    source: Domain,
    target: Domain,
    labels: NDArray[np.integer],
    n_classes: int,
    *,
    alignment: Adversary | Mmd,
    n_hidden: int,
    n_propagations: int,
    dropout: float,
    n_epochs: int,
    seed: int,
    device: str,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], dict[str, list[float]]]:
    """Train full-batch for a fixed number of epochs: classification loss plus weighted alignment (seqAlignATAC eq. 21).

    Returns
    -------
    Posteriors of the target (n_target, n_classes), encoded source and target cells, and the losses by epoch.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AsymmetricAdapter(source.X.shape[1], n_classes, n_hidden=n_hidden, dropout=dropout).to(device)
        X_source, A_source = source.tensors(device)
        X_target, A_target = target.tensors(device)
        y = torch.from_numpy(labels.astype(np.int64)).to(device)

        def encode() -> tuple[torch.Tensor, torch.Tensor]:
            return model.encode(X_source, A_source, 0), model.encode(X_target, A_target, n_propagations)

        def losses(epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
            encoded_source, encoded_target = encode()
            domain_loss = alignment.loss(model, encoded_source, encoded_target, epoch / n_epochs)
            return cross_entropy(model.classifier(encoded_source), y) + alignment.weight * domain_loss, domain_loss

        history = descend(alignment.optimizer(model.parameters()), losses, n_epochs)
    return *read_out(model, encode), history
