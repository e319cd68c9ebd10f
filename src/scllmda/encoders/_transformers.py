"""Any checkpoint of a DNA language model that the classes of transformers load."""

from __future__ import annotations

from typing import Any

from ..checkpoints import Checkpoint, find_checkpoint
from ._dna_tokenizer import FILES, DnaTokenizer, read_dna_tokenizer
from ._neural import NeuralEncoder, check_options
from ._stock_network import load_stock_network, max_tokens_of, stock_config


class TransformersEncoder(NeuralEncoder):
    """Any DNA language model of the type of BERT, RoBERTa, ESM or ModernBERT, by the classes of ``transformers``.

    For checkpoints that need no code of their own, published ones or one that you trained. A model that brings code is
    refused; DNABERT-2 and the Nucleotide Transformers have encoders here that need none. Every weight that the hidden
    states depend on has to be in the checkpoint, and nothing else but heads.

    The tokenizer is that of the checkpoint, its special tokens included; it has to spell DNA, which is tried when it is
    read. Lower case is read as upper case; whatever is not A, C, G or T is read as N where the tokenizer has a token
    for it, and cut out where not. Of a sequence with more tokens than the model has positions, or than its tokenizer
    allows, the first are read, and the special ones at the end; a warning says how many sequences were cut.

    Parameters
    ----------
    source
        Id of a repository on the Hugging Face hub, kept in the hub's cache (``HF_HOME``) and taken from there alone if
        ``HF_HUB_OFFLINE=1``; or a local folder. It holds ``config.json``, a tokenizer (``tokenizer.json``, else
        ``vocab.txt`` or ``vocab.json``) and ``model.safetensors`` or ``pytorch_model.bin`` (or their shards).
    revision
        Commit, tag or branch on the hub; None is its main branch. Name a commit for vectors that stay the same.
    pooling
        "mean" of all tokens, special ones included; "mean_no_special" (zeros for a sequence without bases); "cls", the
        first token, where the tokenizer puts a special one there; or "max".
    reverse_complement
        Average the vectors of both strands, so that a peak read from either is the same; takes twice the time.
    device
        "cpu" (fp32), "cuda" (bf16 autocast), …; "auto" takes a GPU when there is one.
    quantize
        Linear layers in int8, on CPU only.
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
        There is no ``source``, or an option is unusable; the model needs code of its own, or is of another type;
        ``config.json`` or the tokenizer is damaged, does not spell DNA, or does not belong to the other files; or the
        weights are unsafe, damaged, not finite, or not those that ``config.json`` describes.

    Notes
    -----
    Wolf et al. 2020, EMNLP (System Demonstrations), 38. Cite the model too.

    Examples
    --------
    >>> import scllmda as sl
    >>> encoder = sl.encoders.TransformersEncoder("folder/with/a/model")  # doctest: +SKIP
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
        if source is None:
            msg = (
                "The encoder 'transformers' has no weights of its own, found source=None; expected an id on the "
                "Hugging Face hub or a folder. Pass it and the object: "
                "encoder=sl.encoders.get('transformers', source='…')."
            )
            raise ValueError(msg)
        check_options(pooling=pooling, device=device, quantize=quantize, batch_tokens=batch_tokens)
        checkpoint = find_checkpoint(source, revision=revision, optional=FILES)
        config = stock_config(checkpoint)
        max_tokens = max_tokens_of(config, checkpoint)
        tokenizer = read_dna_tokenizer(checkpoint)
        _require_known_ids(tokenizer, config, checkpoint)
        if pooling == "cls" and tokenizer.n_start == 0:
            msg = (
                f"pooling='cls' takes the first token, and the tokenizer of {source!r} puts none before a sequence; "
                "expected one that does. Pass pooling='mean'."
            )
            raise ValueError(msg)
        super().__init__(
            load_stock_network(config, checkpoint),
            tokenizer,
            name="transformers",
            n_dims=config.hidden_size,
            weights=checkpoint.revision,
            pad_id=config.pad_token_id or 0,
            special_ids=sorted(tokenizer.special),
            max_tokens=max_tokens,
            n_end_tokens=tokenizer.n_end,
            pooling=pooling,
            reverse_complement=reverse_complement,
            device=device,
            quantize=quantize,
            batch_tokens=batch_tokens,
        )


def _require_known_ids(tokenizer: DnaTokenizer, config: Any, checkpoint: Checkpoint) -> None:
    """Raise ValueError if a token has no vector in the network."""
    token, largest = tokenizer.largest
    if largest >= config.vocab_size:
        checkpoint.refuse(
            f"has vocab_size={config.vocab_size}, expected more than {largest}, the id of the token {token!r}"
        )
