from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn.functional import gelu, layer_norm, linear

from scllmda import encoders
from scllmda.checkpoints import Checkpoint, find_checkpoint
from scllmda.encoders import NucleotideTransformerEncoder, _neural, _nucleotide_transformer
from scllmda.encoders._neural import Tokens, pool
from scllmda.encoders._nucleotide_transformer import load_nucleotide_transformer
from scllmda.encoders._six_mers import six_mer_tokens

NAMES = {
    "v1": "nucleotide-transformer-500m-human-ref",
    "v2": "nucleotide-transformer-v2-50m-multi-species",
}
FIRST = {"v1": 4, "v2": 6}
close = {"atol": 5e-5, "rtol": 0}
generations = pytest.mark.parametrize("generation", ["v1", "v2"])


@pytest.fixture(autouse=True)
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    _nucleotide_transformer._tell_licence.cache_clear()
    told: list[str] = []
    monkeypatch.setattr(_neural.logg, "warning", told.append)
    return told


def split(tokens: Tokens) -> list[list[int]]:
    return [ids.tolist() for ids in np.split(tokens.ids, np.cumsum(tokens.lengths)[:-1])]


def predict_tokens(hidden: torch.Tensor, checkpoint: Checkpoint) -> torch.Tensor:
    w = {name.removeprefix("lm_head."): t for name, t in load_file(checkpoint.weights[0]).items()}
    x = gelu(linear(hidden, w["dense.weight"], w["dense.bias"]))
    x = layer_norm(x, x.shape[-1:], w["layer_norm.weight"], w["layer_norm.bias"], eps=1e-12)
    return linear(x, w["decoder.weight"], w["bias"])


@generations
def test_golden_tensors(shared_golden: Path, generation: str) -> None:
    folder = shared_golden / f"nt_{generation}_tiny"
    recorded = load_file(folder / "inputs_outputs.safetensors")
    checkpoint = find_checkpoint(str(folder), revision=None)
    network = load_nucleotide_transformer(checkpoint)
    n_layers = len(network.layers)
    outputs: dict[str, torch.Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda _module, _inputs, out, i=i: outputs.update({f"hidden_states.{i}": out}))
        for i, layer in enumerate(network.layers[:-1], start=1)
    ]
    ids, mask = recorded["input_ids"], recorded["attention_mask"].bool()
    with torch.inference_mode():
        outputs["hidden_states.0"] = network.embed(ids, mask)
        outputs[f"hidden_states.{n_layers}"] = network(ids, mask)
    for hook in hooks:
        hook.remove()
    outputs = {name: output * mask[:, :, None] for name, output in outputs.items()}
    outputs["last_hidden_state"] = hidden = outputs[f"hidden_states.{n_layers}"]
    outputs["mean_pooled"] = pool(hidden, mask, "mean")
    outputs["mean_pooled_nocls_rows1to3"] = pool(hidden, mask & (ids != 3), "mean_no_special")[1:]
    outputs["mlm_logits"] = predict_tokens(hidden, checkpoint) * mask[:, :, None]
    for i, length in enumerate(recorded["lengths"].tolist()):
        with torch.inference_mode():
            alone = network(ids[i : i + 1, :length])[0]
        outputs[f"alone_last_hidden_state.{i}"] = alone
        outputs[f"alone_mean_pooled.{i}"] = alone.mean(dim=0)
        outputs[f"alone_mlm_logits.{i}"] = predict_tokens(alone, checkpoint)
    assert set(recorded) - set(outputs) == {"input_ids", "attention_mask", "lengths"}
    for name, output in outputs.items():
        torch.testing.assert_close(output, recorded[name], **close, msg=lambda text, name=name: f"{name}: {text}")


@generations
def test_golden_token_ids(shared_golden: Path, generation: str) -> None:
    examples = json.loads((shared_golden / f"nt_{generation}_tiny" / "tokenizer_examples.json").read_text())["examples"]
    # Lower case and IUPAC letters were <unk> there, and are bases and <N> here.
    examples = [example for example in examples if set(example["sequence"]) <= set("ACGTN")]
    assert len(examples) == 15
    tokens = six_mer_tokens([example["sequence"] for example in examples], first_id=FIRST[generation])
    assert split(tokens) == [example["ids"] for example in examples]


@given(sequences=st.lists(st.text("ACGTNacgtRé\n", max_size=40), min_size=1), generation=st.sampled_from(["v1", "v2"]))
def test_tokens_are_those_of_a_regular_expression(sequences: list[str], generation: str) -> None:
    first = FIRST[generation]
    words = ["".join(word) for word in itertools.product("ATCG", repeat=6)]
    ids = {token: first + i for i, token in enumerate([*words, *"ATCGN"])}
    expected = []
    for sequence in sequences:
        known = re.sub("[^ACGT]", "N", re.sub("[acgt]", lambda base: base.group().upper(), sequence))
        expected.append([3, *(ids[token] for token in re.findall("[ACGT]{6}|[ACGTN]", known))])
    assert split(six_mer_tokens(sequences, first_id=first)) == expected


@generations
def test_encodes(nucleotide_transformer_folder: Callable[[str], Path], generation: str) -> None:
    folder = str(nucleotide_transformer_folder(generation))
    encoder = encoders.get(NAMES[generation], source=folder, device="cpu")
    assert isinstance(encoder, encoders.PeakEncoder)
    assert encoder.name == NAMES[generation]
    vectors = encoder.encode(["", "A", "ACGTACGTN", "acgtacgtR", "NNNN"])
    assert vectors.shape == (5, 24)
    assert np.isfinite(vectors).all()
    np.testing.assert_array_equal(vectors[2], vectors[3])
    assert len(np.unique(vectors, axis=0)) == 4


def test_licence_is_told_once(nucleotide_transformer_folder: Callable[[str], Path], warnings: list[str]) -> None:
    folder = str(nucleotide_transformer_folder("v2"))
    for _ in range(2):
        NucleotideTransformerEncoder(NAMES["v2"], source=folder)
    assert len(warnings) == 1
    assert "CC BY-NC-SA 4.0" in warnings[0]


@generations
def test_long_sequences_are_cut_with_a_warning(
    nucleotide_transformer_folder: Callable[[str], Path], warnings: list[str], generation: str
) -> None:
    encoder = NucleotideTransformerEncoder(NAMES[generation], source=str(nucleotide_transformer_folder(generation)))
    rng = np.random.default_rng(0)
    long = "".join(rng.choice(list("ACGT"), 600))
    warnings.clear()
    vectors = encoder.encode([long, "ACGT", long[: 6 * 59]])
    assert len(warnings) == 1
    assert warnings[0].startswith("1 of 3 sequences have more than the 60 tokens")
    assert "window=" in warnings[0]
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-5)


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="Unknown Nucleotide Transformer 'nt', expected one of"):
        NucleotideTransformerEncoder("nt")


@pytest.mark.parametrize(
    ("key", "value"), [("vocab_size", 64), ("position_embedding_type", "relative_key")], ids=lambda x: str(x)
)
def test_other_architectures(nucleotide_transformer_folder: Callable[[str], Path], key: str, value: object) -> None:
    folder = nucleotide_transformer_folder("v1")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(ValueError, match=f"has {key}={value!r}, expected"):
        NucleotideTransformerEncoder(NAMES["v1"], source=str(folder))
