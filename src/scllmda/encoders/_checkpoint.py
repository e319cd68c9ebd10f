"""Published weights: find the files, read the tensors, fit them to a network. Nothing in a checkpoint is executed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import file_digest, sha256
from pathlib import Path
from reprlib import Repr
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    import torch

Network = TypeVar("Network", bound="torch.nn.Module")

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Where weights may be, best first; an index names the shards that hold them."""

_LISTED = 8
_REPR = Repr()
_REPR.maxstring = _REPR.maxother = 80
_AGAIN = "Download it again from its publisher, and pass source= the folder it is in."


@dataclass(frozen=True)
class _Number:
    """What a number of ``config.json`` may be; both bounds are included."""

    least: float
    most: float
    whole: bool = True

    def holds(self, value: Any) -> bool:
        """Return whether a value is such a number; truth values are none, and NaN is within no bounds."""
        kinds = int if self.whole else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and self.least <= value <= self.most

    def __str__(self) -> str:
        return f"a {'whole ' if self.whole else ''}number from {self.least:,} to {self.most:,}"


@dataclass(frozen=True)
class _TruthValue:
    """What a switch of ``config.json`` may be."""

    def holds(self, value: Any) -> bool:
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "true or false"


_SIZE = _Number(1, 2**20)
"""Hundreds of times the largest of the published sizes; shapes made of larger ones would be too large to count."""

_EXPECTED: dict[str, _Number | _TruthValue] = {
    "vocab_size": _SIZE,
    "hidden_size": _SIZE,
    "intermediate_size": _SIZE,
    "n_heads": _SIZE,
    "n_token_types": _SIZE,
    "n_positions": _SIZE,
    # Layers are made one by one, before they are compared with the weights.
    "n_layers": _Number(1, 1024),
    # Published networks have 1e-12 to 1e-5; much more would drown what is normalized, and 0 divides by zero.
    "layer_norm_eps": _Number(1e-15, 0.01, whole=False),
    "pad_id": _Number(0, 2**20),
    "mask_id": _Number(0, 2**20),
    "token_dropout": _TruthValue(),
}
"""By our names."""


@dataclass(frozen=True)
class Checkpoint:
    """The files of one version of a published network."""

    files: Mapping[str, Path]
    """By name, without the weights."""
    place: _Folder | _Hub
    """Where the weights are looked for, when they are first asked for: what is wrong with the rest is told before."""
    commit: str | None = None
    """On the hub; None of a folder."""

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of ``config.json``."""
        return _read_object(self.files["config.json"])

    @cached_property
    def weights(self) -> tuple[Path, ...]:
        """The files with the weights."""
        first = self.place.first(WEIGHTS)
        if not first.name.endswith(".index.json"):
            return (first,)
        return tuple(self.place.first([name]) for name in _shards(first))

    @cached_property
    def revision(self) -> str:
        """Commit on the hub, or a hash of the content of all files."""
        return self.commit or _content_hash([*self.files.values(), *self.weights])

    def sizes(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Return values of ``config.json`` by our names, given ``{our name: its name}``.

        Raises
        ------
        ValueError
            A value is absent, or none that any network could have.
        """
        config = self.config
        if absent := [name for name in names.values() if name not in config]:
            self.refuse(f"lacks {absent}, found {shortened(sorted(config))}")
        sizes = {ours: config[theirs] for ours, theirs in names.items()}
        if wrong := [
            f"{names[ours]}={shortened(value)}, expected {_EXPECTED[ours]}"
            for ours, value in sizes.items()
            if not _EXPECTED[ours].holds(value)
        ]:
            self.refuse(f"has {'; '.join(wrong)}")
        width, heads = sizes["hidden_size"], sizes["n_heads"]
        if width % heads:
            self.refuse(
                f"has {names['hidden_size']}={width} and {names['n_heads']}={heads}, expected heads of equal width: "
                "a number of heads that divides the size"
            )
        return sizes

    def refuse(self, found: str) -> NoReturn:
        """Raise ValueError for ``config.json``, given what it has and what was expected."""
        msg = f"{self.files['config.json']} {found}. Pass source= a folder with the published config.json."
        raise ValueError(msg)


def shortened(value: Any) -> str:
    """Return a value as an error message shows it, whatever its size."""
    return _REPR.repr(value)


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
        of_folder = _Folder(folder)
        return Checkpoint({name: of_folder.first([name]) for name in files}, of_folder)
    # One commit for all files, also if a branch moves on between two of them.
    commit = _Hub(source, revision).first(["config.json"]).parent.name
    of_commit = _Hub(source, commit)
    return Checkpoint({name: of_commit.first([name]) for name in files}, of_commit, commit[:12])


