"""Samples, of which each has a file of fragments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def files_by_sample(fragments: Any) -> dict[str, Path]:
    """Return files by sample; one file alone has none, "" that is."""
    if isinstance(fragments, str | PathLike):
        return {"": Path(fragments).expanduser()}
    is_named = isinstance(fragments, Mapping)
    if not is_named and not isinstance(fragments, Sequence):
        msg = f"Found fragments={fragments!r}; expected the path of a file, a list, or a dictionary of paths."
        raise TypeError(msg)
    given = list(fragments.values()) if is_named else list(fragments)
    odd = [path for path in given if not isinstance(path, str | PathLike)]
    if odd or not given:
        msg = f"Found {odd[0]!r} in fragments=; expected a path." if odd else "fragments= is empty; expected a file."
        raise TypeError(msg) if odd else ValueError(msg)
    paths = [Path(path).expanduser() for path in given]
    names = [str(name) for name in fragments] if is_named else [_sample(path) for path in paths]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        msg = (
            f"Two files of fragments= have the name {twice!r}; expected a name for each. Pass a dictionary: "
            "fragments={'name': path, …}, or rename a file."
        )
        raise ValueError(msg)
    return dict(zip(names, paths, strict=True))


def _sample(path: Path) -> str:
    """Return a sample's name: of the file, or of the folder where the file's says nothing, as Cell Ranger's does."""
    name = re.sub(r"(\.(tsv|bed|txt|gz|bgz))+$", "", path.name)
    name = re.sub(r"(^|[._-])(atac_)?fragments?$", "", name)
    folders = [folder.name for folder in path.resolve().parents if folder.name not in {"", "outs"}]
    return name or next(iter(folders), "fragments")


def named(barcodes: Iterable[str], sample: str) -> list[str]:
    """Return the names of a sample's cells."""
    return [f"{barcode}-{sample}" if sample else str(barcode) for barcode in barcodes]


def by_sample(names: npt.NDArray[np.str_], samples: list[str]) -> dict[str, list[str]]:
    """Return the barcodes that are asked for, by the sample whose name they end in."""
    if samples == [""]:
        return {"": names.tolist()}
    found: dict[str, list[str]] = {sample: [] for sample in samples}
    # Of two samples of which one is the other's end, the longer is meant.
    ends = sorted((f"-{sample}" for sample in samples), key=len, reverse=True)
    for name in names.tolist():
        end = next((end for end in ends if name.endswith(end)), None)
        if end is None:
            msg = (
                f"The barcode {name!r} of barcodes= ends in no name of a sample; expected barcode-sample, with one of "
                f"{samples}, where there are several files. Rename the barcodes."
            )
            raise ValueError(msg)
        found[end[1:]].append(name.removesuffix(end))
    return found
