"""Vectors of stock models against those that transformers itself computes of the same files."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tests.encoders._stock_models import KINDS, SIZES, VOCABULARY, change_config, make_tokenizer, save_model
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

import scllmda as sl
from scllmda import encoders
from scllmda.checkpoints import find_checkpoint
from scllmda.encoders import TransformersEncoder
from scllmda.encoders._stock_network import load_stock_network, stock_config

SEQUENCES = ["ACGTACGTTGCA", "", "GG", "TTTTACACGT", "GATTACA" * 4]
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of models, each made once; not to be changed."""
    made: dict[str, Path] = {}

    def folder_of(kind: str) -> Path:
        if kind not in made:
            made[kind] = save_model(tmp_path_factory.mktemp(kind), kind)
        return made[kind]

    return folder_of


def load(folder: Path, **options: Any) -> TransformersEncoder:
    return TransformersEncoder(str(folder), device="cpu", **options)


def direct(folder: Path, sequences: list[str], *, limit: int | None = None) -> list[torch.Tensor]:
    """Return the hidden states of each sequence, (length, hidden_size), by transformers alone."""
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>", cls_token="<cls>", sep_token="<sep>"
    )
    model = transformers.AutoModel.from_pretrained(folder, trust_remote_code=False).eval()
    cut = {"truncation": limit is not None, "max_length": limit}
    with torch.inference_mode():
        batches = [tokenizer(sequence, return_tensors="pt", **cut) for sequence in sequences]
        return [model(b["input_ids"], attention_mask=b["attention_mask"]).last_hidden_state[0] for b in batches]


@kinds
def test_golden(saved: Callable[[str], Path], kind: str) -> None:
    folder = saved(kind)
    states = direct(folder, SEQUENCES)
    assert [len(hidden) for hidden in states[1:3]] == [2, 4]
    pooled = {
        "mean": [hidden.mean(0) for hidden in states],
        "mean_no_special": [hidden[1:-1].mean(0).nan_to_num() for hidden in states],
        "cls": [hidden[0] for hidden in states],
        "max": [hidden.amax(0) for hidden in states],
    }
    for pooling, expected in pooled.items():
        found = load(folder, pooling=pooling).encode(SEQUENCES)
        np.testing.assert_allclose(found, torch.stack(expected), atol=1e-5, err_msg=pooling)
    assert len(np.unique(pooled["mean"], axis=0)) == len(SEQUENCES)


def test_published_weights_in_the_layout_of_esm(shared_golden: Path) -> None:
    folder = shared_golden / "nt_v1_tiny"
    recorded = load_file(folder / "inputs_outputs.safetensors")
    checkpoint = find_checkpoint(str(folder), revision=None)
    network = load_stock_network(stock_config(checkpoint), checkpoint)
    mask = recorded["attention_mask"].bool()
    with torch.inference_mode():
        hidden = network(recorded["input_ids"], mask) * mask[:, :, None]
    torch.testing.assert_close(hidden, recorded["last_hidden_state"], atol=5e-5, rtol=0)


@kinds
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_batch_invariance(saved: Callable[[str], Path], kind: str, data: st.DataObject) -> None:
    encoder = load_once(saved(kind))
    sequences = data.draw(st.lists(st.text("ACGTN", max_size=80), min_size=1, max_size=12))
    order = data.draw(st.permutations(range(len(sequences))))
    encoder._batch_tokens = 1
    alone = np.vstack([encoder.encode([sequence]) for sequence in sequences])
    encoder._batch_tokens = data.draw(st.sampled_from([1, 40, 100, 10_000]))
    np.testing.assert_allclose(encoder.encode([sequences[i] for i in order]), alone[order], atol=1e-5)


LOADED: dict[Path, TransformersEncoder] = {}


def load_once(folder: Path) -> TransformersEncoder:
    if folder not in LOADED:
        LOADED[folder] = load(folder)
    return LOADED[folder]


@kinds
def test_the_encoder_alone_and_a_bin_are_the_same(saved: Callable[[str], Path], tmp_path: Path, kind: str) -> None:
    expected = load(saved(kind)).encode(SEQUENCES)
    alone = tmp_path / "alone"
    options = {} if kind == "modernbert" else {"add_pooling_layer": False}
    transformers.AutoModel.from_pretrained(saved(kind), **options).save_pretrained(alone)
    make_tokenizer().save(str(alone / "tokenizer.json"))
    np.testing.assert_array_equal(load(alone).encode(SEQUENCES), expected)
    torch.save(load_file(alone / "model.safetensors"), alone / "pytorch_model.bin")
    (alone / "model.safetensors").unlink()
    np.testing.assert_array_equal(load(alone).encode(SEQUENCES), expected)


