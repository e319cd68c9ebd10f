"""Weights of networks as folders of safetensors and JSON, from a path or the Hugging Face hub; no code in them is run.

Finding, reading, verifying and writing such folders live here, and what tokenizer.json holds. What a network computes
may not, nor which files one published model has: that is said by the encoder or system whose model it is.
"""

from __future__ import annotations

from ._find_checkpoint import Checkpoint, find_checkpoint
from ._load_network import load_network, published_names, refuse_weights, require_finite
from ._messages import DOWNLOAD_AGAIN, first_line, listed, shortened
from ._read_checkpoint import read_checkpoint
from ._read_json import read_json
from ._read_tensors import as_float32, read_tensors
from ._read_tokenizer import read_tokenizer, refuse_tokenizer, special_ids
from ._sizes import require_sizes
from ._write_checkpoint import require_replaceable, write_checkpoint

__all__ = [
    "DOWNLOAD_AGAIN",
    "Checkpoint",
    "as_float32",
    "find_checkpoint",
    "first_line",
    "listed",
    "load_network",
    "published_names",
    "read_checkpoint",
    "read_json",
    "read_tensors",
    "read_tokenizer",
    "refuse_tokenizer",
    "refuse_weights",
    "require_finite",
    "require_replaceable",
    "require_sizes",
    "shortened",
    "special_ids",
    "write_checkpoint",
]
