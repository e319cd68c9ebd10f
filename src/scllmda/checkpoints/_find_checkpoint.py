"""A checkpoint by its path or its id on the hub."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, NoReturn

from ._find_files import Folder, Hub
from ._messages import DOWNLOAD_AGAIN, shortened
from ._read_json import read_json
from ._sizes import require_sizes

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Where weights may be, best first; an index names the shards that hold them."""


@dataclass(frozen=True)
class Checkpoint:
    """The files of one version of a published network."""

    files: Mapping[str, Path]
    """By name, without the weights."""
    place: Folder | Hub
    """Where the weights are looked for, when they are first asked for: what is wrong with the rest is told before."""
    commit: str | None = None
    """On the hub; None of a folder."""

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of ``config.json``."""
        return read_json(self.files["config.json"])

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
        require_sizes(sizes, names, self.refuse)
        return sizes

    def refuse(self, found: str, *, error: Exception | None = None) -> NoReturn:
        """Raise ValueError for ``config.json``, given what it has and what was expected."""
        msg = f"{self.files['config.json']} {found}. Pass source= a folder with the published config.json."
        raise ValueError(msg) from error


def find_checkpoint(
    source: str,
    *,
    revision: str | None,
    files: Iterable[str] = ("config.json",),
    optional: Sequence[str] = (),
) -> Checkpoint:
    """Find a checkpoint in a local folder, else on the Hugging Face hub or in its local cache.

    Parameters
    ----------
    source
        Path of a folder, or id of a repository on the hub.
    revision
        Commit, tag or branch on the hub; None is its main branch. A folder has none.
    files
        Files needed besides the weights, ``config.json`` first.
    optional
        Files that are taken too if they are there.

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
        place: Folder | Hub = Folder(folder)
        commit = None
    else:
        # One commit for all files, also if a branch moves on between two of them.
        commit = Hub(source, revision).first(["config.json"]).parent.name
        place = Hub(source, commit)
    found = {name: place.first([name]) for name in files}
    if optional:
        found |= place.present(optional)
    return Checkpoint(found, place, commit and commit[:12])


def _shards(index: Path) -> list[str]:
    """Return the names of the files that an index names, all of them beside it and of its kind."""
    weight_map = read_json(index).get("weight_map")
    suffix = Path(index.name.removesuffix(".index.json")).suffix
    files = list(weight_map.values()) if isinstance(weight_map, dict) else []
    wrong = [file for file in files if not isinstance(file, str) or not re.fullmatch(rf"[\w.-]+\{suffix}", file)]
    if wrong or not files:
        msg = (
            f"{index} has weight_map={shortened(weight_map)}, expected the name of a {suffix} file beside it for each "
            f"tensor{f', found {shortened(wrong[0])}' if wrong else ''}. {DOWNLOAD_AGAIN}"
        )
        raise ValueError(msg)
    return sorted(set(files))


def _content_hash(paths: Iterable[Path]) -> str:
    total = sha256()
    for path in paths:
        with path.open("rb") as file:
            total.update(file_digest(file, "sha256").digest())
    return f"sha256-{total.hexdigest()[:16]}"
