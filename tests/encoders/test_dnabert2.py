from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import gelu, layer_norm, linear

from scllmda import encoders
from scllmda.checkpoints import Checkpoint, find_checkpoint
from scllmda.encoders import Dnabert2Encoder
from scllmda.encoders._dnabert2 import byte_pair_tokens, clean, load_mosaic_bert, read_tokenizer
from scllmda.encoders._neural import pool
from scllmda.nn._mosaic_bert import alibi_bias, alibi_slopes

close = {"atol": 5e-5, "rtol": 0}


@pytest.fixture
def golden(shared_golden: Path) -> Path:
    return shared_golden / "dnabert2_tiny"


@pytest.fixture
def recorded(golden: Path) -> dict[str, torch.Tensor]:
    return load_file(golden / "inputs_outputs.safetensors")


def predict_tokens(hidden: torch.Tensor, checkpoint: Checkpoint) -> torch.Tensor:
    w = {name.removeprefix("cls.predictions."): t for name, t in load_file(checkpoint.weights[0]).items()}
    x = gelu(linear(hidden, w["transform.dense.weight"], w["transform.dense.bias"]))
    x = layer_norm(x, x.shape[-1:], w["transform.LayerNorm.weight"], w["transform.LayerNorm.bias"], eps=1e-12)
    return linear(x, w["decoder.weight"], w["decoder.bias"])


def test_golden_tensors(golden: Path, recorded: dict[str, torch.Tensor]) -> None:
    checkpoint = find_checkpoint(str(golden), revision=None)
    network = load_mosaic_bert(checkpoint)
    outputs: dict[str, torch.Tensor] = {}
    parts = {"embedding_output": network.norm}
    parts |= {f"layer_output_unpadded.{i}": layer for i, layer in enumerate(network.layers)}
    hooks = [
        part.register_forward_hook(lambda _module, _inputs, out, name=name: outputs.update({name: out}))
        for name, part in parts.items()
    ]
    mask = recorded["attention_mask"].bool()
    with torch.inference_mode():
        hidden = network(recorded["input_ids"], mask) * mask[:, :, None]
    for hook in hooks:
        hook.remove()
    outputs["embedding_output"] = outputs["embedding_output"] * mask[:, :, None]
    for i in range(len(network.layers)):
        outputs[f"layer_output_unpadded.{i}"] = outputs[f"layer_output_unpadded.{i}"][mask]
    outputs["last_hidden_state"] = hidden
    outputs["mean_pooled"] = pool(hidden, mask, "mean")
    outputs["mlm_logits"] = predict_tokens(hidden, checkpoint)
    outputs["alibi_slopes"] = alibi_slopes(12)
    outputs["alibi_bias_40"] = alibi_bias(12, 40, device=torch.device("cpu"), dtype=torch.float32)[0]
    for i, length in enumerate(recorded["lengths"].tolist()):
        with torch.inference_mode():
            alone = network(recorded["input_ids"][i : i + 1, :length])
        outputs[f"alone_last_hidden_state.{i}"] = alone[0]
        outputs[f"alone_mean_pooled.{i}"] = alone[0].mean(dim=0)
        outputs[f"alone_mlm_logits.{i}"] = predict_tokens(alone[0], checkpoint)
    assert set(recorded) - set(outputs) == {"input_ids", "attention_mask", "lengths", "e2e_mean_pooled"}
    for name, output in outputs.items():
        torch.testing.assert_close(output, recorded[name], **close, msg=lambda text, name=name: f"{name}: {text}")


def test_golden_from_sequence_to_vector(golden: Path, recorded: dict[str, torch.Tensor]) -> None:
    examples = json.loads((golden / "tokenizer_examples.json").read_text())["examples"]
    # Lower case, N and the like were tokens there, and are read or cut out here.
    same = [i for i, example in enumerate(examples) if set(example["sequence"]) <= set("ACGT")]
    assert len(same) == 15
    vectors = Dnabert2Encoder(str(golden)).encode([examples[i]["sequence"] for i in same])
    np.testing.assert_allclose(vectors, recorded["e2e_mean_pooled"][same], **close)


@pytest.mark.parametrize("folder", ["dnabert2_tiny", "dnabert2_tokenizer"])
def test_golden_token_ids(shared_golden: Path, folder: str) -> None:
    file = shared_golden / folder / "tokenizer.json"
    tokenizer = read_tokenizer(file)
    examples = json.loads((file.parent / "tokenizer_examples.json").read_text())["examples"]
    examples = [example for example in examples if set(example["sequence"]) <= set("ACGT")]
    tokens = byte_pair_tokens(tokenizer)([example["sequence"] for example in examples])
    found = [ids.tolist() for ids in np.split(tokens.ids, np.cumsum(tokens.lengths)[:-1])]
    assert found == [example["ids"] for example in examples]


@pytest.mark.parametrize("n_heads", [1, 2, 8, 16])
def test_slopes_of_a_power_of_two_are_geometric(n_heads: int) -> None:
    expected = [2 ** (-8 * (i + 1) / n_heads) for i in range(n_heads)]
    torch.testing.assert_close(alibi_slopes(n_heads), torch.tensor(expected))


def test_gradients_flow_after_inference(dnabert2_folder: Path) -> None:
    network = load_mosaic_bert(find_checkpoint(str(dnabert2_folder), revision=None))
    ids = torch.tensor([[1, 5, 6, 2]])
    with torch.inference_mode():
        network(ids)
    network(ids).sum().backward()
    assert network.tokens.weight.grad is not None


def test_unusual_sequences(dnabert2_folder: Path) -> None:
    encoder = Dnabert2Encoder(str(dnabert2_folder))
    empty, one, lower, upper, gaps, unknown = encoder.encode(["", "A", "acgtac", "ACGTAC", "ACNNNGTRYA-C", "NNNN"])
    assert np.isfinite([empty, one]).all()
    assert not np.array_equal(empty, one)
    np.testing.assert_array_equal(lower, upper)
    np.testing.assert_array_equal(gaps, upper)
    np.testing.assert_array_equal(unknown, empty)
    assert clean("acNg é\nRt") == "ACGT"


def test_registered(dnabert2_folder: Path) -> None:
    encoder = encoders.get("dnabert2", source=str(dnabert2_folder), pooling="cls", device="cpu")
    assert isinstance(encoder, encoders.PeakEncoder)
    assert (encoder.name, encoder.n_dims) == ("dnabert2", 24)
    assert encoder.revision.endswith("-cls-fp32")
    assert encoders.table().loc["dnabert2", "licence"] == "Apache-2.0"


def test_tokeniser_without_padding_token(dnabert2_folder: Path) -> None:
    file = dnabert2_folder / "tokenizer.json"
    file.write_text(file.read_text().replace("[PAD]", "[FILL]"))
    with pytest.raises(ValueError, match=r"lacks the special tokens \['\[PAD\]'\]"):
        Dnabert2Encoder(str(dnabert2_folder))


def test_loading_leaves_random_numbers_alone(dnabert2_folder: Path) -> None:
    before = torch.random.get_rng_state()
    Dnabert2Encoder(str(dnabert2_folder))
    assert torch.equal(torch.random.get_rng_state(), before)
