"""A checkpoint that scllmda wrote, from its path or its id on the hub."""

from __future__ import annotations

import os
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._find_checkpoint import find_checkpoint
from ._format import CONFIG, MARK, VERSION, WEIGHTS
from ._messages import DOWNLOAD_AGAIN, shortened
from ._read_tensors import read_tensors

if TYPE_CHECKING:
    import torch


def read_checkpoint(
    source: str | os.PathLike[str], *, revision: str | None = None
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read the weights and the configuration of a checkpoint, both just as they were written.

    Parameters
    ----------
    source
        Folder that ``write_checkpoint`` wrote, or id of a repository on the Hugging Face hub that holds its files.
    revision
        Commit, tag or branch on the hub; None is its main branch. A folder has none.

    Returns
    -------
    Tensors by their names, on the CPU, of the shapes and types they had; and the configuration.

    Raises
    ------
    FileNotFoundError
        A file is nowhere to be found, or the hub cannot be reached.
    ValueError
        ``write_checkpoint`` did not write this folder, or a later version did; or a file was damaged or replaced.
    """
    checkpoint = find_checkpoint(os.fspath(source), revision=revision)
    file = checkpoint.files[CONFIG]
    config = dict(checkpoint.config)
    expected_hash = _expected_hash(config.pop(MARK, None), file)
    weights = checkpoint.place.first([WEIGHTS])
    with weights.open("rb") as content:
        found_hash = file_digest(content, "sha256").hexdigest()
    if found_hash != expected_hash:
        msg = (
            f"{weights} has the SHA-256 {found_hash}, expected {expected_hash} by {file}: one of them was damaged, or "
            f"belongs to another checkpoint. {DOWNLOAD_AGAIN}"
        )
        raise ValueError(msg)
    return read_tensors([weights])[0], config


def _expected_hash(mark: Any, file: Path) -> str:
    """Return the hash of the weights that a configuration was written with."""
    if not isinstance(mark, dict) or not isinstance(mark.get("sha256"), str):
        msg = (
            f"{file} has {MARK}={shortened(mark)}, expected the version and the SHA-256 that scllmda writes: this is "
            "no checkpoint of scllmda. Pass source= a folder that it wrote."
        )
        raise ValueError(msg)
    if mark.get("version") != VERSION:
        msg = (
            f"{file} is of version {shortened(mark.get('version'))}, expected {VERSION}: another version of scllmda "
            "wrote it. Install that version or a later one: pip install --upgrade scllmda."
        )
        raise ValueError(msg)
    return mark["sha256"]
