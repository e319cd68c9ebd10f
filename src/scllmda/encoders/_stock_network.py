"""Networks of transformers from the files of a checkpoint, by stock classes alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from ..checkpoints import (
    Checkpoint,
    as_float32,
    first_line,
    read_json,
    read_tensors,
    refuse_weights,
    require_finite,
    require_sizes,
    shortened,
)

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class _Stock:
    """What is to be known of one class of transformers."""

    of_class: str
    has_pooler: bool = True
    """Whether it makes a layer after the last hidden states, unless told not to."""
    counts_from_pad: bool = False
    """Whether its positions begin after the number of the padding token, so that the first ones are never used."""


STOCK = {
    "bert": _Stock("BertModel"),
    "esm": _Stock("EsmModel", counts_from_pad=True),
    "modernbert": _Stock("ModernBertModel", has_pooler=False),
    "roberta": _Stock("RobertaModel", counts_from_pad=True),
}
"""By ``model_type``: the classes whose vectors of a sequence do not depend on its batch, tested one by one."""

SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "n_positions": "max_position_embeddings",
}

UNUSED = ("pooler.", "contact_head.", "embeddings.position_ids")
"""Parts of an encoder that its hidden states do not depend on."""


def stock_config(checkpoint: Checkpoint) -> Any:
    """Return the configuration of a checkpoint as transformers reads it.

    Raises
    ------
    ValueError
        The model needs code of its own, is of another type than those in ``STOCK``, or has sizes that none could have.
    """
    import transformers

    values = checkpoint.config
    if values.get("auto_map"):
        _refuse_model(
            checkpoint,
            f"has auto_map={shortened(values['auto_map'])}, code that the model needs and that is not run",
            "a model that the classes of transformers load",
        )
    kind = values.get("model_type")
    if not isinstance(kind, str) or kind not in STOCK:
        _refuse_model(checkpoint, f"has model_type={shortened(kind)}", f"one of {list(STOCK)}")
    model = getattr(transformers, STOCK[kind].of_class)
    try:
        config = model.config_class.from_dict(values)
        sizes = {ours: getattr(config, theirs) for ours, theirs in SIZES.items()}
        pad_id = config.pad_token_id
    except Exception as error:  # what transformers raises for a configuration it cannot use is nearly anything
        found = f"cannot be used by transformers ({first_line(error)}), expected a configuration of that library"
        checkpoint.refuse(found, error=error)
    require_sizes(sizes, SIZES, checkpoint.refuse)
    may_lack = pad_id is None and not STOCK[kind].counts_from_pad
    if not may_lack and not (isinstance(pad_id, int) and 0 <= pad_id < config.vocab_size):
        checkpoint.refuse(f"has pad_token_id={shortened(pad_id)}, expected one below vocab_size={config.vocab_size}")
    return config


def load_stock_network(config: Any, checkpoint: Checkpoint) -> torch.nn.Module:
    """Return the network of a checkpoint, on CPU, in fp32: from ids and mask, (n, length) each, to hidden states.

    Raises
    ------
    ValueError
        Weights cannot be read without executing code, are missing, unexpected, of another shape or not finite.
    """
    import torch
    import transformers

    stock = STOCK[config.model_type]
    model = getattr(transformers, stock.of_class)
    weights = _encoder_weights(checkpoint, f"{model.base_model_prefix}.")
    options = {"add_pooling_layer": False} if stock.has_pooler else {}
    try:
        # Parts without weights are drawn at random: not with the user's random numbers.
        with torch.random.fork_rng(devices=[]), torch.no_grad(), _quiet():
            network, info = model.from_pretrained(
                None,
                config=config,
                state_dict=weights,
                dtype=torch.float32,
                attn_implementation="sdpa",
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **options,
            )
            network(torch.tensor([[0]]))
    except Exception as error:  # what transformers raises for a configuration it cannot use is nearly anything
        found = f"is of no network that transformers can make ({first_line(error)}), expected one of its own"
        checkpoint.refuse(found, error=error)
    refuse_weights(
        checkpoint,
        missing=sorted(name for name in info["missing_keys"] if not name.startswith(UNUSED)),
        unexpected=sorted(info["unexpected_keys"]),
        misshapen=[f"{name} {tuple(a)} instead of {tuple(b)}" for name, a, b in sorted(info["mismatched_keys"])],
    )
    network.register_forward_hook(_last_hidden_state)
    require_finite(network, [0, config.vocab_size - 1], checkpoint)
    return network


def _refuse_model(checkpoint: Checkpoint, found: str, expected: str) -> NoReturn:
    msg = (
        f"{checkpoint.files['config.json']} {found}; expected {expected}. DNABERT-2 and the Nucleotide Transformers "
        "have encoders that need none: encoder='dnabert2', 'nucleotide-transformer-v2-50m-multi-species' and others "
        "in sl.get.encoders(). Any other model can be passed as an object like sl.encoders.PeakEncoder."
    )
    raise ValueError(msg)


def _last_hidden_state(_network: torch.nn.Module, _inputs: Any, output: Any) -> torch.Tensor:
    return output.last_hidden_state


def _encoder_weights(checkpoint: Checkpoint, prefix: str) -> dict[str, torch.Tensor]:
    """Return the weights of the encoder, as float32: where names have its prefix, those without belong to heads."""
    found, file_of = read_tensors(checkpoint.weights)
    if any(name.startswith(prefix) for name in found):
        found = {name: tensor for name, tensor in found.items() if name.startswith(prefix)}
    return {
        name: as_float32(tensor, name, file_of[name])
        for name, tensor in found.items()
        if not name.removeprefix(prefix).startswith(UNUSED)
    }


def max_tokens_of(config: Any, checkpoint: Checkpoint) -> int:
    """Return the number of tokens that a model reads, or that its tokenizer allows if these are fewer."""
    limit = config.max_position_embeddings
    if STOCK[config.model_type].counts_from_pad:
        limit -= (config.pad_token_id or 0) + 1
    if "tokenizer_config.json" in checkpoint.files:
        told = read_json(checkpoint.files["tokenizer_config.json"]).get("model_max_length")
        if isinstance(told, int) and not isinstance(told, bool) and told > 0:
            limit = min(limit, told)
    if limit < 3:
        checkpoint.refuse(f"leaves room for {limit} tokens by max_position_embeddings, expected at least 3")
    return limit


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from reporting what an error here says, or what is as it should be."""
    from transformers.utils import logging

    verbosity, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bar:
            logging.enable_progress_bar()
