"""A checkpoint that is wrong in any way is refused at once, by an error that names the file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from scllmda.checkpoints import find_checkpoint
from scllmda.encoders import Dnabert2Encoder, NucleotideTransformerEncoder
from scllmda.encoders._nucleotide_transformer import load_nucleotide_transformer

KINDS = ["dnabert2", "v1", "v2"]
WORD = "bert.embeddings.word_embeddings.weight"
BIAS = "bert.encoder.layer.1.mlp.wo.bias"
NAN, INFINITE = float("nan"), float("inf")


@pytest.fixture
def folder_of(dnabert2_folder: Path, nucleotide_transformer_folder: Callable[[str], Path]) -> Callable[[str], Path]:
    return lambda kind: dnabert2_folder if kind == "dnabert2" else nucleotide_transformer_folder(kind)


def load(kind: str, folder: Path) -> Dnabert2Encoder | NucleotideTransformerEncoder:
    if kind == "dnabert2":
        return Dnabert2Encoder(str(folder), device="cpu")
    return NucleotideTransformerEncoder("nucleotide-transformer-500m-1000g", source=str(folder), device="cpu")


def refused(kind: str, folder: Path, file: str) -> str:
    """Return what is said of a file, by an error of the class that users are to catch."""
    with pytest.raises(ValueError, match=re.escape(str(folder / file))) as caught:
        load(kind, folder)
    assert type(caught.value) is ValueError
    message = str(caught.value)
    assert re.search("[Ee]xpected|missing|instead of", message)
    assert "source=" in message
    assert len(message) < 2000
    return message


def change_config(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def change_weights(folder: Path, **values: torch.Tensor) -> None:
    names = {"word": WORD, "bias": BIAS}
    changed = {names[name]: tensor for name, tensor in values.items()}
    save_file(load_file(folder / "model.safetensors") | changed, folder / "model.safetensors")


def save_bin(folder: Path, content: Any) -> None:
    torch.save(content, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink(missing_ok=True)


SIZE = "a whole number from 1 to 1,048,576"
NO_SIZES = [0, -1, 24.0, 1.5, 2**20 + 1, 10**30, NAN, INFINITE, "24", "", None, True, False, [], [24], {"a": 1}]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [*NO_SIZES, "x" * 10_000, list(range(10_000))], ids=lambda value: repr(value)[:12])
def test_sizes_that_are_none(folder_of: Callable[[str], Path], kind: str, value: Any) -> None:
    folder = folder_of(kind)
    config = json.loads((folder / "config.json").read_text())
    keys = ["vocab_size", "hidden_size", "num_attention_heads", "intermediate_size", "num_hidden_layers"]
    keys += ["type_vocab_size"] if kind == "dnabert2" else ["max_position_embeddings"]
    for key in keys:
        (folder / "config.json").write_text(json.dumps(config | {key: value}))
        bound = "1,024" if key == "num_hidden_layers" else "1,048,576"
        message = refused(kind, folder, "config.json")
        assert f" has {key}=" in message
        assert f"expected a whole number from 1 to {bound}." in message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "value", [0, 0.0, -1e-5, 1e-40, 1, 0.5, 1e308, 10**400, NAN, INFINITE, "1e-12", None, True, []]
)
def test_epsilons_that_are_none(folder_of: Callable[[str], Path], kind: str, value: Any) -> None:
    folder = folder_of(kind)
    change_config(folder, layer_norm_eps=value)
    assert "expected a number from 1e-15 to 0.01." in refused(kind, folder, "config.json")


@pytest.mark.parametrize("kind", KINDS)
def test_all_wrong_values_are_told_at_once(folder_of: Callable[[str], Path], kind: str) -> None:
    folder = folder_of(kind)
    change_config(folder, hidden_size="wide", num_hidden_layers=-3)
    message = refused(kind, folder, "config.json")
    assert f"hidden_size='wide', expected {SIZE}; num_hidden_layers=-3, expected a whole number" in message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("heads", [5, 7, 48])
def test_heads_that_do_not_divide_the_width(folder_of: Callable[[str], Path], kind: str, heads: int) -> None:
    folder = folder_of(kind)
    change_config(folder, num_attention_heads=heads)
    message = refused(kind, folder, "config.json")
    assert f"hidden_size=24 and num_attention_heads={heads}, expected heads of equal width" in message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", 12),
        ("hidden_size", 2**18 * 3),
        ("intermediate_size", 31),
        ("num_hidden_layers", 1),
        ("num_hidden_layers", 3),
    ],
)
def test_sizes_that_contradict_the_weights(folder_of: Callable[[str], Path], kind: str, key: str, value: int) -> None:
    folder = folder_of(kind)
    change_config(folder, **{key: value})
    message = refused(kind, folder, "config.json")
    assert str(folder / "model.safetensors") in message
    assert "are not those of this network" in message


def test_the_largest_number_of_layers_contradicts_the_weights_at_once(dnabert2_folder: Path) -> None:
    change_config(dnabert2_folder, num_hidden_layers=1024)
    assert "are not those of this network" in refused("dnabert2", dnabert2_folder, "config.json")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b"3", b'"text"', b"[" * 100_000, b"\xff\xfe{}", b'{"a": ' + b"9" * 5000 + b"}", b"{}"],
    ids=lambda content: str(content[:8]),
)
def test_a_configuration_that_is_no_json_object(folder_of: Callable[[str], Path], kind: str, content: bytes) -> None:
    folder = folder_of(kind)
    (folder / "config.json").write_bytes(content)
    if content == b"{}":
        with pytest.raises(ValueError, match=r"config\.json lacks \['vocab_size'"):
            load(kind, folder)
    else:
        assert "expected a JSON object" in refused(kind, folder, "config.json")


def test_a_wrong_configuration_is_told_before_the_weights_are_looked_for(dnabert2_folder: Path) -> None:
    (dnabert2_folder / "model.safetensors").unlink()
    change_config(dnabert2_folder, hidden_size=0)
    refused("dnabert2", dnabert2_folder, "config.json")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"token_dropout": "false"}, "token_dropout='false', expected true or false"),
        ({"token_dropout": 0}, "token_dropout=0, expected true or false"),
        ({"pad_token_id": 5}, "pad_token_id=5, expected 1"),
        ({"pad_token_id": -1}, "pad_token_id=-1, expected a whole number from 0"),
        ({"pad_token_id": True}, "pad_token_id=True, expected a whole number from 0"),
        ({"mask_token_id": 4000}, "mask_token_id=4000, expected 2"),
        ({"emb_layer_norm_before": True}, "emb_layer_norm_before=True, expected False"),
        ({"emb_layer_norm_before": 0}, "emb_layer_norm_before=0, expected False"),
        ({"max_position_embeddings": 3}, "max_position_embeddings=3, expected at least 4"),
        ({"vocab_size": 4106}, r"vocab_size=4106, expected one of [4105, 4107]"),
        ({"position_embedding_type": []}, "position_embedding_type=[], expected 'absolute' or 'rotary'"),
        ({"add_bias_fnn": "true"}, "add_bias_fnn='true', expected 'absolute' and true or nothing"),
        ({"add_bias_fnn": 1}, "add_bias_fnn=1, expected 'absolute' and true or nothing"),
        ({"position_embedding_type": "rotary"}, "add_bias_fnn=True, expected 'absolute' and true or nothing"),
    ],
    ids=str,
)
def test_other_nucleotide_transformers(
    nucleotide_transformer_folder: Callable[[str], Path], values: dict[str, Any], expected: str
) -> None:
    folder = nucleotide_transformer_folder("v1")
    change_config(folder, **values)
    assert expected in refused("v1", folder, "config.json")


def test_learned_positions_in_a_file_of_the_second_generation_are_not_taken_for_its_own(
    nucleotide_transformer_folder: Callable[[str], Path],
) -> None:
    folder = nucleotide_transformer_folder("v2")
    weights = load_file(folder / "model.safetensors")
    weights["esm.embeddings.position_embeddings.weight"] = torch.ones(62, 24)
    save_file(weights, folder / "model.safetensors")
    vectors = load("v2", folder).encode(["ACGTACGT"])
    assert np.isfinite(vectors).all()
    change_config(folder, position_embedding_type="absolute")
    assert "position_embedding_type='absolute' and add_bias_fnn=False" in refused("v2", folder, "config.json")
    change_config(folder, position_embedding_type="rotary", max_position_embeddings=2050)
    assert "(62, 24) instead of (2050, 24)" in refused("v2", folder, "config.json")


def test_an_odd_width_of_heads_cannot_be_rotated(nucleotide_transformer_folder: Callable[[str], Path]) -> None:
    folder = nucleotide_transformer_folder("v2")
    change_config(folder, num_attention_heads=8)
    assert "expected heads of an even width" in refused("v2", folder, "config.json")


@pytest.mark.parametrize("generation", ["v1", "v2"])
@pytest.mark.parametrize("heads", [1, 3, 12])
def test_a_number_of_heads_that_contradicts_the_weights(
    shared_golden: Path, tmp_path: Path, generation: str, heads: int
) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((shared_golden / f"nt_{generation}_tiny" / name).read_bytes())
    load_nucleotide_transformer(find_checkpoint(str(tmp_path), revision=None))
    change_config(tmp_path, num_attention_heads=heads)
    with pytest.raises(ValueError, match=rf"contact_head\.regression\.weight \(1, 18\) instead of \(1, {3 * heads}\)"):
        load_nucleotide_transformer(find_checkpoint(str(tmp_path), revision=None))


def test_other_frequencies_than_those_computed(shared_golden: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((shared_golden / "nt_v2_tiny" / "config.json").read_bytes())
    weights = load_file(shared_golden / "nt_v2_tiny" / "model.safetensors")
    name = "esm.encoder.layer.1.attention.self.rotary_embeddings.inv_freq"
    save_file(weights | {name: weights[name].half()}, tmp_path / "model.safetensors")
    load_nucleotide_transformer(find_checkpoint(str(tmp_path), revision=None))
    save_file(weights | {name: weights[name] * 2}, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=rf"model\.safetensors holds {name} with \[2\.0, 0\.2, .*expected \[1\.0, 0\.1, .*source="
    ):
        load_nucleotide_transformer(find_checkpoint(str(tmp_path), revision=None))


@pytest.mark.parametrize("value", [NAN, INFINITE, -INFINITE, 1e300])
@pytest.mark.parametrize("name", ["bias", "word"])
def test_weights_that_are_not_finite(dnabert2_folder: Path, name: str, value: float) -> None:
    tensor = load_file(dnabert2_folder / "model.safetensors")[WORD if name == "word" else BIAS].double()
    tensor.view(-1)[3] = value
    change_weights(dnabert2_folder, **{name: tensor})
    message = refused("dnabert2", dnabert2_folder, "model.safetensors")
    assert f"with 1 of {tensor.numel()} values NaN or infinite; expected finite numbers" in message


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_too_large_to_compute_with(folder_of: Callable[[str], Path], kind: str) -> None:
    folder = folder_of(kind)
    large = {name: torch.full_like(tensor, 3e38) for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(large, folder / "model.safetensors")
    assert "give NaN or infinite values; expected finite ones" in refused(kind, folder, "model.safetensors")


@pytest.mark.parametrize("kind", ["integers", "complex", "sparse", "truth", "nowhere", "endless"])
def test_tensors_that_are_no_plain_numbers(dnabert2_folder: Path, kind: str) -> None:
    weights = load_file(dnabert2_folder / "model.safetensors")
    bias = weights[BIAS]
    weights[BIAS] = {
        "integers": bias.int(),
        "complex": bias + 0j,
        "sparse": bias.to_sparse(),
        "truth": bias > 0,
        "nowhere": bias.to("meta"),
        "endless": torch.zeros(1).expand(24),
    }[kind]
    save_bin(dnabert2_folder, weights)
    message = refused("dnabert2", dnabert2_folder, "pytorch_model.bin")
    assert f"holds {BIAS} with " in message
    assert ("4 bytes for 24 values" if kind == "endless" else "expected plain floating-point numbers") in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([torch.ones(1)], "holds a list, expected tensors by their names"),
        (torch.ones(1), "holds a Tensor, expected tensors by their names"),
        ({"state_dict": {WORD: torch.ones(1)}}, "holds a dict under 'state_dict', expected tensors by their names"),
        ({WORD: 3}, f"holds a int under '{WORD}'"),
        ({3: torch.ones(1)}, "holds a Tensor under 3"),
        ({}, "missing: bert.embeddings.word_embeddings.weight"),
    ],
    ids=["list", "tensor", "nested", "number", "number as name", "nothing"],
)
def test_a_pickle_of_something_else(dnabert2_folder: Path, content: Any, expected: str) -> None:
    save_bin(dnabert2_folder, content)
    assert expected in refused("dnabert2", dnabert2_folder, "pytorch_model.bin")


@pytest.mark.parametrize("kept", [0, 5, 8, 100, 0.5, 0.999])
@pytest.mark.parametrize("kind", KINDS)
def test_truncated_weights(folder_of: Callable[[str], Path], kind: str, kept: float) -> None:
    folder = folder_of(kind)
    content = (folder / "model.safetensors").read_bytes()
    n_bytes = int(kept * len(content)) if 0 < kept < 1 else int(kept)
    (folder / "model.safetensors").write_bytes(content[:n_bytes])
    assert "Could not read tensors" in refused(kind, folder, "model.safetensors")


def as_shards(folder: Path, weight_map: Any, content: Any = None) -> None:
    """Put the weights into two files and an index of them, or an index of something else."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    save_file({name: weights[name] for name in names[::2]}, folder / "a.safetensors")
    save_file({name: weights[name] for name in names[1::2]}, folder / "b.safetensors")
    index = {"weight_map": weight_map} if content is None else content
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    "weight_map",
    [
        *(None, [], {}, "a.safetensors"),
        *({WORD: 3}, {WORD: ["a.safetensors"]}, {WORD: ""}, {WORD: ".."}, {WORD: "a.pkl"}),
        *({WORD: "../a.safetensors"}, {WORD: "/etc/a.safetensors"}, {WORD: "a.safetensors\n"}),
    ],
    ids=str,
)
def test_an_index_that_names_no_files(dnabert2_folder: Path, weight_map: Any) -> None:
    as_shards(dnabert2_folder, weight_map)
    message = refused("dnabert2", dnabert2_folder, "model.safetensors.index.json")
    assert "expected the name of a .safetensors file beside it for each tensor" in message


