"""Training on what is known of the reference's cells: one loop for all systems that end with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ._pretraining import autocast, in_batches

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Fitting:
    """How a network is trained, and what for."""

    title: str
    """For the progress bar."""
    n_epochs: int
    """At most."""
    batch_size: int
    """Cells per step."""
    lr: float
    """Learning rate of Adam."""
    factor: Callable[[int, int], float]
    """From a step, counted from 0 over all epochs, and the number of steps per epoch, to what ``lr`` is multiplied
    by."""
    patience: int
    """Epochs without a better score, after which training stops."""
    precision: str
    device: str
    min_steps: int = 1
    """Steps of an epoch, about, at least: few cells are passed over several times, in an order drawn anew, before the
    held-out cells are looked at again."""


@dataclass(frozen=True)
class Fitted:
    """What became of a training, by epoch."""

    losses: list[float]
    """Mean loss of the cells that were learned from."""
    scores: list[float]
    """Of the held-out cells; the higher, the better."""
    best_epoch: int
    """That whose network was kept, counted from 1."""


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


def learned_and_measured(held_out: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the cells that training sees and those it is measured on: all, where none is held out."""
    learned = np.flatnonzero(~held_out)
    return learned, np.flatnonzero(held_out) if held_out.any() else learned


def fit_best(
    network: torch.nn.Module,
    learned: NDArray[np.intp],
    fitting: Fitting,
    *,
    loss: Callable[[NDArray[np.intp]], torch.Tensor],
    score: Callable[[], tuple[float, float]],
    rng: np.random.Generator,
) -> Fitted:
    """Train until held-out cells are foretold no better, and keep the best network.

    Parameters
    ----------
    network
        Trained in place, on its device.
    learned
        Cells to learn from.
    fitting
        Epochs, sizes and learning rate.
    loss
        Mean loss of some of these cells.
    score
        How well the network foretells held-out cells; of epochs with the same first number that with the largest second
        is kept, and the first decides when to stop.
    rng
        Order of the cells.
    """
    import torch

    optimizer = torch.optim.Adam(network.parameters(), lr=fitting.lr)
    passes = max(1, round(fitting.min_steps * fitting.batch_size / len(learned)))
    steps = passes * -(-len(learned) // fitting.batch_size)
    losses: list[float] = []
    scores: list[float] = []
    best, kept, waited, best_epoch = (-np.inf, -np.inf), {}, 0, 0
    with tqdm(range(fitting.n_epochs), desc=fitting.title, unit="epoch", disable=None) as bar:
        for epoch in bar:
            network.train()
            total = 0.0
            orders = (in_batches(rng.permutation(learned), fitting.batch_size) for _ in range(passes))
            for step, batch in enumerate(chain.from_iterable(orders)):
                for group in optimizer.param_groups:
                    group["lr"] = fitting.lr * fitting.factor(epoch * steps + step, steps)
                with autocast(fitting.precision, fitting.device):
                    found = loss(batch)
                optimizer.zero_grad()
                found.backward()
                optimizer.step()
                total += found.item() * len(batch)
            losses.append(total / (passes * len(learned)))
            now = score()
            waited = 0 if now[0] > best[0] else waited + 1
            if now > best:
                best, best_epoch = now, epoch + 1
                kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
            scores.append(now[0])
            bar.set_postfix(loss=f"{losses[-1]:.4f}", held_out=f"{now[0]:.3f}", refresh=False)
            if waited >= fitting.patience:
                break
    network.load_state_dict(kept)
    return Fitted(losses, scores, best_epoch)


def score_labels(proba: NDArray[np.floating], labels: NDArray[np.integer]) -> tuple[float, float]:
    """Return the share of cells whose likeliest class is theirs, and the mean log probability of their own.

    Parameters
    ----------
    proba
        (n_cells, n_classes).
    labels
        (n_cells,) class codes.
    """
    right = float(np.mean(proba.argmax(axis=1) == labels))
    return right, float(np.mean(np.log(proba[np.arange(len(labels)), labels] + 1e-12)))
