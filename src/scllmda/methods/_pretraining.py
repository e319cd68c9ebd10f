"""Training on cells without labels: one loop for all systems that are pre-trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..genomics import Intervals
from ._pretraining_state import TrainingState
from ._processes import Processes, processes

if TYPE_CHECKING:
    import torch

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Expression:
    """What genes cells express, measured in the same cells as their open peaks."""

    values: sp.csr_matrix
    """(n_cells, n_genes) log of 1 + counts per 10,000 of the cell; 0, which is not stored, where none was seen."""
    genes: tuple[str, ...]
    """(n_genes,) names, each once."""

    def only(self, genes: Sequence[str] | None) -> Expression:
        """Return the expression of some genes, in that order; of all if None."""
        if genes is None:
            return self
        return Expression(sp.csr_matrix(self.values[:, places(genes, self.genes)]), tuple(genes))


@dataclass(frozen=True)
class Unlabeled:
    """Cells without labels, as the caller gives them."""

    counts: sp.csr_matrix
    """(n_cells, n_peaks) counts."""
    peaks: Intervals
    """(n_peaks,) where the peaks, or islands, lie."""
    build: str | None = None
    """Genome build of the peaks, by the name that objects note; None if it is not known."""
    expression: Expression | None = None
    """Of the same cells in the same order; None for models that learn from open peaks alone."""
    batch: NDArray[np.integer] | None = None
    """(n_cells,) batch codes from 0 on; None where none were given."""


@dataclass(frozen=True)
class Batch:
    """What a network is trained on at once."""

    tensors: tuple[torch.Tensor, ...]
    """What its ``forward`` takes, on the CPU."""
    n_targets: int
    """Number of what is predicted, which the loss is a sum over."""


class Corpus(Protocol):
    """Cells without labels, as batches for a network."""

    def __len__(self) -> int:
        """Return the number of cells."""

    def batch(self, cells: NDArray[np.intp], epoch: int) -> Batch:
        """Return some cells as they are seen in an epoch; what is drawn depends on the cell and the epoch alone."""


@dataclass(frozen=True)
class Plan:
    """How a network is trained."""

    n_epochs: int
    batch_size: int
    """Cells that a process computes with at once."""
    accumulate: int
    """Batches of a process whose gradients are summed for a step."""
    lr: float
    """Learning rate of Adam."""
    factor: Callable[[int, int], float]
    """From a step, counted from 0 over all epochs, and the number of steps per epoch, to what ``lr`` is multiplied
    by."""
    seed: int
    device: str = "cpu"
    precision: str = "auto"
    """Of the forward pass, "float32" or "bfloat16"; "auto" is the latter on a GPU that has it."""


def pretrain(
    network: torch.nn.Module,
    corpus: Corpus,
    plan: Plan,
    *,
    folder: Path | None = None,
    config: Mapping[str, Any] | None = None,
    resume: bool = True,
) -> list[float]:
    """Train a network on each cell once per epoch, and keep what it takes to go on after each epoch.

    The order of the cells, what is drawn of them and dropout follow from the seed and the epoch: a training that was
    killed and gone on with ends with the same bytes, on the same CPU with as many threads. Under ``torchrun`` the cells
    of each step are shared among the processes, with the gradient that a single process would have; the first one
    writes.

    Parameters
    ----------
    network
        Returns the sum of the loss over the targets of a batch; trained in place, and left ready to predict.
    corpus
        Cells.
    plan
        Epochs, sizes and learning rate.
    folder
        Checkpoint that is written after each epoch; None to keep nothing.
    config
        What makes the training what it is, for the checkpoint; ``"model"`` is among it.
    resume
        Go on where the checkpoint in the folder ends.

    Returns
    -------
    The mean loss per target of each epoch, of those before a resumption too.

    Raises
    ------
    FileNotFoundError, FileExistsError, ValueError
        The folder is of something else, or of another training; see :class:`TrainingState`. The training diverged.
    """
    import torch

    state = None if folder is None else TrainingState(folder, config or {})
    with torch.random.fork_rng(), processes(plan.device) as crew:
        if state is not None:
            state.require_free(resume=resume)
        if len(corpus) < crew.size:
            msg = f"There are {len(corpus)} cells for {crew.size} processes; expected a cell for each at least."
            raise ValueError(msg)
        network.to(crew.device).train()
        optimizer = torch.optim.Adam(network.parameters(), lr=plan.lr)
        losses = [] if state is None or not resume else state.load(network, optimizer)
        crew.wait()
        shared = crew.parallel(network)
        for epoch in range(len(losses), plan.n_epochs):
            losses.append(_train_epoch(shared, corpus, plan, optimizer, crew, epoch))
            if state is not None and crew.is_first:
                state.save(network, optimizer, losses)
            crew.wait()
    network.eval()
    return losses


def steps_of_epoch(n_cells: int, plan: Plan, n_processes: int, epoch: int) -> list[NDArray[np.intp]]:
    """Return the cells of each step of an epoch: all of them once, in an order drawn anew.

    A last step with fewer cells than processes joins the one before.
    """
    order = np.random.default_rng([plan.seed, epoch]).permutation(n_cells)
    size = plan.batch_size * plan.accumulate * n_processes
    ends = list(range(size, n_cells, size))
    if ends and n_cells - ends[-1] < n_processes:
        ends.pop()
    return np.split(order, ends)


def _train_epoch(
    network: torch.nn.Module,
    corpus: Corpus,
    plan: Plan,
    optimizer: torch.optim.Optimizer,
    crew: Processes,
    epoch: int,
) -> float:
    """Take the steps of an epoch, and return the mean loss per target."""
    import torch
    from tqdm import tqdm

    torch.manual_seed(int(np.random.SeedSequence([plan.seed, epoch, crew.rank]).generate_state(1)[0]))
    steps = steps_of_epoch(len(corpus), plan, crew.size, epoch)
    loss_sum = n_all = 0.0
    title = f"pre-training, epoch {epoch + 1}/{plan.n_epochs}"
    with tqdm(steps, desc=title, unit="step", disable=None if crew.is_first else True) as bar:
        for step, cells in enumerate(bar):
            mine = cells[crew.rank :: crew.size]
            batches = [corpus.batch(part, epoch) for part in in_batches(mine, plan.batch_size)]
            n_targets = crew.sum(sum(batch.n_targets for batch in batches))
            for group in optimizer.param_groups:
                group["lr"] = plan.lr * plan.factor(epoch * len(steps) + step, len(steps))
            optimizer.zero_grad()
            loss_sum += crew.sum(_add_gradients(network, batches, plan, crew, n_targets))
            optimizer.step()
            n_all += n_targets
            bar.set_postfix(loss=f"{loss_sum / n_all:.4f}", refresh=False)
    return loss_sum / n_all


def _add_gradients(
    network: torch.nn.Module, batches: Sequence[Batch], plan: Plan, crew: Processes, n_targets: float
) -> float:
    """Add the gradients of a step, of the mean loss over its targets in all processes; return this one's sum."""
    loss_sum = 0.0
    for i, batch in enumerate(batches):
        with crew.apart(network, last=i == len(batches) - 1):
            with autocast(plan.precision, crew.device):
                loss = network(*(tensor.to(crew.device) for tensor in batch.tensors))
            # Gradients of the processes are averaged: a sum is wanted.
            (loss * (crew.size / n_targets)).backward()
        loss_sum += loss.item()
    return loss_sum