@kinds
def test_both_strands_and_int8(saved: Callable[[str], Path], kind: str) -> None:
    folder = saved(kind)
    forward = load(folder)
    opposite = [s[::-1].translate(str.maketrans("ACGT", "TGCA")) for s in SEQUENCES]
    expected = (forward.encode(SEQUENCES) + forward.encode(opposite)) / 2
    both = load(folder, reverse_complement=True)
    np.testing.assert_allclose(both.encode(SEQUENCES), expected, atol=1e-6)
    int8 = load(folder, quantize=True)
    error = np.linalg.norm(int8.encode(SEQUENCES) - forward.encode(SEQUENCES), axis=1)
    assert 0 < error.max() < 0.5 * np.linalg.norm(forward.encode(SEQUENCES), axis=1).min()
    assert len({forward.revision, both.revision, int8.revision, load(folder, pooling="max").revision}) == 4


@kinds
def test_bf16_is_near_and_finite(saved: Callable[[str], Path], kind: str) -> None:
    # What runs on a GPU, under the CPU's autocast.
    network = load_once(saved(kind))._network
    ids, mask = torch.tensor([[3, 5, 6, 4, 1], [3, 7, 8, 9, 4]]), torch.tensor([[True] * 4 + [False], [True] * 5])
    with torch.inference_mode():
        exact = network(ids, mask)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = network(ids, mask)
    assert not torch.equal(hidden.float(), exact)
    torch.testing.assert_close(hidden.float()[mask], exact[mask], atol=0.2, rtol=0.1)


@kinds
def test_long_sequences_are_cut_and_keep_their_end_token(
    saved: Callable[[str], Path], warnings: list[str], kind: str
) -> None:
    limit = SIZES["max_position_embeddings"] - (2 if kind in {"esm", "roberta"} else 0)
    long = "".join(np.random.default_rng(0).choice(list("AT"), 100))
    vectors = load(saved(kind)).encode([long, "ACGT"])
    expected = direct(saved(kind), [long], limit=limit)[0]
    assert len(expected) == limit
    np.testing.assert_allclose(vectors[0], expected.mean(0), atol=1e-5)
    assert len(warnings) == 1
    assert warnings[0].startswith(f"1 of 2 sequences have more than the {limit} tokens that 'transformers' reads")


def test_what_the_tokenizer_allows_is_a_limit_too(tmp_path: Path, warnings: list[str]) -> None:
    folder = save_model(tmp_path, "bert")
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 12}')
    found = load(folder).encode(["AT" * 10])
    np.testing.assert_allclose(found[0], direct(folder, ["AT" * 10], limit=12)[0].mean(0), atol=1e-5)
    assert "more than the 12 tokens" in warnings[0]
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 1000000000000000019884624838656}')
    assert load(folder)._max_tokens == 66


def test_unknown_bases_are_read_where_there_is_a_token_for_them(tmp_path: Path) -> None:
    folder = save_model(tmp_path, "bert")
    cut = load(folder).encode(["ACGTNNTT", "acgttt", "ACGTTT", "ACGTRY-TT", "NN", ""])
    np.testing.assert_array_equal(cut[[0, 1, 3]], cut[[2, 2, 2]])
    np.testing.assert_array_equal(cut[4], cut[5])
    make_tokenizer(n=True).save(str(folder / "tokenizer.json"))
    read = load(folder).encode(["ACGTNNTT", "acgttt", "ACGTTT", "ACGTRYtt"])
    np.testing.assert_array_equal(read[[1, 3]], read[[2, 0]])
    assert np.abs(read[0] - read[1]).max() > 1e-3
    np.testing.assert_allclose(read[0], direct(folder, ["ACGTNNTT"])[0].mean(0), atol=1e-5)


def test_a_tokenizer_without_special_tokens(tmp_path: Path) -> None:
    folder = save_model(tmp_path, "modernbert")
    make_tokenizer(around="").save(str(folder / "tokenizer.json"))
    found = load(folder, pooling="mean_no_special").encode(["", "ACGT"])
    assert not found[0].any()
    np.testing.assert_allclose(found[1], direct(folder, ["ACGT"])[0].mean(0), atol=1e-5)
    assert np.isfinite(load(folder).encode(["", "NNN"])).all()
    with pytest.raises(ValueError, match=r"pooling='cls' takes the first token.*Pass pooling='mean'"):
        load(folder, pooling="cls")


