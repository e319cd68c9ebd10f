"""Training on the reference's labels or expression, and what the trained network says of cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy, mse_loss

from .._finetuning import Fitted, Fitting, fit_best, hold_out, learned_and_measured, score_labels
from .._pretraining import in_batches
from ._cells import PeakCells
from ._network import CellClassifier, ExpressionPredictor
from ._recipe import EpiFoundationRecipe


def train_classifier(
    network: CellClassifier,
    cells: PeakCells,
    labels: NDArray[np.integer],
    recipe: EpiFoundationRecipe,
    *,
    rng: np.random.Generator,
    device: str,
) -> dict[str, Any]:
    """Train by cross-entropy (eq. 12) until held-out cells are labeled no better, and keep the best network.

    Of epochs with the same held-out accuracy the one with the smallest held-out loss is kept.

    Parameters
    ----------
    network
        Trained in place, on its device.
    cells, labels
        Of the reference.
    recipe
        Constants.
    rng
        Which cells are held out, the order of the others, and which peaks of cells with too many are read.
    device
        Torch device.

    Returns
    -------
    ``loss`` and ``held_out_accuracy`` of each epoch, and ``best_epoch``, counted from 1.
    """
    learned, measured = learned_and_measured(hold_out(labels, recipe.held_out, rng))
    held_out = cells.take(measured)

    def loss(batch: NDArray[np.intp]) -> torch.Tensor:
        target = torch.from_numpy(labels[batch].astype(np.int64)).to(device)
        return cross_entropy(network(*_tensors(cells, batch, device, rng))[0], target)

    def score() -> tuple[float, float]:
        proba = predict_labels(network, held_out, recipe.batch_size, device)[0]
        return score_labels(proba, labels[measured])

    title = "EpiFoundation, training on labels"
    found = _fit(network, learned, recipe, title, loss=loss, score=score, rng=rng, device=device)
    return {"loss": found.losses, "held_out_accuracy": found.scores, "best_epoch": found.best_epoch}


def predict_labels(
    network: CellClassifier, cells: PeakCells, batch_size: int, device: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return probabilities (n_cells, n_classes) and the states of [CLS] (n_cells, n_dims), without dropout."""

    def read(ids: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, states = network(ids, lengths)
        return torch.softmax(logits, dim=1), states

    proba, states = _read_out(network, read, cells, batch_size, device)
    return proba, states


@dataclass(frozen=True)
class Bins:
    """Levels of expression: 0 for none, the others by the quantiles of what is expressed in the reference (ours)."""

    edges: NDArray[np.floating]
    """Increasing, n_bins - 2 at most: where the levels above 1 begin."""
    per_level: NDArray[np.floating]
    """(n_genes,) mean expression of each gene over its mean level, by which levels are expression again; so the mean of
    what is foretold is that of the reference."""

    @classmethod
    def of(cls, expression: sp.csr_matrix, n_bins: int) -> Bins:
        """Return the levels of expression (n_cells, n_genes) that is 0 where there is none."""
        seen = expression.data[expression.data > 0].astype(np.float64)
        edges = np.zeros(0)
        if len(seen):
            edges = np.unique(np.quantile(seen, np.arange(1, n_bins - 1) / (n_bins - 1)))
        found = cls(edges, np.zeros(expression.shape[1]))
        total = np.asarray(expression.sum(axis=0, dtype=np.float64)).ravel()
        of_levels = np.asarray(found._sparse(expression).sum(axis=0, dtype=np.float64)).ravel()
        per_level = np.divide(total, of_levels, out=np.zeros_like(total), where=of_levels > 0)
        return cls(edges, per_level)

    def levels(self, expression: sp.csr_matrix) -> NDArray[np.float32]:
        """Return (n_cells, n_genes) levels, from 0 on."""
        return self._sparse(expression).toarray()

    def mean_levels(self, expression: sp.csr_matrix) -> NDArray[np.float32]:
        """Return (n_genes,) the mean level of each gene."""
        return np.asarray(self._sparse(expression).mean(axis=0), dtype=np.float32).ravel()

    def expression(self, levels: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the expression (n_cells, n_genes) that levels stand for."""
        return (levels * self.per_level).astype(np.float32)

    def _sparse(self, expression: sp.csr_matrix) -> sp.csr_matrix:
        level = 1 + np.searchsorted(self.edges, expression.data.astype(np.float64), side="right")
        level = np.where(expression.data > 0, level, 0).astype(np.float32)
        return sp.csr_matrix((level, expression.indices, expression.indptr), shape=expression.shape)


def train_predictor(
    network: ExpressionPredictor,
    cells: PeakCells,
    levels: Callable[[NDArray[np.intp]], NDArray[np.float32]],
    recipe: EpiFoundationRecipe,
    *,
    rng: np.random.Generator,
    device: str,
) -> dict[str, Any]:
    """Train by the mean squared error of levels (eq. 14) until it falls no more on held-out cells; keep the best.

    Parameters
    ----------
    network
        Trained in place, on its device.
    cells
        Of the reference.
    levels
        From positions of cells to the levels of all genes, (n, n_genes).
    recipe, rng, device
        See :func:`train_classifier`.

    Returns
    -------
    ``loss`` and ``held_out_error`` of each epoch, mean squared errors of levels, and ``best_epoch``, counted from 1.
    """
    of_one_type = np.zeros(len(cells), dtype=np.intp)
    learned, measured = learned_and_measured(hold_out(of_one_type, recipe.held_out, rng))
    held_out = cells.take(measured)

    def loss(batch: NDArray[np.intp]) -> torch.Tensor:
        target = torch.from_numpy(levels(batch)).to(device)
        return mse_loss(network(*_tensors(cells, batch, device, rng)).float(), target)

    def score() -> tuple[float, float]:
        found = predict_levels(network, held_out, recipe.batch_size, device)
        return -float(np.mean(np.square(found - levels(measured), dtype=np.float64))), 0.0

    title = "EpiFoundation, training on expression"
    found = _fit(network, learned, recipe, title, loss=loss, score=score, rng=rng, device=device)
    errors = [-value for value in found.scores]
    return {"loss": found.losses, "held_out_error": errors, "best_epoch": found.best_epoch}


def predict_levels(network: ExpressionPredictor, cells: PeakCells, batch_size: int, device: str) -> NDArray[np.float32]:
    """Return the levels of all genes (n_cells, n_genes), without dropout."""
    return _read_out(network, lambda *sets: (network(*sets),), cells, batch_size, device)[0]


def predict_probability(network: Any, cells: PeakCells, batch_size: int, device: str) -> NDArray[np.float32]:
    """Return the probability of a pre-trained network that cells express each gene (n_cells, n_genes)."""
    return _read_out(network, lambda *sets: (network.probability(network.encoder(*sets)),), cells, batch_size, device)[
        0
    ]


def embed(encoder: torch.nn.Module, cells: PeakCells, batch_size: int, device: str) -> NDArray[np.float32]:
    """Return the states of [CLS] (n_cells, n_dims), without dropout."""
    return _read_out(encoder, lambda *sets: (encoder(*sets),), cells, batch_size, device)[0]


def _fit(
    network: torch.nn.Module,
    learned: NDArray[np.intp],
    recipe: EpiFoundationRecipe,
    title: str,
    *,
    loss: Callable[[NDArray[np.intp]], torch.Tensor],
    score: Callable[[], tuple[float, float]],
    rng: np.random.Generator,
    device: str,
) -> Fitted:
    fitting = Fitting(
        title,
        recipe.n_epochs,
        recipe.batch_size,
        recipe.lr,
        lambda step, steps_per_epoch: recipe.factor(step, steps_per_epoch * recipe.n_epochs),
        recipe.patience,
        recipe.precision,
        device,
        recipe.min_steps,
    )
    return fit_best(network, learned, fitting, loss=loss, score=score, rng=rng)


def _tensors(
    cells: PeakCells, batch: NDArray[np.intp], device: str, rng: np.random.Generator | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the open peaks of cells, and the number of each cell's, on a device; drawn anew with ``rng``."""
    ids, lengths = cells.sets(batch, None if rng is None else lambda cell: rng)
    return torch.from_numpy(ids).to(device), torch.from_numpy(lengths).to(device)


def _read_out(
    network: torch.nn.Module,
    read: Callable[..., tuple[torch.Tensor, ...]],
    cells: PeakCells,
    batch_size: int,
    device: str,
) -> tuple[NDArray[np.float32], ...]:
    """Return what a network says of cells, in batches of cells with as many open peaks, in the order of the cells."""
    network.eval()
    order = np.argsort(-np.minimum(cells.n_open, cells.max_peaks), kind="stable")
    parts = []
    with torch.inference_mode():
        for batch in in_batches(order, batch_size):
            found = read(*_tensors(cells, batch, device))
            parts.append([tensor.float().cpu().numpy() for tensor in found])
    back = np.argsort(order)
    return tuple(np.concatenate(part)[back] for part in zip(*parts, strict=True))
