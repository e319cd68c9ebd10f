"""The loop that pre-trains: each cell once per epoch, the same whatever interrupts or shares it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from scllmda.checkpoints import read_checkpoint, write_checkpoint
from scllmda.methods._pretraining import Batch, Plan, autocast, pretrain, steps_of_epoch

ROOT = Path(__file__).parents[2]


def plan(**changes: Any) -> Plan:
    shape: dict[str, Any] = {"n_epochs": 3, "batch_size": 4, "accumulate": 2, "lr": 0.05, "seed": 7}
    return Plan(**{"factor": lambda step, per_epoch: 0.9 ** (step // per_epoch), **shape, **changes})


class Line(nn.Module):
    """A line with dropout, and its summed squared error."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.line, self.dropout = nn.Linear(3, 1), nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (self.line(self.dropout(x))[:, 0] - y).square().sum()


class Points:
    """Cells with as many targets each as their number tells, one to three."""

    def __init__(self, n: int = 21) -> None:
        rng = np.random.default_rng(0)
        self.x = torch.from_numpy(rng.standard_normal((n, 3)).astype(np.float32))
        self.seen: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, cells: Sequence[int], epoch: int) -> Batch:
        self.seen += [(epoch, int(cell)) for cell in cells]
        rows = np.repeat(cells, np.asarray(cells) % 3 + 1)
        return Batch((self.x[rows], self.x[rows].sum(dim=1) + epoch), len(rows))


def line(dropout: float = 0.0) -> Line:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Line(dropout)


def test_every_cell_is_seen_once_per_epoch_in_another_order() -> None:
    points = Points()
    losses = pretrain(line(), points, plan())
    assert len(losses) == 3
    orders = [[cell for epoch, cell in points.seen if epoch == e] for e in range(3)]
    assert all(sorted(order) == list(range(21)) for order in orders)
    assert orders[0] != orders[1]


@pytest.mark.parametrize(("n_cells", "n_processes"), [(21, 1), (16, 1), (17, 2), (33, 3), (3, 2), (24, 3)])
def test_steps_have_a_cell_for_each_process(n_cells: int, n_processes: int) -> None:
    steps = steps_of_epoch(n_cells, plan(), n_processes, 0)
    assert sorted(np.concatenate(steps)) == list(range(n_cells))
    assert min(map(len, steps)) >= n_processes
    assert all(len(step) == 8 * n_processes for step in steps[:-2])


def test_is_adam_on_the_mean_over_the_targets_of_a_step() -> None:
    points, network, given = Points(), line(), plan(n_epochs=2)
    losses = pretrain(network, points, given)
    other, optimum = line(), []
    optimizer = torch.optim.Adam(other.parameters(), lr=0.05)
    for epoch in range(2):
        total, n = 0.0, 0
        for cells in steps_of_epoch(21, given, 1, epoch):
            optimizer.param_groups[0]["lr"] = 0.05 * 0.9**epoch
            batch = points.batch(cells, epoch)
            optimizer.zero_grad()
            loss = other(*batch.tensors)
            (loss / batch.n_targets).backward()
            optimizer.step()
            total, n = total + loss.item(), n + batch.n_targets
        optimum.append(total / n)
    np.testing.assert_allclose(losses, optimum, rtol=1e-5)
    for one, expected in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, expected)


def test_random_numbers_of_the_user_are_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    pretrain(line(0.5), Points(), plan(n_epochs=1))
    torch.testing.assert_close(torch.rand(2), expected, rtol=0, atol=0)


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_goes_on_where_it_ended(tmp_path: Path) -> None:
    config = {"model": "line"}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = pretrain(line(0.3), Points(), plan(), folder=whole, config=config)
    pretrain(line(0.3), Points(), plan(n_epochs=1), folder=parts, config=config)
    other = line(0.3)
    assert pretrain(other, Points(), plan(), folder=parts, config=config) == expected
    assert files_of(parts) == files_of(whole)
    done = Points()
    assert pretrain(line(0.3), done, plan(), folder=parts, config=config) == expected
    assert not done.seen, "nothing is left to do"
    anew = pretrain(line(0.3), Points(), plan(n_epochs=1), folder=parts, config=config, resume=False)
    assert anew == expected[:1]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.methods.test_pretraining import Points, line, plan
from scllmda.methods._pretraining import pretrain

class Fatal(Points):
    def batch(self, cells, epoch):
        if epoch == 2 and len([seen for seen in self.seen if seen[0] == 2]) > 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().batch(cells, epoch)

