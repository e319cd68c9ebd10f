"""Every slot name in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AnnotationKeys:
    """The slots of one annotation, all derived from ``key_added``."""

    key: str

    @property
    def label(self) -> str:
        """``.obs``: label, or "Unassigned"."""
        return self.key

    @property
    def raw(self) -> str:
        """``.obs``: label before rejection."""
        return f"{self.key}_raw"

    @property
    def score(self) -> str:
        """``.obs``: calibrated probability of the raw label."""
        return f"{self.key}_score"

    @property
    def novelty(self) -> str:
        """``.obs``: 0-1, higher is less like any reference type."""
        return f"{self.key}_novelty"

    @property
    def proba(self) -> str:
        """``.obsm``: one column per class."""
        return f"{self.key}_proba"

    @property
    def aligned(self) -> str:
        """``.obsm``: aligned representation."""
        return f"X_{self.key}_da"

    @property
    def connectivities(self) -> str:
        """``.obsp``: kNN graph, within domains."""
        return f"{self.key}_connectivities"

    @property
    def ppmi(self) -> str:
        """``.obsp``: PPMI graph, within domains."""
        return f"{self.key}_ppmi"

    @property
    def uns(self) -> str:
        """``.uns``: params, classes, history, coverage, reference."""
        return self.key

    @property
    def slots(self) -> list[tuple[str, str]]:
        """All of them."""
        return [
            *(("obs", name) for name in (self.label, self.raw, self.score, self.novelty)),
            *(("obsm", name) for name in (self.proba, self.aligned)),
            *(("obsp", name) for name in (self.connectivities, self.ppmi)),
            ("uns", self.uns),
        ]


def base_rate(key: str) -> str:
    """Return the column of ``.var`` with the peaks' base rates, of a cell embedding under ``key``."""
    return f"{key}_rate"


SEQUENCE = "sequence"
CELL_EMBEDDING = "X_scllmda"
UNASSIGNED = "Unassigned"


DIVISION_SLASH = "\u2215"
"""Stands for the "/" of class names in column names, where zarr cannot hold one; it looks the same."""


def class_column(name: str) -> str:
    """Return the column of a class in ``.obsm[f"{key}_proba"]``."""
    return name.replace("/", DIVISION_SLASH)


def peak_embedding(encoder: str) -> str:
    """Return the ``.varm`` key of an encoder's peak embeddings."""
    return f"X_{encoder}"
