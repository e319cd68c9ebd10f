"""Published weights: find the files, read the tensors, fit them to a network. Nothing in a checkpoint is executed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

Network = TypeVar("Network", bound="torch.nn.Module")

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Where weights may be, best first; an index names the shards that hold them."""

_LISTED = 8


@dataclass(frozen=True)
class Checkpoint:
    """The files of one version of a published network."""

    source: str
    files: Mapping[str, Path]
    """By name, without the weights."""
    weights: tuple[Path, ...]
    revision: str
    """Commit on the hub, or a hash of the content of all files."""

    @property
    def config(self) -> dict[str, Any]:
        """The content of ``config.json``."""
        return json.loads(self.files["config.json"].read_text())

    def sizes(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Return values of ``config.json`` by our names, given ``{our name: its name}``."""
        config = self.config
        if absent := [name for name in names.values() if name not in config]:
            msg = (
                f"{self.files['config.json']} lacks {absent}, found {sorted(config)}. "
                "Pass source= a folder with the published config.json."
            )
            raise ValueError(msg)
        return {ours: config[theirs] for ours, theirs in names.items()}


def find_checkpoint(source: str, *, revision: str | None, files: Iterable[str] = ("config.json",)) -> Checkpoint:
    """Find a checkpoint in a local folder, else on the Hugging Face hub or in its local cache.

    Parameters
    ----------
    source
        Path of a folder, or id of a repository on the hub.
    revision
        Commit, tag or branch on the hub; None is its main branch. A folder has none.
    files
        Files needed besides the weights, ``config.json`` first.

    Raises
    ------
    FileNotFoundError
        A file is nowhere to be found, or the hub cannot be reached.
    ValueError
        ``revision`` is given for a folder.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        if revision is not None:
            msg = f"{source!r} is a folder, which has no revision={revision!r}. Leave revision out, or pass a hub id."
            raise ValueError(msg)
        return _collect(source, files, _Folder(folder))
    hub = _Hub(source, revision)
    # One commit for all files, also if a branch moves on between two of them.
    commit = hub.first(["config.json"]).parent.name
    return _collect(source, files, _Hub(source, commit), commit[:12])


def _collect(source: str, files: Iterable[str], place: _Folder | _Hub, revision: str | None = None) -> Checkpoint:
    found = {name: place.first([name]) for name in files}
    weights: tuple[Path, ...] = (place.first(WEIGHTS),)
    if weights[0].name.endswith(".index.json"):
        shards = sorted(set(json.loads(weights[0].read_text())["weight_map"].values()))
        weights = tuple(place.first([name]) for name in shards)
    return Checkpoint(source, found, weights, revision or _content_hash([*found.values(), *weights]))


@dataclass(frozen=True)
class _Folder:
    folder: Path

    def first(self, names: Sequence[str]) -> Path:
        """Return the first file there is."""
        for name in names:
            if (path := self.folder / name).is_file():
                return path
        there = sorted(path.name for path in self.folder.iterdir())
        msg = (
            f"Found no {' or '.join(names)} in {str(self.folder)!r}, only {there}. "
            "Pass source= a folder with all files of the checkpoint."
        )
        raise FileNotFoundError(msg)


@dataclass(frozen=True)
class _Hub:
    repository: str
    revision: str | None

    def first(self, names: Sequence[str]) -> Path:
        """Return the first file there is, downloaded unless it is in the cache."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        reason: Exception
        for name in names:
            try:
                return Path(hf_hub_download(self.repository, name, revision=self.revision))
            except EntryNotFoundError as error:
                reason = error
            except (OSError, ValueError) as error:
                reason = error
                break
        msg = (
            f"Could not get {' or '.join(names)} of {self.repository!r} (revision {self.revision or 'main'}): "
            f"there is no such folder, and the Hugging Face hub and its local cache gave {type(reason).__name__}: "
            f"{_first_line(reason)} "
            "Without a connection, pass source= a local folder that holds the checkpoint "
            "(made elsewhere with `hf download ID --local-dir FOLDER`), "
            "or revision= one that is in the cache (HF_HOME)."
        )
        raise FileNotFoundError(msg) from reason


def _content_hash(paths: Iterable[Path]) -> str:
    total = sha256()
    for path in paths:
        with path.open("rb") as file:
            total.update(file_digest(file, "sha256").digest())
    return f"sha256-{total.hexdigest()[:16]}"


def load_network(
    build: Callable[[], Network], checkpoint: Checkpoint, *, modules: Mapping[str, str], ignored: str
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

    Raises
    ------
    ValueError
        Weights cannot be read without executing code, are missing, unexpected or of another shape: one error for all.
    """
    import torch

    # Neither memory nor the user's random numbers go into weights that are replaced at once.
    with torch.device("meta"):
        network = build()
    names = published_names(network, modules)
    found = {name: tensor for path in checkpoint.weights for name, tensor in _read(path).items()}
    expected = {names[ours]: tuple(tensor.shape) for ours, tensor in network.state_dict().items()}
    _require_fit(found, expected, ignored, checkpoint)
    network.load_state_dict({ours: found[theirs].float() for ours, theirs in names.items()}, assign=True)
    return network.eval()


def published_names(network: torch.nn.Module, modules: Mapping[str, str]) -> dict[str, str]:
    """Return the published name of every tensor of a network."""
    names = {}
    for ours in network.state_dict():
        module, _, parameter = ours.rpartition(".")
        template = modules[re.sub(r"\.\d+\.", ".{}.", module)]
        names[ours] = f"{template.format(*re.findall(r'[0-9]+', module))}.{parameter}"
    return names


def _read(path: Path) -> dict[str, torch.Tensor]:
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged and unsafe files raise nearly anything
        msg = (
            f"Could not read tensors from {path}, and nothing else in it was run: "
            f"{type(error).__name__}: {_first_line(error)} "
            "Expected a .safetensors, or a .bin with tensors only. "
            "Download it again from its publisher, as .safetensors if there is one."
        )
        raise ValueError(msg) from error


def _require_fit(
    found: Mapping[str, torch.Tensor], expected: Mapping[str, tuple[int, ...]], ignored: str, checkpoint: Checkpoint
) -> None:
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected and not re.fullmatch(ignored, name)]
    misshapen = [
        f"{name} {tuple(found[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in found and tuple(found[name].shape) != shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    if wrong := [f"{len(names)} {kind}: {_listed(names)}" for kind, names in kinds.items() if names]:
        msg = (
            f"The weights of {checkpoint.source!r} are not those of this network; {'; '.join(wrong)}. "
            "Pass source= the published checkpoint, or a folder whose config.json belongs to the weights."
        )
        raise ValueError(msg)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _listed(names: list[str]) -> str:
    more = f", … {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
