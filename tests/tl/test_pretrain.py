"""Pre-training of a published model, from cells × islands to a folder."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anndata import AnnData
from tests._objects import added, pair, snapshot
from tests.methods.test_pretraining import python

import scllmda as sl
from scllmda.checkpoints import read_checkpoint

QUICK: dict[str, Any] = {"preset": "small", "n_layers": 1, "pretrain_epochs": 3, "bin_size": 2000}


def islands() -> AnnData:
    return sl.pp.peak_islands(pair()[0], bin_size=2000)


def train(output: Path, data: AnnData | None = None, **options: Any) -> list[float]:
    recipe = {**QUICK, **options.pop("recipe", {})}
    return sl.tl.pretrain(islands() if data is None else data, "annatac", output=output, recipe=recipe, **options)


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_the_folder_has_all_there_is_to_know(tmp_path: Path) -> None:
    data = islands()
    before = snapshot(data)
    losses = train(tmp_path / "a", data)
    assert added(before, snapshot(data)) == set()
    tensors, config = read_checkpoint(tmp_path / "a")
    assert config["model"] == "annatac"
    assert config["losses"] == losses
    assert config["vocabulary"] == [name.removeprefix("chr") for name in data.var_names]
    assert config["recipe"]["bin_size"] == 2000
    assert config["recipe"]["n_dims"] == 32
    assert tensors["network.encoder.tokens.positions"].shape == (data.n_vars, 32)
    assert json.loads((tmp_path / "a" / "config.json").read_text())["n_cells"] == data.n_obs


def test_loss_falls_below_that_of_the_classes_alone(tmp_path: Path) -> None:
    """What masked islands are told from is more than how common each class is among the masks."""
    rng = np.random.default_rng(0)
    # Islands have a class of their own, so that where a mask stands says what was there.
    class_of = rng.integers(1, 6, 300)
    X = class_of * (rng.random((200, 300)) < 0.3)
    data = AnnData(X.astype(np.float32))
    data.var_names = [f"chr1:{2000 * i}-{2000 * (i + 1)}" for i in range(300)]
    losses = train(tmp_path / "a", data, recipe={"pretrain_epochs": 12, "lr": 1e-2, "dropout": 0.0})
    # Masks are balanced over the classes.
    assert losses[-1] < 0.8 * np.log(5) < losses[0] < 1.2 * np.log(5)


def test_same_seed_same_bytes_in_whatever_order_the_islands_are(tmp_path: Path) -> None:
    data = islands()
    train(tmp_path / "a", data)
    train(tmp_path / "b", data[:, np.random.default_rng(0).permutation(data.n_vars)].copy())
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    train(tmp_path / "c", data, rng=1)
    assert files_of(tmp_path / "a")["model.safetensors"] != files_of(tmp_path / "c")["model.safetensors"]


def test_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    first = train(tmp_path / "parts", recipe={"pretrain_epochs": 1})
    assert train(tmp_path / "parts") == whole
    assert whole[:1] == first
    assert files_of(tmp_path / "whole") == files_of(tmp_path / "parts")


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from scllmda.methods.annatac import _pretrain
from tests.tl.test_pretrain import train

class Fatal(_pretrain.MaskedCells):
    def batch(self, cells, epoch):
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().batch(cells, epoch)

_pretrain.MaskedCells = Fatal
torch.set_num_threads(int(sys.argv[2]))
train(Path(sys.argv[1]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill")
def test_killed_it_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    # Sums differ in their last digits with the number of threads.
    done = python(KILLED, str(tmp_path / "killed"), str(torch.get_num_threads()))
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert read_checkpoint(tmp_path / "killed")[1]["losses"] == whole[:2]
    assert train(tmp_path / "killed") == whole
    assert files_of(tmp_path / "whole") == files_of(tmp_path / "killed")


def test_other_data_or_constants_are_not_gone_on_with(tmp_path: Path) -> None:
    train(tmp_path / "a")
    before = files_of(tmp_path / "a")
    with pytest.raises(ValueError, match=r"another training: lr=0.001 instead of 0.01"):
        train(tmp_path / "a", recipe={"lr": 0.01})
    with pytest.raises(ValueError, match=r"another training: n_cells=150 instead of 149, data="):
        train(tmp_path / "a", islands()[1:].copy())
    assert files_of(tmp_path / "a") == before
    train(tmp_path / "a", recipe={"lr": 0.01}, resume=False)


def test_nothing_to_foretell_is_said(tmp_path: Path, warnings: list[str]) -> None:
    data = islands()
    data.X.data[:] = 1
    train(tmp_path / "a", data, recipe={"pretrain_epochs": 1})
    assert [w for w in warnings if "All open islands have the same openness" in w]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"model": "robust"}, ValueError, r"Unknown model='robust'; expected one of \['annatac', 'epifoundation'\]"),
        ({"recipe": {"tss": __file__}}, ValueError, r"tss=.* in recipe= has no effect on pre-training"),
        (
            {"recipe": {"bin_size": 5000}},
            ValueError,
            r"features are no islands of 5,000 bp \(first: 'chr.*peak_islands",
        ),
        ({"recipe": {"nothing": 1}}, ValueError, r"has no \['nothing'\] in its recipe"),
    ],
)
def test_refused(tmp_path: Path, options: dict[str, Any], error: type[Exception], match: str) -> None:
    recipe = {**QUICK, **options.pop("recipe", {})}
    with pytest.raises(error, match=match):
        sl.tl.pretrain(islands(), **{"model": "annatac", "output": tmp_path / "a", "recipe": recipe, **options})
    assert not (tmp_path / "a").exists()


def test_no_open_island(tmp_path: Path) -> None:
    data = islands()
    data.X.data[:] = 0
    with pytest.raises(ValueError, match="None of 150 cells opens one of"):
        train(tmp_path / "a", data)
