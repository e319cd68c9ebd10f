"""A convolutional network from DNA to numbers, read from both strands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ._device import pick_device

_CHUNK = 1024
"""Number of sequences that are predicted in one step. 8,192 sequences take 1.2, 1.1, 1.5 and 2.2 s of CPU time with 64,
256, 1,024 and 4,096."""


@dataclass(frozen=True)
class CnnRecipe:
    """Constants of the network and its training.

    The layers are those of scBasset (Yuan & Kelley 2022, Nature Methods 19:1088), several times narrower and shorter:
    thousands of peaks rather than hundreds of thousands, and processors rather than GPUs. Where no origin is given, the
    value is ours, chosen so that 6,000 peaks train within a minute on one processor; twice the filters foretold the
    base rate of unseen peaks of four cell lines 0.02 to 0.03 better (correlation), at two to three times the cost.
    """

    n_filters: int = 32
    """Number of filters of every convolution."""
    stem_width: int = 11
    """Width of the first filters in bp: the core of a transcription-factor motif."""
    stem_pool: int = 4
    """Width in bp of the max pooling after the first convolution."""
    n_layers: int = 3
    """Number of convolutions after the first, each of width 5 and followed by max pooling of width 2, as in
    scBasset."""
    n_bottleneck: int = 32
    """Number of units of the last hidden layer, as in scBasset."""
    dropout: float = 0.2
    """Share of these units that is dropped in training, as in scBasset."""
    lr: float = 3e-3
    """Learning rate of AdamW."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW, the default of PyTorch."""
    batch_size: int = 64
    """Sequences per step of training; half of scBasset's, so that data sets with few peaks have enough steps."""
    patience: int = 4
    """Number of epochs without a higher held-out R², after which training stops."""


