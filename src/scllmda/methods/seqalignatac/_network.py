"""The asymmetric graph network of A2GNN (Liu et al. 2024, AAAI), the second stage of seqAlignATAC."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy
from torch_geometric.nn import GCNConv

from ...nn import Domain, descend, read_out, reverse_gradient
from ._recipe import SeqAlignAtacRecipe

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

    def __init__(self, n_dims: int, n_classes: int, recipe: SeqAlignAtacRecipe) -> None:
        super().__init__()
        self.first = PropagatingConv(n_dims, recipe.n_hidden)
        self.second = PropagatingConv(recipe.n_hidden, recipe.n_hidden)
        self.dropout = nn.Dropout(recipe.dropout)
        self.classifier = nn.Linear(recipe.n_hidden, n_classes)
        self.discriminator = nn.Linear(recipe.n_hidden, 2)

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


class Alignment(Protocol):
    """How the encoded cells of both domains are drawn over one another."""

    weight: float
    """Of its loss, beside the cross-entropy of the labels (λ in seqAlignATAC eq. 21)."""

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimizer that the whole network is trained by."""

    def loss(
        self, model: AsymmetricAdapter, source: torch.Tensor, target: torch.Tensor, progress: float
    ) -> torch.Tensor:
        """Return the loss of encoded cells, (n_source, d) and (n_target, d), at a share of the epochs done."""


class Adversary:
    """Alignment by a discriminator whose gradient is reversed, trained by gradient descent with momentum."""

    def __init__(self, recipe: SeqAlignAtacRecipe) -> None:
        self.recipe, self.weight = recipe, recipe.adversary_weight

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimizer of the released code."""
        recipe = self.recipe
        return torch.optim.SGD(
            parameters,
            lr=recipe.adversary_lr,
            momentum=recipe.adversary_momentum,
            weight_decay=recipe.adversary_weight_decay,
        )

    def loss(
        self, model: AsymmetricAdapter, source: torch.Tensor, target: torch.Tensor, progress: float
    ) -> torch.Tensor:
        """Return the cross-entropy of the domains, averaged over the cells of both (seqAlignATAC eq. 17-20)."""
        logits = model.discriminator(reverse_gradient(torch.cat([source, target]), adversarial_schedule(progress)))
        domain = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        domain[len(source) :] = 1
        return cross_entropy(logits, domain)


class Mmd:
    """Alignment by maximum mean discrepancy, trained by Adam."""

    def __init__(self, recipe: SeqAlignAtacRecipe) -> None:
        self.recipe, self.weight = recipe, recipe.mmd_weight

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimizer of the released code."""
        return torch.optim.Adam(parameters, lr=self.recipe.mmd_lr, weight_decay=self.recipe.mmd_weight_decay)

    def loss(
        self, model: AsymmetricAdapter, source: torch.Tensor, target: torch.Tensor, progress: float
    ) -> torch.Tensor:
        """Return the mean squared MMD of some draws of cells of each domain, with replacement."""
        n_cells = self.recipe.mmd_cells
        draws = [
            squared_mmd(*(cells[torch.randint(len(cells), (n_cells,))] for cells in (source, target)))
            for _ in range(self.recipe.mmd_draws)
        ]
        return torch.stack(draws).mean()


ALIGNMENTS: dict[str, type[Adversary] | type[Mmd]] = {"adversarial": Adversary, "mmd": Mmd}
"""What ``SeqAlignAtacRecipe.alignment`` may be."""


def train_asymmetric_adapter(
    source: Domain,
    target: Domain,
    labels: NDArray[np.integer],
    n_classes: int,
    recipe: SeqAlignAtacRecipe,
    *,
    seed: int,
    device: str,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], dict[str, list[float]]]:
    """Train full-batch for a fixed number of epochs: classification loss plus weighted alignment (seqAlignATAC eq. 21).

    Returns
    -------
    Posteriors of the target (n_target, n_classes), encoded source and target cells, and the losses by epoch.
    """
    alignment: Alignment = ALIGNMENTS[recipe.alignment](recipe)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AsymmetricAdapter(source.X.shape[1], n_classes, recipe).to(device)
        X_source, A_source = source.tensors(device)
        X_target, A_target = target.tensors(device)
        y = torch.from_numpy(labels.astype(np.int64)).to(device)

        def encode() -> tuple[torch.Tensor, torch.Tensor]:
            # Shallow on the source, where labels say enough; K propagations on the target (eq. 9-15).
            return model.encode(X_source, A_source, 0), model.encode(X_target, A_target, recipe.n_propagations)

        def losses(epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
            encoded_source, encoded_target = encode()
            domain_loss = alignment.loss(model, encoded_source, encoded_target, epoch / recipe.n_epochs)
            return cross_entropy(model.classifier(encoded_source), y) + alignment.weight * domain_loss, domain_loss

        history = descend(alignment.optimizer(model.parameters()), losses, recipe.n_epochs)
    return *read_out(model, encode), history
