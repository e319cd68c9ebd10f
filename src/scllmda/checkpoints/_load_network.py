"""The weights of a checkpoint in a network: all that it needs, of the right shape, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from ._find_checkpoint import Checkpoint
from ._messages import DOWNLOAD_AGAIN, listed, shortened
from ._read_tensors import as_float32, read_tensors

if TYPE_CHECKING:
    from pathlib import Path

    import torch

Network = TypeVar("Network", bound="torch.nn.Module")


def load_network(
    build: Callable[[], Network],
    checkpoint: Checkpoint,
    *,
    modules: Mapping[str, str],
    ignored: str,
    tried: Sequence[int],
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    computed: Mapping[str, torch.Tensor] | None = None,
) -> Network:
    """Build a network and fill it with the weights of a checkpoint, as float32.

    Parameters
    ----------
    build
        Makes the network.
    checkpoint
        Where the weights are.
    modules
        Published name of each of the network's modules; ``{}`` stands for the number of a layer.
    ignored
        Regular expression of published tensors that the network does without.
    tried
        Ids of tokens that the network is tried with.
    shapes
        Of published tensors that the network does without; where the files hold them, they have to be of this shape.
    computed
        Published tensors that the network computes by itself; where the files hold them, they have to be these.

    Raises
    ------
    ValueError
        Weights cannot be read without executing code; are missing, unexpected or of another shape, one error for all;
        are no floating-point numbers, not finite, or too large to compute with; or are not what the network computes.
    """
    import torch

    # Neither memory nor the user's random numbers go into weights that are replaced at once.
    with torch.device("meta"):
        network = build()
    names = published_names(network, modules)
    found, file_of = read_tensors(checkpoint.weights)
    needed = {names[ours]: tuple(tensor.shape) for ours, tensor in network.state_dict().items()}
    known = {name: tensor for name, tensor in (computed or {}).items() if name in found}
    told = dict(shapes or {}) | {name: tuple(tensor.shape) for name, tensor in known.items()}
    _require_fit(found, needed, {name: shape for name, shape in told.items() if name in found}, ignored, checkpoint)
    weights = {name: as_float32(found[name], name, file_of[name]) for name in [*needed, *known]}
    for name, tensor in known.items():
        _require_equal(weights[name], tensor, name, file_of[name], checkpoint)
    network.load_state_dict({ours: weights[theirs] for ours, theirs in names.items()}, assign=True)
    network.eval()
    require_finite(network, tried, checkpoint)
    return network


def published_names(network: torch.nn.Module, modules: Mapping[str, str]) -> dict[str, str]:
    """Return the published name of every tensor of a network."""
    names = {}
    for ours in network.state_dict():
        module, _, parameter = ours.rpartition(".")
        template = modules[re.sub(r"\.\d+\.", ".{}.", module)]
        names[ours] = f"{template.format(*re.findall(r'[0-9]+', module))}.{parameter}"
    return names


def _require_fit(
    found: Mapping[str, torch.Tensor],
    needed: Mapping[str, tuple[int, ...]],
    told: Mapping[str, tuple[int, ...]],
    ignored: str,
    checkpoint: Checkpoint,
) -> None:
    """Raise ValueError unless the tensors are those needed, and those that tell sizes tell the same."""
    expected = dict(needed) | dict(told)
    missing = [name for name in needed if name not in found]
    unexpected = [name for name in found if name not in expected and not re.fullmatch(ignored, name)]
    misshapen = [
        f"{name} {tuple(found[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in found and tuple(found[name].shape) != shape
    ]
    refuse_weights(checkpoint, missing=missing, unexpected=unexpected, misshapen=misshapen)


def refuse_weights(
    checkpoint: Checkpoint, *, missing: Sequence[str], unexpected: Sequence[str], misshapen: Sequence[str]
) -> None:
    """Raise ValueError, one for all, if weights are missing, unexpected or of another shape than the network's."""
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    if wrong := [f"{len(names)} {kind}: {listed(names)}" for kind, names in kinds.items() if names]:
        msg = (
            f"The weights in {_files(checkpoint)} are not those of this network, which "
            f"{checkpoint.files['config.json']} describes; {'; '.join(wrong)}. "
            "Pass source= the published checkpoint, or a folder whose config.json belongs to the weights."
        )
        raise ValueError(msg)


def require_finite(network: torch.nn.Module, tried: Sequence[int], checkpoint: Checkpoint) -> None:
    """Raise ValueError if finite weights are so large that what comes out is not."""
    import torch

    with torch.inference_mode():
        hidden = network(torch.tensor([tried]))
    if not torch.isfinite(hidden).all():
        msg = f"The weights in {_files(checkpoint)} give NaN or infinite values; expected finite ones. {DOWNLOAD_AGAIN}"
        raise ValueError(msg)


def _require_equal(found: torch.Tensor, expected: torch.Tensor, name: str, file: Path, checkpoint: Checkpoint) -> None:
    """Raise ValueError if a tensor is not what the network computes in its place, up to half precision."""
    import torch

    if not torch.allclose(found, expected, rtol=0.01, atol=1e-6):
        msg = (
            f"{file} holds {name} with {_few(found)}; expected {_few(expected)} by {checkpoint.files['config.json']}. "
            "Pass source= a folder whose config.json belongs to the weights."
        )
        raise ValueError(msg)


def _files(checkpoint: Checkpoint) -> str:
    return ", ".join(map(str, checkpoint.weights))


def _few(values: torch.Tensor) -> str:
    return shortened([float(f"{value:.4g}") for value in values.flatten().tolist()])
