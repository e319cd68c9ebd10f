"""What an object says of the genome build that its peaks are of."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pandas as pd
from anndata import AnnData

from . import _logging as logg
from .genomics import build_of_lengths, known_build


@dataclass(frozen=True)
class GenomeNote:
    """A note of a genome build."""

    text: str
    """As it is written."""
    where: str
    """Slot that it is in."""
    build: str | None
    """UCSC's name, None if the build is not among the known ones."""


def noted_build(adata: AnnData, what: str) -> GenomeNote | None:
    """Return what an object notes of its genome build; None without a note, or where notes contradict each other.

    Read are ``.uns["genome"]``; ``.var["genome"]``, which Cell Ranger writes, where all peaks have the same; and the
    lengths of contigs in ``.uns["reference_sequences"]``, which SnapATAC2 writes.

    Parameters
    ----------
    adata
        Object.
    what
        "query" or "reference", for the warning where its notes contradict each other.
    """
    notes = [note for note in (_in_uns(adata), _in_var(adata), _in_lengths(adata)) if note is not None]
    builds = {note.build for note in notes if note.build is not None}
    if len(builds) > 1:
        found = ", ".join(f"{note.text!r} in {note.where}" for note in notes)
        logg.warning(
            f"The {what}'s notes of its genome build contradict each other ({found}), so that none is believed. "
            "Correct or delete the wrong one."
        )
        return None
    # A known build says more than a name that nobody knows.
    return min(notes, key=lambda note: note.build is None, default=None)


def genome_notes(adata: AnnData) -> dict[str, Any]:
    """Return what an object notes of its genome build, for the ``.uns`` of another one."""
    notes = {key: deepcopy(adata.uns[key]) for key in ("genome", "reference_sequences", "files") if key in adata.uns}
    # Cell Ranger notes it for each peak.
    if "genome" not in notes and "genome" in adata.var and (note := noted_build(adata, "data")) is not None:
        notes["genome"] = note.text
    return notes


def contig_lengths(adata: AnnData) -> dict[str, int]:
    """Return base pairs by contig, as SnapATAC2 notes them; empty without a note."""
    noted: Any = adata.uns.get("reference_sequences")
    if isinstance(noted, pd.DataFrame) and noted.shape[1] >= 2:
        noted = dict(zip(noted.iloc[:, 0], noted.iloc[:, 1], strict=True))
    elif isinstance(noted, Mapping) and set(noted) == {"reference_seq_name", "reference_seq_length"}:
        noted = dict(zip(noted["reference_seq_name"], noted["reference_seq_length"], strict=True))
    if not isinstance(noted, Mapping):
        return {}
    return {str(name): int(length) for name, length in noted.items() if _is_whole(length)}


def build_name(adata: AnnData, what: str) -> str | None:
    """Return the genome build that an object notes: UCSC's name of it where that is known, else its own."""
    found = noted_build(adata, what)
    if found is None:
        return None
    return found.text if found.build is None else found.build


def _is_whole(value: Any) -> bool:
    return hasattr(value, "__int__") and not isinstance(value, str) and float(value).is_integer()


def _in_uns(adata: AnnData) -> GenomeNote | None:
    return _note(adata.uns.get("genome"), ".uns['genome']")


def _in_var(adata: AnnData) -> GenomeNote | None:
    if "genome" not in adata.var:
        return None
    names = pd.unique(adata.var["genome"].dropna().astype(str))
    return _note(names[0], ".var['genome']") if len(names) == 1 else None


def _in_lengths(adata: AnnData) -> GenomeNote | None:
    build = build_of_lengths(contig_lengths(adata))
    return None if build is None else GenomeNote(build, ".uns['reference_sequences']", build)


def _note(text: Any, where: str) -> GenomeNote | None:
    if not isinstance(text, str) or not text.strip():
        return None
    return GenomeNote(text, where, known_build(text))