class SequenceCnn(nn.Module):
    """Convolutions on one-hot DNA, a bottleneck, and one linear output per target.

    Parameters
    ----------
    n_targets
        Number of outputs.
    recipe
        Widths and depths.
    """

    one_hot: torch.Tensor

    def __init__(self, n_targets: int, recipe: CnnRecipe) -> None:
        super().__init__()
        width = recipe.n_filters
        self.register_buffer("one_hot", torch.cat([torch.eye(4), torch.zeros(1, 4)]), persistent=False)
        self.tower = nn.Sequential(
            _block(4, width, recipe.stem_width, recipe.stem_pool),
            *(_block(width, width, 5, 2) for _ in range(recipe.n_layers)),
        )
        self.bottleneck = nn.Sequential(
            nn.Linear(width, recipe.n_bottleneck),
            nn.BatchNorm1d(recipe.n_bottleneck),
            nn.GELU(),
            nn.Dropout(recipe.dropout),
        )
        self.head = nn.Linear(recipe.n_bottleneck, n_targets)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Return outputs (n, n_targets) of codes (n, width): 0-3 for A, C, G and T, 4 for an unknown base."""
        x = self.one_hot[codes.int()].transpose(1, 2).unsqueeze(2)  # (n, 4, 1, width)
        x = self.tower(x)  # (n, n_filters, 1, positions)
        # Mean over positions: where in the peak a motif lies matters little, and takes more peaks to learn.
        return self.head(self.bottleneck(x.mean(dim=(2, 3))))


def _block(n_in: int, n_out: int, width: int, pool: int) -> nn.Sequential:
    # Pooling comes before normalization, which then has less to do. Convolutions are two-dimensional, of height 1,
    # because only those support the channels-last layout of one-hot DNA, which halves the time on a CPU.
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, (1, width), padding=(0, width // 2), bias=False),
        nn.MaxPool2d((1, pool)),
        nn.BatchNorm2d(n_out),
        nn.GELU(),
    ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def train_sequence_cnn(
    strands: NDArray[np.uint8],
    targets: NDArray[np.floating],
    weights: NDArray[np.floating],
    importance: NDArray[np.floating],
    held_out: NDArray[np.bool_],
    *,
    recipe: CnnRecipe,
    n_epochs: int,
    seed: int,
    device: str,
) -> tuple[SequenceCnn, list[float]]:
    r"""Train by weighted least squares, until held-out sequences are predicted no better.

    The loss is :math:`\sum_i w_i \sum_c q_c (t_{ic} - \hat t_{ic})^2`, with weights w of sequences and importance q of
    targets; each sequence shows one strand per epoch, drawn at random. The network returned is that of the epoch with
    the highest held-out :math:`R^2 = 1 - \sum_{ic} w_i q_c (t_{ic} - \hat t_{ic})^2 / \sum_{ic} w_i q_c t_{ic}^2`.

    Parameters
    ----------
    strands
        (2, n, width) codes of both strands of n sequences, each read 5' to 3': 0-3 for A, C, G, T, 4 for unknown.
    targets
        (n, n_targets), with a weighted mean of zero.
    weights
        (n,): weight of each sequence, the precision of its targets.
    importance
        (n_targets,): weight of each target.
    held_out
        (n,): whether a sequence is kept out of training, to decide when to stop.
    recipe
        Constants.
    n_epochs
        Largest number of epochs.
    seed
        Seed of initial weights, dropout, strands and order. The global generator of torch is left as it was.
    device
        Torch device, or "auto".

    Returns
    -------
    The network, ready to predict, and the held-out R² of each epoch.
    """
    device = pick_device(device)
    codes = torch.from_numpy(strands).to(device)
    T = torch.as_tensor(targets, dtype=torch.float32, device=device)
    w = torch.as_tensor(weights / weights.mean(), dtype=torch.float32, device=device)[:, None]
    q = torch.as_tensor(importance, dtype=torch.float32, device=device)
    learnt = torch.from_numpy(np.flatnonzero(~held_out)).to(device)
    kept = torch.from_numpy(np.flatnonzero(held_out)).to(device)
    batch_size = min(recipe.batch_size, len(learnt))
    null = (w[kept] * q * T[kept] ** 2).sum()
    history: list[float] = []
    best: dict[str, torch.Tensor] = {}
    with _one_thread(), torch.random.fork_rng(), torch.backends.cudnn.flags(deterministic=True, benchmark=False):
        torch.manual_seed(seed)
        network = SequenceCnn(T.shape[1], recipe).to(device)
        optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
        for epoch in range(n_epochs):
            network.train()
            # The rest that does not fill a batch is skipped: batch normalization needs the statistics of a full one.
            order = learnt[torch.randperm(len(learnt), device=device)][: len(learnt) // batch_size * batch_size]
            for batch in order.split(batch_size):
                strand = torch.randint(2, (batch_size,), device=device)
                error = network(codes[strand, batch]) - T[batch]
                loss = (w[batch] * q * error**2).sum() / batch_size
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            residual = _mean_of_strands(network, codes[:, kept]) - T[kept]
            history.append(float(1 - (w[kept] * q * residual**2).sum() / null))
            first_best = int(np.argmax(history))
            if first_best == epoch:
                best = {name: value.clone() for name, value in network.state_dict().items()}
            elif epoch - first_best >= recipe.patience:
                break
    network.load_state_dict(best)
    return network.eval(), history


def predict_sequence_cnn(network: SequenceCnn, strands: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the outputs (n, n_targets) of sequences, mean over both strands (2, n, width)."""
    codes = torch.from_numpy(strands).to(network.one_hot.device)
    return _mean_of_strands(network, codes).cpu().numpy()


@contextmanager
def _one_thread() -> Iterator[None]:
    # Steps are too small for several threads, which on a busy machine spend ten times as long waiting for each other.
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def _mean_of_strands(network: SequenceCnn, codes: torch.Tensor) -> torch.Tensor:
    network.eval()
    with torch.no_grad():
        return torch.cat([(network(chunk[0]) + network(chunk[1])) / 2 for chunk in codes.split(_CHUNK, dim=1)])
