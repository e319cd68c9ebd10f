"""What is written comes back as it was; what is damaged, interrupted or not ours is refused and left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from scllmda.checkpoints import find_checkpoint, read_checkpoint, write_checkpoint

CONFIG: dict[str, Any] = {
    "model": "toy",
    "n_layers": 2,
    "rate": 0.1,
    "types": ["B", "αβ T"],
    "gated": True,
    "of": {"genome": None},
}


def make_weights(value: float = 1.0) -> dict[str, torch.Tensor]:
    shared = torch.full((4, 3), value)
    return {
        "layers.0.weight": shared,
        "tied.weight": shared,
        "transposed": torch.arange(6.0).reshape(2, 3).T,
        "half": torch.tensor([value, 2], dtype=torch.bfloat16),
        "steps": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "nothing": torch.empty(0, 5, dtype=torch.float64),
    }


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[name].dtype == b[name].dtype and torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "network"
    write_checkpoint(path, make_weights(), CONFIG)
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


class TestRoundTrip:
    def test_weights_and_configuration(self, folder: Path) -> None:
        weights, config = read_checkpoint(folder)
        assert same(weights, make_weights())
        assert config == CONFIG
        assert sorted(content(folder.parent)) == ["network/config.json", "network/model.safetensors"]

    def test_of_a_network(self, tmp_path: Path) -> None:
        network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        network(torch.randn(5, 3))
        write_checkpoint(tmp_path / "network", network.state_dict(), {})
        other = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        other.load_state_dict(read_checkpoint(str(tmp_path / "network"))[0])
        assert same(dict(other.state_dict()), dict(network.state_dict()))

    def test_weights_that_need_gradients_stay_as_they_are(self, tmp_path: Path) -> None:
        parameter = torch.nn.Parameter(torch.ones(2))
        write_checkpoint(tmp_path / "network", {"p": parameter}, {})
        assert parameter.requires_grad
        assert not read_checkpoint(tmp_path / "network")[0]["p"].requires_grad

    def test_the_same_twice_is_the_same_bytes(self, folder: Path) -> None:
        before = content(folder)
        write_checkpoint(folder, make_weights(), CONFIG)
        assert content(folder) == before

    def test_the_files_are_those_that_any_checkpoint_has(self, folder: Path) -> None:
        found = find_checkpoint(str(folder), revision=None)
        assert found.weights == (folder / "model.safetensors",)
        assert found.config["model"] == "toy"

    def test_from_the_cache_of_the_hub(self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        commit = "0123456789abcdef0123456789abcdef01234567"
        snapshot = tmp_path / "cache" / "models--someone--toy" / "snapshots" / commit
        snapshot.mkdir(parents=True)
        for name, text in content(folder).items():
            (snapshot / name).write_bytes(text)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        weights, config = read_checkpoint("someone/toy", revision=commit)
        assert same(weights, make_weights())
        assert config == CONFIG


class TestDamage:
    @pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
    def test_a_file_is_absent(self, folder: Path, name: str) -> None:
        (folder / name).unlink()
        with pytest.raises(FileNotFoundError, match=rf"Found no {name} in .*source="):
            read_checkpoint(folder)

    @pytest.mark.parametrize("place", [0, 8, 100, -1])
    def test_any_byte_of_the_weights(self, folder: Path, place: int) -> None:
        damaged = bytearray((folder / "model.safetensors").read_bytes())
        damaged[place] ^= 1
        (folder / "model.safetensors").write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"model\.safetensors has the SHA-256 .*, expected .*config\.json.*source="
        ):
            read_checkpoint(folder)

    def test_cut_short(self, folder: Path) -> None:
        whole = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(whole[:-10])
        with pytest.raises(ValueError, match="SHA-256"):
            read_checkpoint(folder)

    def test_weights_of_another_checkpoint(self, folder: Path, tmp_path: Path) -> None:
        write_checkpoint(tmp_path / "other", make_weights(2), CONFIG)
        (tmp_path / "other" / "model.safetensors").replace(folder / "model.safetensors")
        with pytest.raises(ValueError, match="belongs to another checkpoint"):
            read_checkpoint(folder)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "expected a JSON object"),
            ("[]", "expected a JSON object"),
            ("{}", "has scllmda_checkpoint=None, expected the version and the SHA-256"),
            ('{"scllmda_checkpoint": {"version": 1}}', "this is no checkpoint of scllmda"),
            ('{"scllmda_checkpoint": {"version": 2, "sha256": "x"}}', "is of version 2, expected 1.*pip install"),
        ],
    )
    def test_configurations(self, folder: Path, text: str, message: str) -> None:
        (folder / "config.json").write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            read_checkpoint(folder)
        assert str(folder / "config.json") in str(caught.value)

    def test_weights_that_others_saved(self, tmp_path: Path) -> None:
        save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_text('{"model_type": "bert"}')
        with pytest.raises(ValueError, match="this is no checkpoint of scllmda"):
            read_checkpoint(tmp_path)


class TestWhatIsThere:
    def test_an_older_checkpoint_is_replaced(self, folder: Path) -> None:
        write_checkpoint(folder, make_weights(3), {"model": "new"})
        weights, config = read_checkpoint(folder)
        assert same(weights, make_weights(3))
        assert config == {"model": "new"}
        assert [path.name for path in folder.parent.iterdir()] == ["network"]

    def test_a_damaged_one_too(self, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"")
        write_checkpoint(folder, make_weights(3), {})
        assert same(read_checkpoint(folder)[0], make_weights(3))

    def test_an_empty_folder_is_filled(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        write_checkpoint(tmp_path / "empty", make_weights(), {})
        assert same(read_checkpoint(tmp_path / "empty")[0], make_weights())

    @pytest.mark.parametrize("kind", ["file", "other folder", "published", "notes beside", "unreadable"])
    def test_anything_else_is_left_alone(self, folder: Path, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "else"
        if kind == "file":
            path.write_text("mine")
        elif kind == "other folder":
            (path / "data").mkdir(parents=True)
            (path / "data" / "a.txt").write_text("mine")
        else:
            folder.rename(path)
            if kind == "published":
                (path / "config.json").write_text('{"model_type": "bert"}')
            elif kind == "notes beside":
                (path / "README.md").write_text("mine")
            else:
                (path / "config.json").write_bytes(b"\xff")
        before = content(tmp_path)
        with pytest.raises(FileExistsError, match=r"else' is a .*would be lost.*Choose another name"):
            write_checkpoint(path, make_weights(2), CONFIG)
        assert content(tmp_path) == before

    def test_no_folder_to_write_in(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"no folder .*absent'.*Make it"):
            write_checkpoint(tmp_path / "absent" / "network", make_weights(), {})
        assert not list(tmp_path.iterdir())


class TestWhatCannotBeWritten:
    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            ({}, "Found no weights"),
            (
                {"a": torch.tensor([1.0, float("nan")]), "b": torch.ones(1)},
                "1 of 2 tensors have NaN or infinite values: a",
            ),
            ({"a": torch.tensor(float("inf"))}, "The training diverged"),
        ],
        ids=["none", "NaN", "infinite"],
    )
    def test_weights(self, folder: Path, weights: dict[str, torch.Tensor], message: str) -> None:
        before = content(folder)
        with pytest.raises(ValueError, match=message):
            write_checkpoint(folder, weights, CONFIG)
        assert content(folder) == before

    @pytest.mark.parametrize(
        "value",
        [(1, 2), {1: "a"}, float("nan"), torch.ones(1), Path("a"), {"a": [(1,)]}, {"B"}, b"a"],
        ids=lambda value: type(value).__name__,
    )
    def test_configurations(self, folder: Path, value: Any) -> None:
        before = content(folder)
        with pytest.raises(ValueError, match=r"configuration has odd=.*not the same when it comes back from JSON"):
            write_checkpoint(folder, make_weights(), CONFIG | {"odd": value})
        assert content(folder) == before

    @pytest.mark.parametrize("name", ["scllmda_checkpoint", 3])
    def test_names(self, folder: Path, name: Any) -> None:
        with pytest.raises(ValueError, match=r"Take another name"):
            write_checkpoint(folder, make_weights(), {name: 1})


class TestInterruptedWriting:
    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
    @pytest.mark.parametrize("step", ["weights", "config"])
    def test_the_old_one_stays(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: type[BaseException]
    ) -> None:
        before = content(folder.parent)

        def fail(*_: Any, **__: Any) -> None:
            raise error

        if step == "weights":
            monkeypatch.setattr("safetensors.torch.save_file", fail)
        else:
            monkeypatch.setattr(json, "dump", fail)
        with pytest.raises(error):
            write_checkpoint(folder, make_weights(2), CONFIG)
        assert content(folder.parent) == before
        with pytest.raises(error):
            write_checkpoint(folder.parent / "new", make_weights(2), CONFIG)
        assert content(folder.parent) == before

    def test_a_full_disk(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = content(folder.parent)

        def fail(*_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(json, "dump", fail)
        with pytest.raises(OSError, match=r"Cannot write .*network.*Make room on the disk.*as it was"):
            write_checkpoint(folder, make_weights(2), CONFIG)
        assert content(folder.parent) == before

    def test_a_killed_process(self, folder: Path) -> None:
        code = f"""
import json, os, torch
from scllmda.checkpoints import write_checkpoint
json.dump = lambda *_, **__: os._exit(9)
write_checkpoint({str(folder)!r}, {{"a": torch.ones(3)}}, {{}})
"""
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
        assert same(read_checkpoint(folder)[0], make_weights())
        assert len(list(folder.parent.iterdir())) == 2, "what the process left beside"
        write_checkpoint(folder, make_weights(2), CONFIG)
        assert [path.name for path in folder.parent.iterdir()] == ["network"]
        assert same(load_file(folder / "model.safetensors"), make_weights(2))
