"""Pre-training on open peaks and expression: which genes are asked for, and that it goes on as if never killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from tests.methods.epifoundation._cells import cells, peaks, recipe

from scllmda.checkpoints import read_checkpoint
from scllmda.methods import Expression, Unlabeled
from scllmda.methods.epifoundation._pretrain import AlignedCells, Weights, draw_genes, pretrain_on_pairs

ROOT = Path(__file__).parents[3]
N_GENES = 20


def unlabeled(*, batch: bool = True) -> Unlabeled:
    """Return cells of three types, each with peaks and genes of its own; the last has neither."""
    data, labels = cells()
    rng = np.random.default_rng(1)
    rates = np.where(np.arange(N_GENES) % 3 == labels[:, None], 1.5, 0.2)
    values = np.log1p(rng.poisson(rates)).astype(np.float32)
    X = data.X.tolil()
    X[-1], values[-1] = 0, 0
    genes = tuple(f"gene {i}" for i in range(N_GENES))
    at = np.argsort(np.argsort(peaks(60).chrom, kind="stable"))
    return Unlabeled(
        sp.csr_matrix(X)[:, at],
        peaks(60),
        "hg38",
        Expression(sp.csr_matrix(values), genes),
        rng.integers(0, 2, 90) if batch else None,
    )


def train(folder: Path, data: Unlabeled | None = None, **changes: Any) -> list[float]:
    settings = recipe(pretrain_epochs=4, batch_size=16, accumulate=2, **changes)
    given = unlabeled() if data is None else data
    return pretrain_on_pairs(given, settings, output=folder, resume=True, device="cpu", seed=3)


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_as_many_expressed_genes_as_others_are_asked_for() -> None:
    expressed = np.array([1, 4, 5, 9])
    for n_drawn, n in ((4, 2), (5, 2), (100, 4)):
        yes, no = draw_genes(expressed, 30, n_drawn, np.random.default_rng(0))
        assert len(yes) == len(no) == n
        assert set(yes) <= set(expressed)
        assert not set(no) & set(expressed)
        assert (np.diff(no) > 0).all()
    # Of few genes that are not expressed, as few that are.
    yes, no = draw_genes(np.arange(28), 30, 100, np.random.default_rng(0))
    assert len(yes) == 2
    assert no.tolist() == [28, 29]
    every = np.concatenate([draw_genes(expressed, 30, 4, np.random.default_rng(i))[1] for i in range(200)])
    assert set(every) == set(range(30)) - set(expressed)


def test_what_is_drawn_follows_from_seed_epoch_and_cell() -> None:
    data, _ = cells()
    expressed = sp.csr_matrix(np.random.default_rng(0).random((90, N_GENES)) < 0.4)
    expressed.data = expressed.data.astype(np.uint8)
    corpus = AlignedCells(data, expressed, np.zeros(90, dtype=int), 6, 3)
    some = np.array([5, 2, 8])

    def drawn(epoch: int, chosen: np.ndarray = some) -> list[np.ndarray]:
        batch = corpus.batch(chosen, epoch)
        at, yes = batch.tensors[3].numpy(), batch.tensors[4].numpy()
        assert batch.n_targets == len(yes) == 6 * len(chosen)
        np.testing.assert_array_equal(expressed[chosen].toarray()[at[:, 0], at[:, 1]], yes)
        return [at[at[:, 0] == row, 1] for row in range(len(chosen))]

    first = drawn(0)
    for one, other in zip(first, drawn(0), strict=True):
        np.testing.assert_array_equal(one, other)
    assert any((one != other).any() for one, other in zip(first, drawn(1), strict=True))
    np.testing.assert_array_equal(drawn(0, some[[2]])[0], first[2])


def test_the_folder_has_all_there_is_to_know(tmp_path: Path) -> None:
    losses = train(tmp_path / "a")
    tensors, config = read_checkpoint(tmp_path / "a")
    assert config["model"] == "epifoundation"
    assert config["losses"] == losses
    assert len(config["vocabulary"]) == 60
    assert config["genes"] == sorted(f"gene {i}" for i in range(N_GENES))
    assert (config["n_batches"], config["build"], config["n_cells"]) == (2, "hg38", 89)
    assert tensors["network.batches.weight"].shape == (2, 16)
    found = Weights.read(str(tmp_path / "a"))
    assert found.of_genes.shape == (N_GENES, 16)
    assert found.losses == tuple(losses)


def test_learns_which_genes_go_with_which_peaks(tmp_path: Path) -> None:
    losses = pretrain_on_pairs(
        unlabeled(), recipe(pretrain_epochs=30, batch_size=8), output=tmp_path / "a", resume=True, device="cpu", seed=0
    )
    # As many are expressed as not, so that whoever knows nothing has log 2.
    assert losses[-1] < 0.8 * np.log(2) < losses[0] < 1.1 * np.log(2)


def test_the_order_of_peaks_and_genes_does_not_matter(tmp_path: Path) -> None:
    data = unlabeled()
    train(tmp_path / "a", data)
    rng = np.random.default_rng(0)
    at, of_genes = rng.permutation(60), rng.permutation(N_GENES)
    where = data.peaks
    assert data.expression is not None
    other = Unlabeled(
        data.counts[:, at],
        type(where)(where.chrom[at], where.start[at], where.end[at]),
        data.build,
        Expression(data.expression.values[:, of_genes], tuple(data.expression.genes[i] for i in of_genes)),
        data.batch,
    )
    train(tmp_path / "b", other)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_without_batches_there_is_no_embedding_of_them(tmp_path: Path) -> None:
    train(tmp_path / "a", unlabeled(batch=False))
    assert not [name for name in read_checkpoint(tmp_path / "a")[0] if "batches" in name]


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from tests.methods.epifoundation.test_pretrain import train
from scllmda.methods.epifoundation._pretrain import AlignedCells

batch = AlignedCells.batch

def fatal(self, cells, epoch):
    if epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return batch(self, cells, epoch)

AlignedCells.batch = fatal
torch.set_num_threads(int(sys.argv[2]))
train(Path(sys.argv[1]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill")
def test_killed_in_an_epoch_it_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed"), str(torch.get_num_threads())],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(read_checkpoint(tmp_path / "killed")[1]["losses"]) == 2
    whole = train(tmp_path / "whole")
    assert train(tmp_path / "killed") == whole
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


def test_another_schedule_is_not_gone_on_with(tmp_path: Path) -> None:
    train(tmp_path / "a")
    with pytest.raises(ValueError, match="another training: pretrain_epochs=4 instead of 5"):
        pretrain_on_pairs(
            unlabeled(),
            recipe(pretrain_epochs=5, batch_size=16, accumulate=2),
            output=tmp_path / "a",
            resume=True,
            device="cpu",
            seed=3,
        )


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="weights='x' in recipe= has no effect on pre-training"):
        train(tmp_path / "a", weights="x")
    data = unlabeled()
    data.counts.data[:] = 0
    with pytest.raises(ValueError, match="90 of 90 cells open no peak, and 1 express no gene or all, so that none is"):
        train(tmp_path / "a", data)
    assert not (tmp_path / "a").exists()
