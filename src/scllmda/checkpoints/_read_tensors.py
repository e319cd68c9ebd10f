"""Tensors from files: .safetensors, or .bin with tensors only. Whatever else is in them is not run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ._messages import DOWNLOAD_AGAIN, first_line, listed, shortened

if TYPE_CHECKING:
    import torch


def read_tensors(paths: Sequence[Path]) -> tuple[dict[str, torch.Tensor], dict[str, Path]]:
    """Read the tensors of all files.

    Returns
    -------
    The tensors, and the file of each, by their names.

    Raises
    ------
    ValueError
        A file is damaged, holds anything but tensors by their names, or one that another file holds too.
    """
    found: dict[str, torch.Tensor] = {}
    file_of: dict[str, Path] = {}
    for path in paths:
        tensors = _read(path)
        if twice := sorted(tensors.keys() & found.keys()):
            msg = (
                f"{path} holds {listed(twice)}, as {file_of[twice[0]]} does; expected each tensor once. "
                f"{DOWNLOAD_AGAIN}"
            )
            raise ValueError(msg)
        found |= tensors
        file_of |= dict.fromkeys(tensors, path)
    return found, file_of


def as_float32(tensor: torch.Tensor, name: str, file: Path) -> torch.Tensor:
    """Return a tensor of weights in the precision of the network.

    Raises
    ------
    ValueError
        It holds no numbers that a network can have.
    """
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
            f"{type(error).__name__}: {first_line(error)} "
            f"Expected a .safetensors, or a .bin with tensors only. {DOWNLOAD_AGAIN}"
        )
        raise ValueError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds a {type(content).__name__}, expected tensors by their names. {DOWNLOAD_AGAIN}"
        raise ValueError(msg)
    if other := [name for name, value in content.items() if not (isinstance(name, str) and torch.is_tensor(value))]:
        kind = type(content[other[0]]).__name__
        msg = f"{path} holds a {kind} under {shortened(other[0])}, expected tensors by their names. {DOWNLOAD_AGAIN}"
        raise ValueError(msg)
    return content


def _refuse_tensor(file: Path, name: str, found: str, expected: str) -> NoReturn:
    msg = f"{file} holds {name} with {found}; expected {expected}. {DOWNLOAD_AGAIN}"
    raise ValueError(msg)
