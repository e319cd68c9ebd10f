"""Tiny checkpoints with random weights, in the layout of the published ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from scllmda.checkpoints import published_names
from scllmda.encoders import _dnabert2, _nucleotide_transformer
from scllmda.nn import MosaicBert, NucleotideTransformer

SIZES = {"hidden_size": 24, "n_layers": 2, "n_heads": 6, "intermediate_size": 32, "layer_norm_eps": 1e-12}


def write(folder: Path, network: torch.nn.Module, module: Any, sizes: dict[str, Any], extra: dict[str, Any]) -> Path:
    generator = torch.Generator().manual_seed(0)
    names = published_names(network, module.MODULES)
    weights = {names[name]: torch.randn(t.shape, generator=generator) / 4 for name, t in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    config = {theirs: sizes[ours] for ours, theirs in module.SIZES.items()}
    (folder / "config.json").write_text(json.dumps(config | extra))
    return folder


def write_dnabert2(folder: Path) -> Path:
    """Write a DNABERT-2 over single and paired bases; padding is not token 0."""
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    vocabulary = {token: i for i, token in enumerate([*special, *"ACGT", "AC", "GT", "ACGT"])}
    merges = [("A", "C"), ("G", "T"), ("AC", "GT")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="[UNK]"))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 1), ("[SEP]", 2)])
    tokenizer.save(str(folder / "tokenizer.json"))
    sizes = SIZES | {"vocab_size": len(vocabulary), "n_token_types": 2}
    return write(folder, MosaicBert(**sizes), _dnabert2, sizes, {})


@pytest.fixture
def dnabert2_folder(tmp_path: Path) -> Path:
    """DNABERT-2 over single and paired bases."""
    return write_dnabert2(tmp_path)


@pytest.fixture
def nucleotide_transformer_folder(tmp_path: Path) -> Callable[[str], Path]:
    """Nucleotide Transformer "v1" or "v2", with 60 positions for tokens."""

    def make(generation: str) -> Path:
        v2 = generation == "v2"
        sizes = SIZES | {
            "vocab_size": 4107 if v2 else 4105,
            "n_positions": 62,
            "pad_id": 1,
            "mask_id": 2,
            "token_dropout": not v2,
        }
        extra: dict[str, Any] = {"position_embedding_type": "rotary" if v2 else "absolute"}
        if v2:
            extra["add_bias_fnn"] = False
        folder = tmp_path / generation
        folder.mkdir()
        network = NucleotideTransformer(**sizes, rotary=v2, gated=v2)
        return write(folder, network, _nucleotide_transformer, sizes, extra)

    return make
