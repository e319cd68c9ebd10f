"""The Nucleotide Transformer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from .. import _logging as logg
from ..checkpoints import Checkpoint, find_checkpoint, load_network, shortened
from ._neural import NeuralEncoder, check_options
from ._six_mers import CLS, six_mer_tokens

if TYPE_CHECKING:
    import torch

    from ..nn import NucleotideTransformer

HUB_REVISIONS: dict[str, str | None] = {
    "nucleotide-transformer-500m-human-ref": None,
    "nucleotide-transformer-500m-1000g": None,
    "nucleotide-transformer-2.5b-1000g": None,
    "nucleotide-transformer-2.5b-multi-species": None,
    "nucleotide-transformer-v2-50m-multi-species": "81b29e5786726d891dbf929404ef20adca5b36f1",
    "nucleotide-transformer-v2-100m-multi-species": None,
    "nucleotide-transformer-v2-250m-multi-species": None,
    "nucleotide-transformer-v2-500m-multi-species": None,
}
"""Pinned commit of each published model; None is the main branch, whose commit the encoder's revision names."""

SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "n_positions": "max_position_embeddings",
    "layer_norm_eps": "layer_norm_eps",
    "pad_id": "pad_token_id",
    "mask_id": "mask_token_id",
    "token_dropout": "token_dropout",
}
MODULES = {
    "tokens": "esm.embeddings.word_embeddings",
    "positions": "esm.embeddings.position_embeddings",
    "norm": "esm.encoder.emb_layer_norm_after",
    "layers.{}.attention_norm": "esm.encoder.layer.{}.attention.LayerNorm",
    "layers.{}.query": "esm.encoder.layer.{}.attention.self.query",
    "layers.{}.key": "esm.encoder.layer.{}.attention.self.key",
    "layers.{}.value": "esm.encoder.layer.{}.attention.self.value",
    "layers.{}.attention_out": "esm.encoder.layer.{}.attention.output.dense",
    "layers.{}.norm": "esm.encoder.layer.{}.LayerNorm",
    "layers.{}.up": "esm.encoder.layer.{}.intermediate.dense",
    "layers.{}.down": "esm.encoder.layer.{}.output.dense",
}
IGNORED = r"lm_head\..*|esm\.contact_head\..*|esm\.embeddings\.position_(ids|embeddings\.weight)"
"""Heads, and what learned positions leave in the files of rotary ones or can be computed from."""
FREQUENCIES = "esm.encoder.layer.{}.attention.self.rotary_embeddings.inv_freq"
"""Of rotary positions; in the files of the second generation, and computed by the network."""

FIXED = {"pad_token_id": 1, "mask_token_id": 2, "emb_layer_norm_before": False}
"""What all published networks have in common, where ``config.json`` says it: <pad> and <mask> come second and third in
either vocabulary, and nothing is normalized before the first layer."""


class NucleotideTransformerEncoder(NeuralEncoder):
    """Nucleotide Transformer: language models of human or of 850 species' genomes over 6-mers.

    The weights are licensed CC BY-NC-SA 4.0, for non-commercial use; a warning says so once. Both generations run in
    one plain PyTorch network: no code from the checkpoint is run. Lower case is read as upper case; whatever is not
    A, C, G or T is a token <N> of its own. A sequence without any base is encoded as <cls> alone. Only the first 1,000
    (v1) or 2,048 (v2) tokens of a sequence are read, 6 or 12 kb, as by the published tokenizer; a warning says how many
    sequences were cut.

    Parameters
    ----------
    name
        Published name, one of those in ``sl.get.encoders()``.
    source
        Id of a repository on the Hugging Face hub, or a local folder with ``config.json`` and ``model.safetensors`` or
        ``pytorch_model.bin`` (or their shards). None is the published ``InstaDeepAI/<name>``, kept in the hub's cache
        (``HF_HOME``) and taken from there alone if ``HF_HUB_OFFLINE=1``.
    revision
        Commit, tag or branch on the hub. None is a pinned commit for v2-50m, the main branch for the others.
    pooling
        "mean" of all tokens, <cls> included; "mean_no_special" (zeros for an empty sequence); "cls"; or "max".
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
        The name or an option is unusable; ``config.json`` is damaged, describes no Nucleotide Transformer, or does not
        belong to the weights; or these are unsafe, damaged, not finite, or not those of a Nucleotide Transformer.

    Notes
    -----
    Dalla-Torre et al. 2025, Nature Methods 22:287.

    Examples
    --------
    >>> import scllmda as sl
    >>> name = "nucleotide-transformer-v2-50m-multi-species"
    >>> encoder = sl.encoders.NucleotideTransformerEncoder(name)  # doctest: +SKIP
    >>> encoder.encode(["ACGTACGT", "TTTTGGGG"]).shape  # doctest: +SKIP
    (2, 512)
    """

    def __init__(
        self,
        name: str,
        *,
        source: str | None = None,
        revision: str | None = None,
        pooling: str = "mean",
        reverse_complement: bool = False,
        device: str = "auto",
        quantize: bool = False,
        batch_tokens: int | None = None,
    ) -> None:
        if name not in HUB_REVISIONS:
            msg = f"Unknown Nucleotide Transformer {name!r}, expected one of {list(HUB_REVISIONS)}."
            raise ValueError(msg)
        check_options(pooling=pooling, device=device, quantize=quantize, batch_tokens=batch_tokens)
        if source is None:
            source, revision = f"InstaDeepAI/{name}", revision or HUB_REVISIONS[name]
        checkpoint = find_checkpoint(source, revision=revision)
        first_id = first_six_mer(checkpoint)
        network = load_nucleotide_transformer(checkpoint)
        _tell_licence()
        super().__init__(
            network,
            partial(six_mer_tokens, first_id=first_id),
            name=name,
            n_dims=network.norm.normalized_shape[0],
            weights=checkpoint.revision,
            pad_id=network.pad_id,
            special_ids=[CLS],
            # The first positions, up to that of padding, are never used; rotary positions were trained as far.
            max_tokens=checkpoint.config["max_position_embeddings"] - network.pad_id - 1,
            pooling=pooling,
            reverse_complement=reverse_complement,
            device=device,
            quantize=quantize,
            batch_tokens=batch_tokens,
        )


