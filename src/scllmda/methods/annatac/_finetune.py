"""Training on the reference's labels, and what the trained network says of cells."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from .._pretraining import autocast, in_batches
from ._network import CellClassifier
from ._recipe import AnnAtacRecipe
from ._tokens import IslandCells, Tokens


def hold_out(labels: NDArray[np.integer], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw the cells of each type that training does not see: a share, one at least of a type with three cells.

    Where no type has three, all cells are measured on, and none is held out.

    Returns
    -------
    (n_cells,) whether a cell is held out.
    """
    held_out = np.zeros(len(labels), dtype=bool)
    for code in np.unique(labels):
        cells = rng.permutation(np.flatnonzero(labels == code))
        n = max(round(share * len(cells)), 1) if len(cells) > 2 and share > 0 else 0
        held_out[cells[:n]] = True
    return held_out


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
    held_out = hold_out(labels, recipe.held_out, rng)
    learned = np.flatnonzero(~held_out)
    measured = np.flatnonzero(held_out) if held_out.any() else learned
    passes = max(1, round(recipe.min_steps * recipe.batch_size / len(learned)))
    weight = torch.from_numpy(class_weights(labels[learned], n_classes)).to(device)
    is_there = there(cells, device)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr)
    losses: list[float] = []
    accuracies: list[float] = []
    best, kept, waited = (-1.0, 0.0), {}, 0
    with tqdm(range(recipe.n_epochs), desc="annATAC, training on labels", unit="epoch", disable=None) as bar:
        for epoch in bar:
            network.train()
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr * recipe.factor(epoch, 1)
            total = 0.0
            for batch in chain.from_iterable(
                in_batches(rng.permutation(learned), recipe.batch_size) for _ in range(passes)
            ):
                with autocast(recipe.precision, device):
                    ids = torch.from_numpy(cells.tokens(batch, tokens)).to(device)
                    target = torch.from_numpy(labels[batch].astype(np.int64)).to(device)
                    loss = cross_entropy(network(ids, is_there)[0], target, weight=weight)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(batch)
            losses.append(total / (passes * len(learned)))
            proba = predict(network, cells.take(measured), tokens, recipe.batch_size, device)[0]
            right = float(np.mean(proba.argmax(axis=1) == labels[measured]))
            sure = float(np.mean(np.log(proba[np.arange(len(measured)), labels[measured]] + 1e-12)))
            waited = 0 if right > best[0] else waited + 1
            if (right, sure) > best:
                best, best_epoch = (right, sure), epoch + 1
                kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
            accuracies.append(right)
            bar.set_postfix(loss=f"{losses[-1]:.4f}", accuracy=f"{right:.3f}", refresh=False)
            if waited >= recipe.patience:
                break
    network.load_state_dict(kept)
    return {"loss": losses, "held_out_accuracy": accuracies, "best_epoch": best_epoch}


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
