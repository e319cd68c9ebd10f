"""What of a training is kept on disk: all that the next epoch depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints import find_checkpoint, listed, read_checkpoint, require_replaceable, shortened, write_checkpoint

if TYPE_CHECKING:
    import torch

NETWORK, OPTIMIZER = "network.", "optimizer."
"""How the names of tensors in a checkpoint begin: those of the network, and the optimizer's averages."""
LOSSES = "losses"
"""Name in the configuration: the loss of each epoch so far; as many as there are epochs."""


@dataclass(frozen=True)
class TrainingState:
    """The folder of a training: network, optimizer and losses after its last whole epoch.

    Random numbers and learning rates need not be kept: both follow from the seed and the epoch.
    """

    folder: Path
    config: Mapping[str, Any]
    """What makes the training what it is; ``"model"`` is among it. A training of another is not gone on with."""

    def require_free(self, *, resume: bool) -> None:
        """Raise, before any work, if there is something else than what is to be gone on with, or replaced.

        Raises
        ------
        FileNotFoundError
            The folder that is to hold it is not there.
        FileExistsError
            There is something else than a checkpoint of the same model.
        ValueError
            There is a training by other constants, or on other data, and it is to be gone on with.
        """
        require_replaceable(self.folder)
        if not self.is_there:
            return
        found = find_checkpoint(str(self.folder), revision=None).config
        where = f"{str(self.folder)!r} holds a checkpoint"
        if found.get("model") != self.config["model"]:
            msg = (
                f"{where} of {shortened(found.get('model'))}, which would be lost; expected one of "
                f"{self.config['model']!r}, or none. Pass output= another folder."
            )
            raise FileExistsError(msg)
        others = _differences(found, self.config)
        if resume and others:
            msg = (
                f"{where} of another training: {listed(others)}. Pass output= "
                "another folder, the same data and constants to go on with it, or resume=False to replace it."
            )
            raise ValueError(msg)

    @property
    def is_there(self) -> bool:
        """Whether a whole epoch was written."""
        return self.folder.is_dir() and any(self.folder.iterdir())

    def save(self, network: torch.nn.Module, optimizer: torch.optim.Optimizer, losses: list[float]) -> None:
        """Write all of it in place of what was there, at once or not at all."""
        tensors = {f"{NETWORK}{name}": tensor for name, tensor in network.state_dict().items()}
        for name, parameter in network.named_parameters():
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"{OPTIMIZER}{key}.{name}"] = value
        write_checkpoint(self.folder, tensors, {**self.config, LOSSES: losses})

    def load(self, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> list[float]:
        """Put what was kept into both, and return the losses so far; none if nothing was kept.

        Raises
        ------
        ValueError
            A file was damaged or replaced.
        """
        if not self.is_there:
            return []
        try:
            tensors, found = read_checkpoint(self.folder)
        except ValueError as error:
            msg = f"{str(self.folder)!r} cannot be gone on with: {error} Or pass resume=False to begin anew."
            raise ValueError(msg) from error
        network.load_state_dict(network_weights(tensors))
        parameters = dict(network.named_parameters())
        for key, value in tensors.items():
            if key.startswith(OPTIMIZER):
                which, _, name = key.removeprefix(OPTIMIZER).partition(".")
                # Adam counts its steps on the CPU.
                device = "cpu" if which == "step" else parameters[name].device
                optimizer.state[parameters[name]][which] = value.to(device)
        return list(found[LOSSES])


def network_weights(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return those of a checkpoint's tensors that are the network's, by their names in it."""
    return part_of(tensors, NETWORK)


def part_of(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a part of a network, by their names in that part."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def read_pretrained(source: str, model: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read the network of a training that :func:`scllmda.tl.pretrain` wrote, and its configuration.

    Parameters
    ----------
    source
        Folder, or id of a repository on the Hugging Face hub with its files.
    model
        Name that the configuration has to have.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        It is of another model, or damaged.
    """
    tensors, config = read_checkpoint(source)
    if config.get("model") != model:
        msg = (
            f"The checkpoint weights={source!r} is of {shortened(config.get('model'))}, expected {model!r}. Pass a "
            f"folder that sl.tl.pretrain(…, {model!r}, output=…) wrote."
        )
        raise ValueError(msg)
    return network_weights(tensors), config


def require_build(of_weights: str | None, source: str, build: str | None, what: str) -> None:
    """Raise ValueError if data are of another genome build than weights were trained on, by what both note.

    Parameters
    ----------
    of_weights, build
        Genome build of the weights, and of the data; None where it is not known.
    source
        Where the weights were read from, for the message.
    what
        "reference", "query" or "data", for the message.
    """
    if build is not None and of_weights is not None and build != of_weights:
        msg = (
            f"The {what}'s peaks are of the genome build {build!r}, those of the checkpoint weights={source!r} of "
            f"{of_weights!r}; expected the same. Lift the data over (sl.pp.match_peaks with chain=), or, if "
            ".uns['genome'] is wrong, correct it."
        )
        raise ValueError(msg)


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries, with those of dictionaries in it."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= dict(value) if isinstance(value, Mapping) else {name: value}
    return flat


def _differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    there, wanted = _flat(found), _flat(expected)
    return [
        f"{name}={shortened(there.get(name))} instead of {shortened(value)}"
        for name, value in wanted.items()
        if there.get(name) != value
    ]