def in_batches(cells: NDArray[np.intp], size: int) -> Iterator[NDArray[np.intp]]:
    """Yield the cells, ``size`` at a time."""
    for first in range(0, len(cells), size):
        yield cells[first : first + size]


def places(genes: Sequence[str], known: Sequence[str]) -> NDArray[np.intp]:
    """Return where each gene is among those that are known.

    Raises
    ------
    ValueError
        There are none to be found, or some are not known, or asked for twice.
    """
    at = {name: i for i, name in enumerate(known)}
    unknown = [name for name in genes if name not in at]
    if unknown or not len(genes) or len(set(genes)) < len(genes):
        what = f"{len(unknown)} of {len(genes)} genes are not known (first: {unknown[0]!r})" if unknown else ""
        what = what or (f"Found {len(genes)} genes, of which {len(set(genes))} differ")
        msg = (
            f"{what}; expected some of the {len(known):,} genes (such as {known[0]!r}), each once. Pass var_names= "
            "those."
        )
        raise ValueError(msg)
    return np.array([at[name] for name in genes], dtype=np.intp)


def data_hash(*matrices: sp.csr_matrix) -> str:
    """Return a text that differs for other data: of matrices whose columns are in order."""
    found = sha256()
    for X in matrices:
        found.update(repr(X.shape).encode())
        for array in (X.indptr.astype(np.int64), X.indices.astype(np.int64), X.data):
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def autocast(precision: str, device: str) -> Any:
    """Return the context of a forward pass in a precision, one of ``PRECISIONS``."""
    import torch

    kind = device.partition(":")[0]
    if precision == "float32" or (precision == "auto" and not (kind == "cuda" and torch.cuda.is_bf16_supported())):
        return nullcontext()
    return torch.autocast(kind, dtype=torch.bfloat16)
