from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from scllmda.checkpoints import find_checkpoint
from scllmda.encoders import Dnabert2Encoder

WORD = "bert.embeddings.word_embeddings.weight"
SEQUENCES = ["ACGTACGTTGCA", "GGGTT"]


def rewrite(folder: Path, change: dict[str, torch.Tensor | None]) -> None:
    """Replace or drop tensors."""
    weights = load_file(folder / "model.safetensors") | change
    save_file({name: t for name, t in weights.items() if t is not None}, folder / "model.safetensors")


def as_bin(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_bin_and_shards_equal_safetensors(dnabert2_folder: Path) -> None:
    vectors = Dnabert2Encoder(str(dnabert2_folder)).encode(SEQUENCES)
    weights = load_file(dnabert2_folder / "model.safetensors")
    as_bin(dnabert2_folder)
    np.testing.assert_array_equal(Dnabert2Encoder(str(dnabert2_folder)).encode(SEQUENCES), vectors)

    (dnabert2_folder / "pytorch_model.bin").unlink()
    index = {name: f"pytorch_model-{i % 2 + 1:05}-of-00002.bin" for i, name in enumerate(weights)}
    (dnabert2_folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": index}))
    for shard in set(index.values()):
        torch.save({name: weights[name] for name, file in index.items() if file == shard}, dnabert2_folder / shard)
    np.testing.assert_array_equal(Dnabert2Encoder(str(dnabert2_folder)).encode(SEQUENCES), vectors)


def test_heads_are_left_out(dnabert2_folder: Path) -> None:
    vectors = Dnabert2Encoder(str(dnabert2_folder)).encode(SEQUENCES)
    rewrite(dnabert2_folder, {"cls.predictions.decoder.bias": torch.ones(3), "bert.pooler.dense.bias": torch.ones(3)})
    np.testing.assert_array_equal(Dnabert2Encoder(str(dnabert2_folder)).encode(SEQUENCES), vectors)


def test_half_precision_is_read_as_float32(dnabert2_folder: Path) -> None:
    half = {name: t.half() for name, t in load_file(dnabert2_folder / "model.safetensors").items()}
    rewrite(dnabert2_folder, half)
    assert Dnabert2Encoder(str(dnabert2_folder)).encode(SEQUENCES).dtype == np.float32


def test_one_error_names_everything_wrong(dnabert2_folder: Path) -> None:
    bias = "bert.encoder.layer.0.mlp.wo.bias"
    rewrite(dnabert2_folder, {WORD: None, "bert.extra.weight": torch.ones(1), bias: torch.ones(7)})
    with pytest.raises(ValueError, match="not those of this network") as caught:
        Dnabert2Encoder(str(dnabert2_folder))
    message = str(caught.value)
    assert f"1 missing: {WORD};" in message
    assert "1 unexpected: bert.extra.weight;" in message
    assert f"1 of another shape: {bias} (7,) instead of (24,)." in message
    assert "source=" in message


def test_many_missing_are_counted(dnabert2_folder: Path) -> None:
    rewrite(dnabert2_folder, dict.fromkeys(load_file(dnabert2_folder / "model.safetensors")) | {"x": torch.ones(1)})
    with pytest.raises(ValueError, match=r"missing: .* … \d+ more; 1 unexpected: x\."):
        Dnabert2Encoder(str(dnabert2_folder))


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.path,)


def test_code_in_a_pickle_is_refused_and_not_run(dnabert2_folder: Path, tmp_path: Path) -> None:
    as_bin(dnabert2_folder)
    trace = tmp_path / "executed"
    torch.save({WORD: Malicious(trace)}, dnabert2_folder / "pytorch_model.bin")
    with pytest.raises(
        ValueError, match=r"Could not read tensors from .*pytorch_model\.bin, and nothing else in it was run"
    ):
        Dnabert2Encoder(str(dnabert2_folder))
    assert not trace.exists()
    torch.load(dnabert2_folder / "pytorch_model.bin", weights_only=False)
    assert trace.exists(), "the test's own payload works"


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_damaged_weights(dnabert2_folder: Path, name: str) -> None:
    (dnabert2_folder / "model.safetensors").unlink()
    (dnabert2_folder / name).write_bytes(b"")
    with pytest.raises(ValueError, match="Could not read tensors"):
        Dnabert2Encoder(str(dnabert2_folder))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_incomplete_folder(dnabert2_folder: Path, name: str) -> None:
    (dnabert2_folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"Found no {name}.*only \["):
        Dnabert2Encoder(str(dnabert2_folder))


def test_incomplete_config(dnabert2_folder: Path) -> None:
    (dnabert2_folder / "config.json").write_text('{"hidden_size": 24}')
    with pytest.raises(ValueError, match=r"lacks \['vocab_size'.*found \['hidden_size'\]"):
        Dnabert2Encoder(str(dnabert2_folder))


def test_a_folder_has_no_revision(dnabert2_folder: Path) -> None:
    with pytest.raises(ValueError, match="is a folder, which has no revision='main'"):
        Dnabert2Encoder(str(dnabert2_folder), revision="main")


def test_revision_is_that_of_the_content(dnabert2_folder: Path) -> None:
    before = find_checkpoint(str(dnabert2_folder), revision=None).revision
    assert find_checkpoint(str(dnabert2_folder), revision=None).revision == before
    weights = load_file(dnabert2_folder / "model.safetensors")
    rewrite(dnabert2_folder, {WORD: weights[WORD] + 1})
    assert find_checkpoint(str(dnabert2_folder), revision=None).revision != before


def encode_in_a_fresh_process(code: str, cache: Path) -> subprocess.CompletedProcess[str]:
    # The hub's settings are read when its package is imported.
    environment = os.environ | {"HF_HOME": str(cache), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_unreachable_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match=r"pass source= a local folder") as caught:
        Dnabert2Encoder()
    assert str(caught.value).startswith(
        "Could not get config.json of 'zhihan1996/DNABERT-2-117M' (revision 7bce263b15377fc15361f52cfab88f8b586abda0)"
    )


def test_neither_folder_nor_hub_id(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no such folder.*HFValidationError"):
        Dnabert2Encoder(str(tmp_path / "absent"))


def test_cached_hub_files_need_no_connection_and_no_heavy_library(dnabert2_folder: Path, tmp_path: Path) -> None:
    as_bin(dnabert2_folder)
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "cache" / "hub" / "models--someone--else" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "pytorch_model.bin"):
        (snapshot / name).write_bytes((dnabert2_folder / name).read_bytes())
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text(commit)
    code = """
import sys, scllmda as sl
encoder = sl.encoders.get("dnabert2", source="someone/else", device="cpu")
assert encoder.encode(["ACGT", "GGGTT"]).shape == (2, 24)
print(encoder.revision, *sorted({"transformers", "torch_geometric", "muon"} & set(sys.modules)))
"""
    done = encode_in_a_fresh_process(code, tmp_path / "cache")
    assert done.stdout.strip() == "1-0123456789ab-mean-fp32", done.stderr
