"""Tiny models of transformers with random weights, saved as their own library saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

SPECIAL = ["<unk>", "<pad>", "<mask>", "<cls>", "<sep>"]
VOCABULARY = [*SPECIAL, *"ACGT", "AC", "GT", "ACGT"]
SIZES: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 66,
    "pad_token_id": 1,
}
# What is set differs from the default where that matters: windows that are shorter than sequences, dropout that must
# be off, tokens that would be dropped.
EXTRA: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": {},
    "esm": {"token_dropout": True, "mask_token_id": 2, "position_embedding_type": "absolute"},
    "modernbert": {
        "local_attention": 8,
        "global_attn_every_n_layers": 2,
        "cls_token_id": 3,
        "sep_token_id": 4,
        "bos_token_id": 3,
        "eos_token_id": 4,
        "attention_dropout": 0.1,
    },
}
KINDS = {
    "bert": "BertForMaskedLM",
    "roberta": "RobertaForMaskedLM",
    "esm": "EsmForMaskedLM",
    "modernbert": "ModernBertForMaskedLM",
}


def make_tokenizer(*, n: bool = False, around: str = "<cls> $A <sep>") -> Tokenizer:
    """Byte pairs of DNA, with or without a token for N."""
    vocabulary = {token: i for i, token in enumerate(VOCABULARY)}
    if n:
        vocabulary["N"] = vocabulary.pop("ACGT")
    merges = [("A", "C"), ("G", "T")] + ([] if n else [("AC", "GT")])
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>"))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if around:
        tokenizer.post_processor = processors.TemplateProcessing(around, None, [("<cls>", 3), ("<sep>", 4)])
    # As published tokenizers often do; neither must have a say here.
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(pad_id=1, pad_token="<pad>")
    return tokenizer


def save_model(folder: Path, kind: str) -> Path:
    """Save a tokenizer and a model with its head for masked tokens."""
    config = transformers.AutoConfig.for_model(kind, **(SIZES | EXTRA[kind]))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(transformers, KINDS[kind])(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(std=0.3)
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    make_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def change_config(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