def test_a_vocabulary_of_an_older_tokenizer(tmp_path: Path) -> None:
    folder = save_model(tmp_path, "esm")
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    configuration = {"tokenizer_class": "EsmTokenizer", "eos_token": "<sep>", "model_max_length": 40}
    (folder / "tokenizer_config.json").write_text(json.dumps(configuration))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    ids = tokenizer("ACGTACT", return_tensors="pt")
    assert ids["input_ids"].tolist() == [[3, 11, 9, 8, 4]]
    with torch.inference_mode():
        expected = model(**ids).last_hidden_state[0].mean(0)
    encoder = load(folder)
    np.testing.assert_allclose(encoder.encode(["acgtact"])[0], expected, atol=1e-5)
    assert encoder._max_tokens == 40


def test_nothing_is_said_and_nothing_random_is_touched(
    saved: Callable[[str], Path], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = saved("bert")
    before = torch.random.get_rng_state()
    verbosity = transformers.utils.logging.get_verbosity()
    capfd.readouterr()
    with caplog.at_level(logging.DEBUG):
        load(folder).encode(["ACGT"])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.name.startswith("transformers")]
    assert transformers.utils.logging.get_verbosity() == verbosity


class TestCheckpointsThatAreRefused:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return save_model(tmp_path, "bert")

    @staticmethod
    def change_weights(folder: Path, **changes: torch.Tensor | None) -> None:
        weights = load_file(folder / "model.safetensors")
        weights |= {f"bert.{name.replace('__', '.')}": value for name, value in changes.items()}
        kept = {name: value for name, value in weights.items() if value is not None}
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})

    def test_everything_wrong_in_one_error(self, folder: Path) -> None:
        self.change_weights(
            folder,
            encoder__layer__1__output__dense__bias=None,
            encoder__layer__2__extra=torch.ones(2),
            embeddings__word_embeddings__weight=torch.ones(7, 24),
        )
        with pytest.raises(ValueError, match="are not those of this network") as caught:
            load(folder)
        message = str(caught.value)
        assert "1 missing: encoder.layer.1.output.dense.bias;" in message
        assert "1 unexpected: bert.encoder.layer.2.extra;" in message
        assert "1 of another shape: embeddings.word_embeddings.weight (7, 24) instead of (12, 24)." in message
        assert str(folder / "model.safetensors") in message

    def test_another_network(self, folder: Path) -> None:
        change_config(folder, num_hidden_layers=4)
        with pytest.raises(ValueError, match=r"16 missing: encoder\.layer\.3"):
            load(folder)
        change_config(folder, num_hidden_layers=2)
        with pytest.raises(ValueError, match=r"16 unexpected: bert\.encoder\.layer\.2"):
            load(folder)

    def test_weights_that_are_not_finite(self, folder: Path) -> None:
        self.change_weights(folder, encoder__layer__1__output__dense__bias=torch.full((24,), float("nan")))
        with pytest.raises(ValueError, match=r"holds bert\.encoder.* with 24 of 24 values NaN or infinite"):
            load(folder)

    @pytest.mark.parametrize("name", ["dnabert2_tiny", "nt_v2_tiny"])
    def test_code_that_a_model_needs(self, shared_golden: Path, name: str) -> None:
        with pytest.raises(ValueError, match=r"has auto_map=.*not run; .*'dnabert2'.*'nucleotide-transformer-"):
            load(shared_golden / name)

    def test_dnabert2_without_the_name_of_its_code(self, shared_golden: Path, tmp_path: Path) -> None:
        for file in ("config.json", "model.safetensors", "tokenizer.json"):
            (tmp_path / file).write_bytes((shared_golden / "dnabert2_tiny" / file).read_bytes())
        change_config(tmp_path, auto_map=None, model_type="bert")
        with pytest.raises(ValueError, match=r"missing: embeddings\.position_embeddings.*unexpected: bert\.encoder"):
            load(tmp_path)

    @pytest.mark.parametrize("kind", ["mamba", "t5", None, 3])
    def test_other_types(self, folder: Path, kind: Any) -> None:
        change_config(folder, model_type=kind)
        with pytest.raises(ValueError, match=rf"has model_type={kind!r}; expected one of \['bert', 'esm', .*object"):
            load(folder)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"hidden_size": 0}, "hidden_size=0, expected a whole number from 1"),
            ({"num_hidden_layers": 10**9}, "num_hidden_layers=1000000000, expected a whole number from 1 to 1,024"),
            ({"num_attention_heads": 5}, "heads of equal width"),
            ({"hidden_size": "wide"}, "expected"),
            ({"pad_token_id": 99}, "pad_token_id=99, expected one below vocab_size=12"),
            ({"max_position_embeddings": 2}, "leaves room for 2 tokens"),
            ({"vocab_size": 9}, "vocab_size=9, expected more than 11, the id of the token 'ACGT'"),
        ],
        ids=str,
    )
    def test_configurations(self, folder: Path, values: dict[str, Any], message: str) -> None:
        change_config(folder, **values)
        with pytest.raises(ValueError, match=message) as caught:
            load(folder)
        assert str(folder / "config.json") in str(caught.value)
        assert "source=" in str(caught.value)

    def test_a_configuration_that_makes_no_network(self, folder: Path, tmp_path: Path) -> None:
        change_config(folder, hidden_act="none such")
        with pytest.raises(ValueError, match=r"config\.json is of no network that transformers can make.*source="):
            load(folder)
        esm = save_model(tmp_path / "esm", "esm")
        change_config(esm, pad_token_id=None)
        with pytest.raises(ValueError, match="has pad_token_id=None, expected one below vocab_size=12"):
            load(esm)

    def test_tokenizers_that_do_not_spell_dna(self, folder: Path) -> None:
        file = folder / "tokenizer.json"
        words = Tokenizer(models.WordLevel({"<unk>": 0, "ACGT": 1, "A": 2, "C": 3, "G": 4, "T": 5}, unk_token="<unk>"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        # As BERT's does, it calls words of more than a hundred letters unknown.
        pieces = {token: i for i, token in enumerate(["[UNK]", *"ACGT", *(f"##{base}" for base in "ACGT")])}
        short = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]", max_input_chars_per_word=100))
        lower = make_tokenizer()
        lower.normalizer = normalizers.Lowercase()
        for tokenizer in (words, short, lower):
            tokenizer.save(str(file))
            with pytest.raises(ValueError, match=r"splits '[ACGT.]+' into .*; expected tokens that spell"):
                load(folder)
        Tokenizer(models.WordPiece(pieces, unk_token="[UNK]", max_input_chars_per_word=10**6)).save(str(file))
        assert np.isfinite(load(folder).encode(SEQUENCES)).all()

    def test_no_tokenizer(self, folder: Path) -> None:
        (folder / "tokenizer.json").unlink()
        with pytest.raises(FileNotFoundError, match=r"Found no tokenizer\.json or vocab\.txt or vocab\.json in"):
            load(folder)

    @pytest.mark.parametrize("name", ["tokenizer.json", "vocab.txt", "vocab.json"])
    def test_damaged_tokenizer(self, folder: Path, name: str) -> None:
        (folder / "tokenizer.json").unlink()
        (folder / name).write_text("{")
        with pytest.raises(ValueError, match=rf"{name} (cannot be used|splits 'A' into).*source="):
            load(folder)


def test_from_the_cache_of_the_hub(
    saved: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "models--someone--else" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for file in saved("modernbert").iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    encoder = TransformersEncoder("someone/else", revision=commit, device="cpu")
    assert encoder.revision == "1-0123456789ab-mean-fp32"
    np.testing.assert_array_equal(encoder.encode(SEQUENCES), load(saved("modernbert")).encode(SEQUENCES))
    with pytest.raises(FileNotFoundError, match=r"Could not get config\.json of 'someone/other'.*hf download"):
        TransformersEncoder("someone/other", device="cpu")


def test_registered(saved: Callable[[str], Path]) -> None:
    encoder = encoders.get("transformers", source=str(saved("bert")), pooling="cls", device="cpu")
    assert isinstance(encoder, encoders.PeakEncoder)
    assert (encoder.name, encoder.n_dims) == ("transformers", 24)
    assert encoder.revision.startswith("1-sha256-")
    assert encoder.revision.endswith("-cls-fp32")
    assert sl.get.encoders().loc["transformers", "options"] == "device, pooling, revision, source"
    with pytest.raises(
        ValueError, match=r"no weights of its own, found source=None.*sl\.encoders\.get\('transformers'"
    ):
        encoders.get("transformers")


def test_vectors_in_a_slot_say_which_model_they_are_of(saved: Callable[[str], Path], tmp_path: Path) -> None:
    adata, _ = sl.datasets.simulate(n_reference=20, n_query=10, n_peaks=100)
    origins = []
    for kind in ("bert", "modernbert"):
        encoder = load(saved(kind))
        sl.tl.embed_peaks(adata, encoder, cache_dir=tmp_path)
        origins.append(dict(adata.uns["X_transformers"]))
        np.testing.assert_allclose(
            adata.varm["X_transformers"], encoder.encode(adata.var["sequence"].tolist()), atol=1e-5
        )
    assert origins[0]["revision"] != origins[1]["revision"]
    assert len(list(tmp_path.iterdir())) == 2, "a folder of the cache for each"