def first_six_mer(checkpoint: Checkpoint) -> int:
    """Return the id of AAAAAA, which tells the two vocabularies apart.

    Raises
    ------
    ValueError
        The network's vocabulary is neither.
    """
    first_ids = {4 + 4**6 + 5: 4, 6 + 4**6 + 5: 6}
    size = checkpoint.sizes(SIZES)["vocab_size"]
    if size not in first_ids:
        generations = "6-mers of the first or second generation"
        checkpoint.refuse(f"has vocab_size={size}, expected one of {list(first_ids)}: {generations}")
    return first_ids[size]


def load_nucleotide_transformer(checkpoint: Checkpoint) -> NucleotideTransformer:
    """Return the network of a checkpoint, on CPU, in fp32.

    Raises
    ------
    ValueError
        ``config.json`` describes no network of either generation, or other weights than there are.
    """
    from ..nn import NucleotideTransformer

    sizes = checkpoint.sizes(SIZES)
    _require_fixed(checkpoint)
    is_second = _is_second(checkpoint)
    # Positions up to that of padding are never used; <cls> and one token of bases need two more.
    least = sizes["pad_id"] + 3
    if sizes["n_positions"] < least:
        checkpoint.refuse(f"has max_position_embeddings={sizes['n_positions']}, expected at least {least}")
    return load_network(
        lambda: NucleotideTransformer(**sizes, rotary=is_second, gated=is_second),
        checkpoint,
        modules=MODULES,
        ignored=IGNORED,
        tried=[CLS, CLS + 1],
        shapes={
            "esm.embeddings.position_embeddings.weight": (sizes["n_positions"], sizes["hidden_size"]),
            "esm.contact_head.regression.weight": (1, sizes["n_layers"] * sizes["n_heads"]),
        },
        computed=_frequencies(sizes, checkpoint) if is_second else None,
    )


def _require_fixed(checkpoint: Checkpoint) -> None:
    """Raise ValueError if ``config.json`` contradicts what all published networks have in common."""
    for name, expected in FIXED.items():
        found = checkpoint.config.get(name, expected)
        # To Python, 0 is False and 1 is True.
        if found != expected or isinstance(found, bool) != isinstance(expected, bool):
            checkpoint.refuse(f"has {name}={shortened(found)}, expected {expected!r}")


def _is_second(checkpoint: Checkpoint) -> bool:
    """Return whether the network is of the second generation: rotary positions, and gates instead of biases."""
    positions = checkpoint.config.get("position_embedding_type")
    # Only the second generation writes add_bias_fnn, and its gates come with it.
    biases = checkpoint.config.get("add_bias_fnn", True)
    if positions not in ("absolute", "rotary"):
        checkpoint.refuse(f"has position_embedding_type={shortened(positions)}, expected 'absolute' or 'rotary'")
    # The files of the second generation also hold learned positions, which its networks were not trained with.
    if biases is not (positions == "absolute"):
        checkpoint.refuse(
            f"has position_embedding_type={positions!r} and add_bias_fnn={shortened(biases)}, expected 'absolute' and "
            "true or nothing (first generation), or 'rotary' and false (second generation)"
        )
    return positions == "rotary"


def _frequencies(sizes: Mapping[str, Any], checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """Return the frequencies of rotary positions by their published names; they tell the number of heads."""
    import torch

    width = sizes["hidden_size"] // sizes["n_heads"]
    if width % 2:
        checkpoint.refuse(
            f"has hidden_size={sizes['hidden_size']} and num_attention_heads={sizes['n_heads']}, expected heads of an "
            "even width, for rotary positions"
        )
    frequencies = 10000.0 ** (-torch.arange(0, width, 2) / width)
    return {FREQUENCIES.format(layer): frequencies for layer in range(sizes["n_layers"])}


@cache
def _tell_licence() -> None:
    logg.warning(
        "The weights of the Nucleotide Transformer are licensed CC BY-NC-SA 4.0: non-commercial use, share alike "
        "(https://creativecommons.org/licenses/by-nc-sa/4.0/)."
    )