pretrain(line(0.3), Fatal(), plan(n_epochs=4), folder=Path(sys.argv[1]), config={"model": "line"})
"""


def python(code: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    paths = [str(ROOT), *sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *options.pop("launcher", ()), *(("-c", code) if code else ()), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **options,
    )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill")
def test_killed_in_an_epoch_it_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    config = {"model": "line"}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = python(KILLED, str(killed))
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(read_checkpoint(killed)[1]["losses"]) == 2
    expected = pretrain(line(0.3), Points(), plan(n_epochs=4), folder=whole, config=config)
    assert pretrain(line(0.3), Points(), plan(n_epochs=4), folder=killed, config=config) == expected
    assert files_of(killed) == files_of(whole)


SHARED = """
import sys
from pathlib import Path
from tests.methods.test_pretraining import Points, line, plan
from scllmda.methods._pretraining import pretrain

pretrain(line(), Points(), plan(accumulate=1), folder=Path(sys.argv[1]), config={"model": "line"})
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without processes")
def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SHARED)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = python("", str(script), str(tmp_path / "shared"), launcher=launcher)
    assert done.returncode == 0, done.stderr
    losses = pretrain(line(), Points(), plan(), folder=tmp_path / "alone", config={"model": "line"})
    tensors, config = read_checkpoint(tmp_path / "shared")
    np.testing.assert_allclose(config["losses"], losses, rtol=1e-5)
    for name, tensor in read_checkpoint(tmp_path / "alone")[0].items():
        torch.testing.assert_close(tensors[name], tensor, rtol=1e-4, atol=1e-6)


class TestRefused:
    def start(self, folder: Path, config: dict[str, Any], **options: Any) -> list[float]:
        return pretrain(line(), Points(), plan(n_epochs=1), folder=folder, config=config, **options)

    def test_another_training(self, tmp_path: Path) -> None:
        folder, mine = tmp_path / "a", {"model": "line", "recipe": {"lr": 0.05}, "seed": 1}
        self.start(folder, mine)
        before = files_of(folder)
        with pytest.raises(
            ValueError, match=r"another training: lr=0.05 instead of 0.1, seed=1 instead of 2. Pass out"
        ):
            self.start(folder, {"model": "line", "recipe": {"lr": 0.1}, "seed": 2})
        assert files_of(folder) == before
        self.start(folder, {"model": "line", "recipe": {"lr": 0.1}, "seed": 2}, resume=False)

    @pytest.mark.parametrize("resume", [True, False])
    def test_another_model(self, tmp_path: Path, resume: bool) -> None:
        write_checkpoint(tmp_path / "a", {"w": torch.ones(2)}, {"model": "circle"})
        with pytest.raises(
            FileExistsError, match="a checkpoint of 'circle', which would be lost; expected one of 'line'"
        ):
            self.start(tmp_path / "a", {"model": "line"}, resume=resume)

    @pytest.mark.parametrize("resume", [True, False])
    def test_something_else(self, tmp_path: Path, resume: bool) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(FileExistsError, match=r"a folder with notes\.txt, which would be lost"):
            self.start(tmp_path, {"model": "line"}, resume=resume)
        with pytest.raises(FileNotFoundError, match="There is no folder"):
            self.start(tmp_path / "a" / "b", {"model": "line"}, resume=resume)

    def test_damaged(self, tmp_path: Path) -> None:
        folder, config = tmp_path / "a", {"model": "line"}
        self.start(folder, config)
        whole = files_of(folder)
        (folder / "model.safetensors").write_bytes(whole["model.safetensors"][:-1] + b"x")
        with pytest.raises(ValueError, match=r"cannot be gone on with: .* SHA-256 .* Or pass resume=False"):
            self.start(folder, config)
        self.start(folder, config, resume=False)
        assert files_of(folder) == whole

    def test_divergence_leaves_the_last_whole_epoch(self, tmp_path: Path) -> None:
        config = {"model": "line"}
        self.start(tmp_path / "a", config)
        before = files_of(tmp_path / "a")
        wild = plan(n_epochs=2, factor=lambda step, per_epoch: 1e38)
        with pytest.raises(ValueError, match=r"NaN or infinite values.* take a lower learning rate"):
            pretrain(line(), Points(), wild, folder=tmp_path / "a", config=config)
        assert files_of(tmp_path / "a") == before


def test_precision() -> None:
    network, x = nn.Linear(3, 2), torch.ones(1, 3)
    for precision, dtype in (("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        with autocast(precision, "cpu"):
            assert network(x).dtype == dtype