def test_an_index_without_names(dnabert2_folder: Path) -> None:
    as_shards(dnabert2_folder, None, content=["a.safetensors"])
    assert "expected a JSON object" in refused("dnabert2", dnabert2_folder, "model.safetensors.index.json")


def test_shards_that_are_absent_or_hold_a_tensor_twice(dnabert2_folder: Path) -> None:
    vectors = load("dnabert2", dnabert2_folder).encode(["ACGT"])
    as_shards(dnabert2_folder, {"x": "a.safetensors", "y": "b.safetensors"})
    np.testing.assert_array_equal(load("dnabert2", dnabert2_folder).encode(["ACGT"]), vectors)
    both = load_file(dnabert2_folder / "a.safetensors") | load_file(dnabert2_folder / "b.safetensors")
    save_file({WORD: both[WORD]}, dnabert2_folder / "c.safetensors")
    index = dnabert2_folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {letter: f"{letter}.safetensors" for letter in "abc"}}))
    assert f"holds {WORD}, as " in refused("dnabert2", dnabert2_folder, "c.safetensors")
    (dnabert2_folder / "b.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"Found no b\.safetensors"):
        load("dnabert2", dnabert2_folder)


def changed_tokenizer(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def of_token(tokenizer: dict[str, Any], name: str) -> dict[str, Any]:
    return next(token for token in tokenizer["added_tokens"] if token["content"] == name)


TOKENIZERS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "id beyond the vectors": (
        lambda t: t["model"]["vocab"].update({"TTT": 12}),
        "has the token 'TTT' with id 12; expected ids below 12, the vocab_size of ",
    ),
    "special id beyond the vectors": (
        lambda t: t["post_processor"]["special_tokens"]["[CLS]"].update(ids=[99]),
        "splits '' into ['[CLS]', '[SEP]'] with ids [99, 2]; expected [CLS], tokens that spell the sequence, and [SEP]",
    ),
    "one id for two tokens": (
        lambda t: t["model"]["vocab"].update({"AC": 10}),
        "has 12 tokens with 11 different ids",
    ),
    "no special tokens around": (lambda t: t.update(post_processor=None), "splits '' into [] with ids []"),
    "the wrong ones around": (
        lambda t: t["post_processor"]["single"].reverse(),
        "splits '' into ['[SEP]', '[CLS]']",
    ),
    "sequence twice": (
        lambda t: t["post_processor"]["single"].insert(1, {"Sequence": {"id": "A", "type_id": 0}}),
        "splits 'A' into ['[CLS]', 'A', 'A', '[SEP]']",
    ),
    "lower case": (lambda t: t.update(normalizer={"type": "Lowercase"}), "splits 'A' into ['[CLS]', '[UNK]', '[SEP]']"),
    "a base unknown": (
        lambda t: (t["model"]["vocab"].pop("T"), t["model"].update(merges=[["A", "C"]], unk_token=None)),
        "splits 'T' into ['[CLS]', '[SEP]']",
    ),
    "a base as special token": (lambda t: of_token(t, "[MASK]").update(content="A"), "splits 'A' into "),
    "merges at random": (lambda t: t["model"].update(dropout=0.5), "dropout=0.5"),
    "no byte pairs": (
        lambda t: t.update(model={"type": "WordLevel", "vocab": t["model"]["vocab"], "unk_token": "[UNK]"}),
        "has a model of type WordLevel; expected one of type BPE",
    ),
    "no unknown token": (lambda t: t["model"]["vocab"].pop("C"), "cannot be used"),
    "no template": (lambda t: t["post_processor"]["special_tokens"].pop("[CLS]"), "cannot be used"),
    "no model": (lambda t: t.pop("model"), "cannot be used"),
    "vocabulary of another type": (lambda t: t["model"].update(vocab=["A"]), "cannot be used"),
    "negative id": (lambda t: t["model"]["vocab"].update({"A": -1}), "cannot be used"),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokenisers_that_do_not_spell_dna_or_do_not_fit(dnabert2_folder: Path, name: str) -> None:
    change, expected = TOKENIZERS[name]
    changed_tokenizer(dnabert2_folder, change)
    message = refused("dnabert2", dnabert2_folder, "tokenizer.json")
    assert expected in message
    if "vocab_size" in expected:
        assert str(dnabert2_folder / "config.json") in message


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"\xff", b"{}"], ids=str)
def test_a_tokeniser_that_is_no_json(dnabert2_folder: Path, content: bytes) -> None:
    (dnabert2_folder / "tokenizer.json").write_bytes(content)
    assert "cannot be used" in refused("dnabert2", dnabert2_folder, "tokenizer.json")


def test_fewer_tokens_than_vectors_are_no_error(dnabert2_folder: Path) -> None:
    rows = load_file(dnabert2_folder / "model.safetensors")[WORD]
    vectors = load("dnabert2", dnabert2_folder).encode(["ACGTACGT"])
    change_weights(dnabert2_folder, word=torch.cat([rows, torch.ones(4, 24)]))
    change_config(dnabert2_folder, vocab_size=len(rows) + 4)
    np.testing.assert_array_equal(load("dnabert2", dnabert2_folder).encode(["ACGTACGT"]), vectors)
