"""DNABERT-2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from .. import checkpoints
from ..checkpoints import Checkpoint, find_checkpoint, load_network, refuse_tokenizer, special_ids
from ._neural import NeuralEncoder, Tokens, check_options

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

    from ..nn import MosaicBert

HUB_ID = "zhihan1996/DNABERT-2-117M"
HUB_REVISION = "7bce263b15377fc15361f52cfab88f8b586abda0"

SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "n_token_types": "type_vocab_size",
    "layer_norm_eps": "layer_norm_eps",
}
MODULES = {
    "tokens": "bert.embeddings.word_embeddings",
    "token_types": "bert.embeddings.token_type_embeddings",
    "norm": "bert.embeddings.LayerNorm",
    "layers.{}.qkv": "bert.encoder.layer.{}.attention.self.Wqkv",
    "layers.{}.attention_out": "bert.encoder.layer.{}.attention.output.dense",
    "layers.{}.attention_norm": "bert.encoder.layer.{}.attention.output.LayerNorm",
    "layers.{}.gated": "bert.encoder.layer.{}.mlp.gated_layers",
    "layers.{}.out": "bert.encoder.layer.{}.mlp.wo",
    "layers.{}.norm": "bert.encoder.layer.{}.mlp.layernorm",
}
IGNORED = r"cls\.predictions\..*|bert\.pooler\..*"
"""Heads: the one that predicts masked tokens, and one that was never trained."""

_UPPER = bytes.maketrans(b"acgt", b"ACGT")
_NO_BASE = bytes(set(range(256)) - set(b"ACGTacgt"))
_SPECIAL = ("[CLS]", "[SEP]", "[PAD]")
_TRIED = ("", *"ACGT", "AACAGATCCGCTGGTTACGTACGTTGCAAAAAAAACCCCCCCCGATTACA")
"""Sequences that any byte pairs of DNA can spell; the last one has all pairs of bases."""


class Dnabert2Encoder(NeuralEncoder):
    """DNABERT-2: a language model of 135 genomes over byte-pair-encoded DNA, 768 dimensions, 117 M parameters.

    The published weights in a plain PyTorch network: no code from the checkpoint is run. Lower case is read as upper
    case; whatever is not A, C, G or T is cut out, as published for scLLMDA, so that runs of N cost nothing. A sequence
    without any base is encoded as its two special tokens. There is no longest sequence, but memory grows with the
    square of the length: 10 kb, about 2,000 tokens, take some 0.5 GB.

    Parameters
    ----------
    source
        Id of a repository on the Hugging Face hub, or a local folder with ``config.json``, ``tokenizer.json`` and
        ``model.safetensors`` or ``pytorch_model.bin``. None is the published ``zhihan1996/DNABERT-2-117M``, kept in the
        hub's cache (``HF_HOME``) and taken from there alone if ``HF_HUB_OFFLINE=1``.
    revision
        Commit, tag or branch on the hub. None is commit ``7bce263`` of the published repository, or the main branch of
        another.
    pooling
        "mean" of all tokens, the two special ones included, as published for scLLMDA; "mean_no_special" (zeros for
        a sequence without bases); "cls"; or "max".
    reverse_complement
        Average the vectors of both strands, so that a peak read from either is the same; takes twice the time.
    device
        "cpu" (fp32), "cuda" (bf16 autocast), …; "auto" takes a GPU when there is one.
    quantize
        Linear layers in int8, on CPU only. With random weights in DNABERT-2's size, vectors were off by 0.8 % of their
        length and took 0.8 times as long (``benchmarks/encoders.py``); trained weights were not measured.
    batch_tokens
        Tokens per batch; None chooses by device.

    Attributes
    ----------
    revision
        Commit on the hub, or hash of the files' content, with pooling, strands and precision.

    Raises
    ------
    FileNotFoundError
        The checkpoint is incomplete, or the hub cannot be reached.
    ValueError
        An option is unusable; ``config.json`` or ``tokenizer.json`` is damaged, describes no DNABERT-2, or does not
        belong to the other files; or the weights are unsafe, damaged, not finite, or not those of a DNABERT-2.

    Notes
    -----
    Zhou et al. 2024, ICLR (arXiv 2306.15006); Apache-2.0.

    Examples
    --------
    >>> import scllmda as sl
    >>> encoder = sl.encoders.Dnabert2Encoder("folder/with/DNABERT-2-117M")  # doctest: +SKIP
    >>> encoder.encode(["ACGTACGT", "TTTTGGGG"]).shape  # doctest: +SKIP
    (2, 768)
    """

    def __init__(
        self,
        source: str | None = None,
        *,
        revision: str | None = None,
        pooling: str = "mean",
        reverse_complement: bool = False,
        device: str = "auto",
        quantize: bool = False,
        batch_tokens: int | None = None,
    ) -> None:
        check_options(pooling=pooling, device=device, quantize=quantize, batch_tokens=batch_tokens)
        if source in (None, HUB_ID):
            revision = revision or HUB_REVISION
        checkpoint = find_checkpoint(source or HUB_ID, revision=revision, files=("config.json", "tokenizer.json"))
        n_known = checkpoint.sizes(SIZES)["vocab_size"]
        tokenizer = read_tokenizer(checkpoint.files["tokenizer.json"])
        _require_known_ids(tokenizer, n_known, checkpoint)
        special = special_ids(tokenizer)
        network = load_mosaic_bert(checkpoint)
        super().__init__(
            network,
            byte_pair_tokens(tokenizer),
            name="dnabert2",
            n_dims=network.norm.normalized_shape[0],
            weights=checkpoint.revision,
            pad_id=special["[PAD]"],
            special_ids=list(special.values()),
            pooling=pooling,
            reverse_complement=reverse_complement,
            device=device,
            quantize=quantize,
            batch_tokens=batch_tokens,
        )


def load_mosaic_bert(checkpoint: Checkpoint) -> MosaicBert:
    """Return the network of a checkpoint, on CPU, in fp32."""
    from ..nn import MosaicBert

    sizes = checkpoint.sizes(SIZES)
    return load_network(lambda: MosaicBert(**sizes), checkpoint, modules=MODULES, ignored=IGNORED, tried=[0])


def read_tokenizer(file: Path) -> Tokenizer:
    """Return the tokenizer of a checkpoint, given its ``tokenizer.json``.

    Raises
    ------
    ValueError
        It cannot be read, lacks one of the special tokens [CLS], [SEP] and [PAD], or does not spell DNA.
    """
    tokenizer, encodings = checkpoints.read_tokenizer(file, tried=_TRIED, model="DNABERT-2")
    special = special_ids(tokenizer)
    if lacking := set(_SPECIAL) - set(special):
        _refuse(file, f"lacks the special tokens {sorted(lacking)}, found {sorted(special)}", "all of them")
    _require_byte_pairs(tokenizer, file)
    for sequence, encoding in zip(_TRIED, encodings, strict=True):
        _require_spelling(tokenizer, sequence, encoding, file)
    return tokenizer


def _require_byte_pairs(tokenizer: Tokenizer, file: Path) -> None:
    """Raise ValueError if a tokenizer does not merge pairs of letters, or not always the same."""
    from tokenizers.models import BPE

    model = tokenizer.model
    if not isinstance(model, BPE):
        _refuse(file, f"has a model of type {type(model).__name__}", "one of type BPE")
    if model.dropout:
        _refuse(file, f"leaves out merges at random, dropout={model.dropout}", "dropout null")
    ids = list(tokenizer.get_vocab().values())
    if len(set(ids)) < len(ids):
        _refuse(file, f"has {len(ids)} tokens with {len(set(ids))} different ids", "an id for each token")


def _require_spelling(tokenizer: Tokenizer, sequence: str, encoding: Encoding, file: Path) -> None:
    """Raise ValueError if the tokens of a sequence are not [CLS], tokens that spell it, and [SEP]."""
    first, *spelling, last = encoding.tokens if len(encoding.tokens) > 1 else ("", "")
    spells = (first, "".join(spelling), last) == ("[CLS]", sequence, "[SEP]")
    known = [tokenizer.token_to_id(token) for token in encoding.tokens]
    if not spells or encoding.ids != known or set(spelling) & set(special_ids(tokenizer)):
        found = f"splits {sequence!r} into {encoding.tokens} with ids {encoding.ids}"
        _refuse(file, found, "[CLS], tokens that spell the sequence, and [SEP], each with its own id")


def _require_known_ids(tokenizer: Tokenizer, n_known: int, checkpoint: Checkpoint) -> None:
    """Raise ValueError if a token has no vector in the network."""
    token, largest = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if largest >= n_known:
        found = f"has the token {token!r} with id {largest}"
        expected = f"ids below {n_known}, the vocab_size of {checkpoint.files['config.json']}"
        _refuse(checkpoint.files["tokenizer.json"], found, expected)


def _refuse(file: Path, found: str, expected: str) -> NoReturn:
    refuse_tokenizer(file, found, expected, model="DNABERT-2")


def byte_pair_tokens(tokenizer: Tokenizer) -> Callable[[Sequence[str]], Tokens]:
    """Return the function that cleans sequences and splits them into tokens, special ones included."""

    def tokenize(sequences: Sequence[str]) -> Tokens:
        ids = [encoding.ids for encoding in tokenizer.encode_batch_fast([clean(s) for s in sequences])]
        lengths = np.fromiter(map(len, ids), dtype=np.intp, count=len(ids))
        return Tokens(np.fromiter(chain.from_iterable(ids), dtype=np.int32, count=lengths.sum()), lengths)

    return tokenize


def clean(sequence: str) -> str:
    """Return the known bases of a sequence, in upper case."""
    return sequence.encode("ascii", "replace").translate(_UPPER, _NO_BASE).decode()
