"""Small sets of cells, and networks that are quick to train."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from scllmda.genomics import Intervals
from scllmda.methods import make_recipe
from scllmda.methods.epifoundation._cells import PeakCells
from scllmda.methods.epifoundation._network import PeakSetEncoder, Sizes
from scllmda.methods.epifoundation._pretrain import make_encoder
from scllmda.methods.epifoundation._vocabulary import Vocabulary


def recipe(**changes: Any) -> Any:
    tiny = {"preset": "small", "n_dims": 16, "n_layers": 2, "n_hidden": 32, "n_epochs": 8, "lr": 3e-3, "min_steps": 1}
    return make_recipe("epifoundation", {**tiny, **changes})


def peaks(n_peaks: int) -> Intervals:
    """Return peaks on three contigs."""
    at = np.arange(n_peaks)
    return Intervals(np.array(["chr1", "chr2", "chrX"])[at % 3], 1000 * at, 1000 * at + 500)


def cells(n_cells: int = 90, n_peaks: int = 60, *, max_peaks: int = 12_000) -> tuple[PeakCells, np.ndarray]:
    """Return cells of three types, each with peaks of its own."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(n_cells) % 3)
    openness = np.where(np.arange(n_peaks) // 3 % 3 == labels[:, None], 0.6, 0.1)
    X = sp.csr_matrix((rng.random((n_cells, n_peaks)) < openness).astype(np.float32))
    vocabulary = Vocabulary.of(peaks(n_peaks))
    placed, _, _ = vocabulary.place(X, peaks(n_peaks), min_overlap=0.5, what="data", source="the data")
    return PeakCells(placed, vocabulary, max_peaks), labels


def encoder(data: PeakCells, settings: Any) -> PeakSetEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_encoder(data.vocabulary, Sizes.of(settings), settings)