def _read_object(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file that holds names and values."""
    expected = "expected a JSON object, names and values in braces"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        msg = f"Could not read {path}, {expected}: {type(error).__name__}: {_first_line(error)}. {_AGAIN}"
        raise ValueError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds {shortened(content)}, {expected}. {_AGAIN}"
        raise ValueError(msg)
    return content


def _shards(index: Path) -> list[str]:
    """Return the names of the files that an index names, all of them beside it and of its kind."""
    weight_map = _read_object(index).get("weight_map")
    suffix = Path(index.name.removesuffix(".index.json")).suffix
    files = list(weight_map.values()) if isinstance(weight_map, dict) else []
    wrong = [file for file in files if not isinstance(file, str) or not re.fullmatch(rf"[\w.-]+\{suffix}", file)]
    if wrong or not files:
        msg = (
            f"{index} has weight_map={shortened(weight_map)}, expected the name of a {suffix} file beside it for each "
            f"tensor{f', found {shortened(wrong[0])}' if wrong else ''}. {_AGAIN}"
        )
        raise ValueError(msg)
    return sorted(set(files))


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
    found, file_of = _read_all(checkpoint.weights)
    needed = {names[ours]: tuple(tensor.shape) for ours, tensor in network.state_dict().items()}
    known = {name: tensor for name, tensor in (computed or {}).items() if name in found}
    told = dict(shapes or {}) | {name: tuple(tensor.shape) for name, tensor in known.items()}
    _require_fit(found, needed, {name: shape for name, shape in told.items() if name in found}, ignored, checkpoint)
    weights = {name: _as_float32(found[name], name, file_of[name]) for name in [*needed, *known]}
    for name, tensor in known.items():
        _require_equal(weights[name], tensor, name, file_of[name], checkpoint)
    network.load_state_dict({ours: weights[theirs] for ours, theirs in names.items()}, assign=True)
    network.eval()
    _require_finite(network, tried, checkpoint)
    return network


def published_names(network: torch.nn.Module, modules: Mapping[str, str]) -> dict[str, str]:
    """Return the published name of every tensor of a network."""
    names = {}
    for ours in network.state_dict():
        module, _, parameter = ours.rpartition(".")
        template = modules[re.sub(r"\.\d+\.", ".{}.", module)]
        names[ours] = f"{template.format(*re.findall(r'[0-9]+', module))}.{parameter}"
    return names


def _read_all(paths: Sequence[Path]) -> tuple[dict[str, torch.Tensor], dict[str, Path]]:
    """Return the tensors of all files, and the file of each."""
    found: dict[str, torch.Tensor] = {}
    file_of: dict[str, Path] = {}
    for path in paths:
        tensors = _read(path)
        if twice := sorted(tensors.keys() & found.keys()):
            msg = f"{path} holds {_listed(twice)}, as {file_of[twice[0]]} does; expected each tensor once. {_AGAIN}"
            raise ValueError(msg)
        found |= tensors
        file_of |= dict.fromkeys(tensors, path)
    return found, file_of


def _read(path: Path) -> dict[str, torch.Tensor]:
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged and unsafe files raise nearly anything
        msg = (
            f"Could not read tensors from {path}, and nothing else in it was run: "
            f"{type(error).__name__}: {_first_line(error)} "
            f"Expected a .safetensors, or a .bin with tensors only. {_AGAIN}"
        )
        raise ValueError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds a {type(content).__name__}, expected tensors by their names. {_AGAIN}"
        raise ValueError(msg)
    if other := [name for name, value in content.items() if not (isinstance(name, str) and torch.is_tensor(value))]:
        kind = type(content[other[0]]).__name__
        msg = f"{path} holds a {kind} under {shortened(other[0])}, expected tensors by their names. {_AGAIN}"
        raise ValueError(msg)
    return content


def _as_float32(tensor: torch.Tensor, name: str, file: Path) -> torch.Tensor:
    """Return a tensor of weights in the precision of the network, if it holds numbers that a network can have."""
    import torch

    precisions = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
    if tensor.dtype not in precisions or tensor.layout != torch.strided or tensor.device.type != "cpu":
        found = ", ".join(map(str, (tensor.dtype, tensor.layout, tensor.device)))
        _refuse_tensor(file, name, found, "plain floating-point numbers of 16, 32 or 64 bits")
    # A view can claim any number of values, all of which would be made.
    if tensor.untyped_storage().nbytes() < tensor.nbytes:
        stored = f"{tensor.untyped_storage().nbytes():,} bytes for {tensor.numel():,} values"
        _refuse_tensor(file, name, stored, f"{tensor.nbytes:,}")
    values = tensor.detach().float()
    finite = torch.isfinite(values)
    if not finite.all():
        n_bad = int((~finite).sum())
        _refuse_tensor(file, name, f"{n_bad:,} of {values.numel():,} values NaN or infinite", "finite numbers")
    return values


def _refuse_tensor(file: Path, name: str, found: str, expected: str) -> NoReturn:
    msg = f"{file} holds {name} with {found}; expected {expected}. {_AGAIN}"
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


def _require_finite(network: torch.nn.Module, tried: Sequence[int], checkpoint: Checkpoint) -> None:
    """Raise ValueError if finite weights are so large that what comes out is not."""
    import torch

    with torch.inference_mode():
        hidden = network(torch.tensor([tried]))
    if not torch.isfinite(hidden).all():
        msg = f"The weights in {_files(checkpoint)} give NaN or infinite values; expected finite ones. {_AGAIN}"
        raise ValueError(msg)


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
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    if wrong := [f"{len(names)} {kind}: {_listed(names)}" for kind, names in kinds.items() if names]:
        msg = (
            f"The weights in {_files(checkpoint)} are not those of this network, which "
            f"{checkpoint.files['config.json']} describes; {'; '.join(wrong)}. "
            "Pass source= the published checkpoint, or a folder whose config.json belongs to the weights."
        )
        raise ValueError(msg)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _files(checkpoint: Checkpoint) -> str:
    return ", ".join(map(str, checkpoint.weights))


def _few(values: torch.Tensor) -> str:
    return shortened([float(f"{value:.4g}") for value in values.flatten().tolist()])


def _listed(names: list[str]) -> str:
    more = f", … {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
