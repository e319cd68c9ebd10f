"""Training on the reference's labels, and what the trained network says of cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from .._finetuning import Fitting, fit_best, hold_out, learned_and_measured, score_labels
from .._pretraining import in_batches
from ._network import CellClassifier
from ._recipe import AnnAtacRecipe
from ._tokens import IslandCells, Tokens


def class_weights(labels: NDArray[np.integer], n_classes: int) -> NDArray[np.float32]:
    """Return the weight of each class in the loss, (1 − p)² where p is its share of the cells (released code)."""
    share = np.bincount(labels, minlength=n_classes) / len(labels)
    return ((1 - share) ** 2).astype(np.float32)


def begin_with_openness(
    network: CellClassifier, weight: torch.Tensor, cells: IslandCells, tokens: Tokens, batch_size: int, device: str
) -> None:
    """Let the number of an island begin as the openness that pre-training foretells there (ours).

    With w_c the weights of class c in the layer that foretells classes, it begins as a (Σ_c (c − c̄) w_c)·x + b, with a
    and b such that it has mean 2 and standard deviation 1 over the islands of some cells: large where an island is
    open, and next to never cut off by the ReLU that follows. At random (released code) it orders classes by chance, of
    which few labels do not rid it: with 5 % of the labels of simulated cells accuracy was .59 so begun, and .67 by
    openness.

    Parameters
    ----------
    network
        Changed in place.
    weight
        (n_values, n_dims) of the layer that foretells classes.
    cells
        The first ``batch_size`` of them are looked at.
    tokens
        What stands for values.
    batch_size
        Number of cells.
    device
        Torch device that the network is on.
    """
    some = np.arange(min(batch_size, cells.values.shape[0]))
    network.eval()
    with torch.inference_mode():
        ids = torch.from_numpy(cells.tokens(some, tokens)).to(device)
        x = network.encoder(ids, there(cells, device))[:, torch.from_numpy(cells.is_there).to(device)]
        classes = torch.arange(len(weight), dtype=weight.dtype)
        direction = ((classes - classes.mean()) @ weight.cpu()).to(device)
        openness = x @ direction
        scale = openness.std().clamp_min(1e-6)
        network.squeeze.weight.copy_(direction / scale)
        network.squeeze.bias.fill_(2 - openness.mean() / scale)


def train_classifier(
    network: CellClassifier,
    cells: IslandCells,
    labels: NDArray[np.integer],
    n_classes: int,
    tokens: Tokens,
    recipe: AnnAtacRecipe,
    *,
    rng: np.random.Generator,
    device: str,
) -> dict[str, Any]:
    """Train by class-weighted cross-entropy until held-out cells are labeled no better, and keep the best network.

    An epoch is one pass over the cells, or as many as make about ``min_steps``; each pass has every cell once. Of
    epochs with the same held-out accuracy the one with the smallest held-out loss is kept.

    Parameters
    ----------
    network
        Trained in place, on its device.
    cells, labels
        Of the reference.
    n_classes
        Number of classes.
    tokens
        What stands for values.
    recipe
        Constants.
    rng
        Which cells are held out, and the order of the others.
    device
        Torch device.

    Returns
    -------
    ``loss`` and ``held_out_accuracy`` of each epoch, and ``best_epoch``, counted from 1.
    """
    learned, measured = learned_and_measured(hold_out(labels, recipe.held_out, rng))
    weight = torch.from_numpy(class_weights(labels[learned], n_classes)).to(device)
    is_there = there(cells, device)

    def loss(batch: NDArray[np.intp]) -> torch.Tensor:
        ids = torch.from_numpy(cells.tokens(batch, tokens)).to(device)
        target = torch.from_numpy(labels[batch].astype(np.int64)).to(device)
        return cross_entropy(network(ids, is_there)[0], target, weight=weight)

    def score() -> tuple[float, float]:
        proba = predict(network, cells.take(measured), tokens, recipe.batch_size, device)[0]
        return score_labels(proba, labels[measured])

    fitting = Fitting(
        "annATAC, training on labels",
        recipe.n_epochs,
        recipe.batch_size,
        recipe.lr,
        recipe.factor,
        recipe.patience,
        recipe.precision,
        device,
        recipe.min_steps,
    )
    found = fit_best(network, learned, fitting, loss=loss, score=score, rng=rng)
    return {"loss": found.losses, "held_out_accuracy": found.scores, "best_epoch": found.best_epoch}


def predict(
    network: CellClassifier, cells: IslandCells, tokens: Tokens, batch_size: int, device: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return probabilities (n_cells, n_classes) and the aligned representation (n_cells, 128), without dropout."""
    network.eval()
    is_there, proba, aligned = there(cells, device), [], []
    with torch.inference_mode():
        for batch in in_batches(np.arange(cells.values.shape[0]), batch_size):
            logits, hidden = network(torch.from_numpy(cells.tokens(batch, tokens)).to(device), is_there)
            proba.append(torch.softmax(logits, dim=1).cpu().numpy())
            aligned.append(hidden.cpu().numpy())
    return np.concatenate(proba), np.concatenate(aligned)


def there(cells: IslandCells, device: str) -> torch.Tensor | None:
    """Return (n_islands,) whether the data have an island; None if they have all."""
    return None if cells.is_there.all() else torch.from_numpy(cells.is_there).to(device)
