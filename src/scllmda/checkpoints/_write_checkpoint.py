"""A network as a folder: model.safetensors and config.json."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import written_aside
from ._format import CONFIG, MARK, VERSION, WEIGHTS
from ._messages import listed, shortened

if TYPE_CHECKING:
    import torch


def write_checkpoint(
    folder: str | os.PathLike[str], weights: Mapping[str, torch.Tensor], config: Mapping[str, Any]
) -> None:
    """Write a network as a folder that is complete or not there, in place of an older checkpoint at the same path.

    Whatever is raised meanwhile, and if the process is killed, an older checkpoint stays as it was.

    Parameters
    ----------
    folder
        New or empty folder, or a checkpoint that this function wrote, in a folder that is there.
    weights
        Tensors by their names, as ``network.state_dict()`` returns them, on any device.
    config
        What else it takes to make the network and to use it: names and JSON values.

    Raises
    ------
    FileNotFoundError
        The folder that is to hold it is not there.
    FileExistsError
        There is a file, or a folder that holds anything but a checkpoint of this function.
    ValueError
        There are no weights; floating-point weights are NaN or infinite; or the configuration does not come back from
        JSON as it is.
    OSError
        The disk is full, or fails otherwise.

    Examples
    --------
    >>> import torch
    >>> from scllmda.checkpoints import read_checkpoint, write_checkpoint
    >>> folder = getfixture("tmp_path") / "network"
    >>> write_checkpoint(folder, {"weight": torch.ones(2, 3)}, {"n_inputs": 3})
    >>> weights, config = read_checkpoint(folder)
    >>> weights["weight"].shape, config
    (torch.Size([2, 3]), {'n_inputs': 3})
    """
    path = Path(folder).expanduser()
    require_replaceable(path)
    _require_weights(weights)
    _require_json(config)
    with written_aside(path) as aside:
        aside.mkdir()
        _write_weights(aside / WEIGHTS, weights)
        with (aside / WEIGHTS).open("rb") as file:
            mark = {"version": VERSION, "sha256": file_digest(file, "sha256").hexdigest()}
            # What the system loses with the power must not have taken the place of a whole checkpoint.
            os.fsync(file.fileno())
        with (aside / CONFIG).open("w", encoding="utf-8") as file:
            json.dump(dict(config) | {MARK: mark}, file, indent=2)
            file.flush()
            os.fsync(file.fileno())


def _write_weights(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    from safetensors.torch import save_file

    # Copies of their own, since the format knows no tensors that share memory, as tied weights do.
    copies = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in weights.items()}
    save_file(copies, path, metadata={"format": "pt"})


def require_replaceable(path: Path) -> None:
    """Raise before any work if writing would fail, or take the place of something else than a checkpoint."""
    if not path.resolve().parent.is_dir():
        msg = f"There is no folder {str(path.resolve().parent)!r}, expected one to write {path.name!r} to. Make it."
        raise FileNotFoundError(msg)
    if not path.exists():
        return
    there = sorted(file.name for file in path.iterdir()) if path.is_dir() else None
    if there == [] or (there == sorted([CONFIG, WEIGHTS]) and _is_marked(path / CONFIG)):
        return
    found = "a file" if there is None else f"a folder with {listed(there)}"
    msg = (
        f"{str(path)!r} is {found}, which would be lost; expected nothing there, or a checkpoint that scllmda wrote. "
        "Choose another name."
    )
    raise FileExistsError(msg)


def _is_marked(file: Path) -> bool:
    """Return whether a configuration is that of a checkpoint of ours, however damaged its weights are."""
    try:
        return MARK in json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def _require_weights(weights: Mapping[str, torch.Tensor]) -> None:
    import torch

    if not weights:
        msg = "Found no weights to write, expected at least one tensor. Pass network.state_dict()."
        raise ValueError(msg)
    bad = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if bad:
        msg = (
            f"{len(bad)} of {len(weights)} tensors have NaN or infinite values: {listed(bad)}; expected finite ones. "
            "The training diverged: go back to an earlier checkpoint, and take a lower learning rate."
        )
        raise ValueError(msg)


def _require_json(config: Mapping[str, Any]) -> None:
    """Raise ValueError unless each value comes back from JSON as it is."""
    for name, value in config.items():
        if not isinstance(name, str) or name == MARK:
            msg = f"The configuration has the name {name!r}, expected text other than {MARK!r}. Take another name."
            raise ValueError(msg)
        try:
            same = _same(json.loads(json.dumps(value, allow_nan=False)), value)
        except (TypeError, ValueError):
            same = False
        if not same:
            msg = (
                f"The configuration has {name}={shortened(value)}, which is not the same when it comes back from JSON; "
                "expected text, finite numbers, true, false, None, and lists and dicts of these. Turn it into one."
            )
            raise ValueError(msg)


def _same(a: Any, b: Any) -> bool:
    """Return whether two values are equal and of the same types: to Python, 1 is True, and a float is an int."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)
