"""Every slot name in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AnnotationKeys:
    """The names of the slots of one annotation, all derived from ``key_added``."""

    key: str
    """``key_added``."""

    @property
    def label(self) -> str:
        """``.obs``: label of each cell, or "Unassigned" if it was rejected."""
        return self.key

    @property
    def raw(self) -> str:
        """``.obs``: label of each cell before rejection."""
        return f"{self.key}_raw"

    @property
    def score(self) -> str:
        """``.obs``: calibrated probability of the raw label."""
        return f"{self.key}_score"

    @property
    def novelty(self) -> str:
        """``.obs``: novelty, 0-1; the higher, the less a cell is like any cell of the reference."""
        return f"{self.key}_novelty"

    @property
    def ontology(self) -> str:
        """``.obs``: ontology id of each cell's label, where labels came with ids; named as in CELLxGENE's schema."""
        return f"{self.key}_ontology_term_id"

    @property
    def proba(self) -> str:
        """``.obsm``: probabilities, a table with a column per class."""
        return f"{self.key}_proba"

    @property
    def members(self) -> str:
        """``.obsm``: prediction sets, a table of true and false with a column per class."""
        return f"{self.key}_set"

    @property
    def set_label(self) -> str:
        """``.obs``: finest label that holds a cell's whole prediction set, or "Unassigned"."""
        return f"{self.key}_set_label"

    @property
    def aligned(self) -> str:
        """``.obsm``: representation in which the method compared query and reference."""
        return f"X_{self.key}_da"

    @property
    def connectivities(self) -> str:
        """``.obsp``: kNN graph, without edges between reference and query."""
        return f"{self.key}_connectivities"

    @property
    def ppmi(self) -> str:
        """``.obsp``: PPMI graph, without edges between reference and query."""
        return f"{self.key}_ppmi"

    @property
    def loadings(self) -> str:
        """``.varm``: loadings of the peaks that cells were placed by, zero for the others."""
        return f"{self.key}_loadings"

    @property
    def n_open(self) -> str:
        """``.varm``: reference cells of each class in which a peak is open; NaN for peaks that the reference lacks."""
        return f"{self.key}_n_open"

    @property
    def rate(self) -> str:
        """``.var``: base rate of the peaks that cells were placed by, 0 for the others."""
        return base_rate(self.key)

    @property
    def peak(self) -> str:
        """``.var``: number of the peak that a peak counts as, -1 for none; several may count as one."""
        return f"{self.key}_peak"

    @property
    def pooled(self) -> str:
        """``.obsp``: whose counts were added to those of each cell, where cells were pooled."""
        return f"{self.key}_pooled"

    @property
    def uns(self) -> str:
        """``.uns``: params, classes, history, coverage, reference; ontology, sets, if asked for; umap, once drawn.

        And evidence, what labels were made with, where they can be traced to peaks.
        """
        return self.key

    @property
    def slots(self) -> list[tuple[str, str]]:
        """All slots that every annotation has, as pairs of attribute and name."""
        return [
            *(("obs", name) for name in (self.label, self.raw, self.score, self.novelty)),
            *(("obsm", name) for name in (self.proba, self.aligned)),
            *(("obsp", name) for name in (self.connectivities, self.ppmi)),
            ("uns", self.uns),
        ]

    @property
    def evidence(self) -> list[tuple[str, str]]:
        """Slots, besides those, that an annotation may have whose labels can be traced to peaks."""
        return [
            *(("varm", name) for name in (self.loadings, self.n_open)),
            *(("var", name) for name in (self.rate, self.peak)),
            ("obsp", self.pooled),
        ]

    @property
    def of_sets(self) -> list[tuple[str, str]]:
        """The slots of prediction sets."""
        return [("obsm", self.members), ("obs", self.set_label)]


@dataclass(frozen=True)
class MarkerKeys:
    """The names of the slots of one comparison of labels by their peaks, all derived from ``key_added``."""

    key: str
    """``key_added``; also the slot of ``.uns``: params, groups, number of cells of each."""

    @classmethod
    def of(cls, groupby: str) -> MarkerKeys:
        """Return the names for the labels of a column, unless others are asked for."""
        return cls(f"{groupby}_marker_peaks")

    @property
    def statistics(self) -> dict[str, str]:
        """``.varm``: by the name of each statistic, an array with a column per group."""
        names = ("log2fc", "fraction", "background", "score", "pvalue", "fdr")
        return {name: f"{self.key}_{name}" for name in names}

    @property
    def gene(self) -> str:
        """``.var``: the gene that starts nearest to each peak."""
        return f"{self.key}_gene"

    @property
    def distance(self) -> str:
        """``.var``: base pairs from the start of that gene to the center of the peak."""
        return f"{self.key}_distance"

    @property
    def slots(self) -> list[tuple[str, str]]:
        """All slots that every comparison has, as pairs of attribute and name."""
        return [("uns", self.key), *(("varm", name) for name in self.statistics.values())]


@dataclass(frozen=True)
class ReferenceCheckKeys:
    """The names of the slots of one check of a reference, all derived from ``key_added``."""

    key: str
    """``key_added``."""

    @property
    def contradicted(self) -> str:
        """``.obs``: whether the rest of the reference contradicts a cell's label."""
        return f"{self.key}_contradicted"

    @property
    def chance(self) -> str:
        """``.obs``: chance that a cell's label is wrong."""
        return f"{self.key}_chance"

    @property
    def suggested(self) -> str:
        """``.obs``: label that the rest of the reference gives a cell."""
        return f"{self.key}_suggested"

    @property
    def uns(self) -> str:
        """``.uns``: params, numbers, and the tables of types, pairs of types and batches."""
        return self.key

    @property
    def slots(self) -> list[tuple[str, str]]:
        """All slots, as pairs of attribute and name."""
        return [*(("obs", name) for name in (self.contradicted, self.chance, self.suggested)), ("uns", self.uns)]


def marker_motifs_key(groupby: str) -> str:
    """Return the slot of ``.uns`` with the marker motifs of the labels of a column, unless another is asked for."""
    return f"{groupby}_marker_motifs"


MOTIF_ACTIVITY = "motif_activity"
"""Slot of ``.obsm`` and ``.uns`` with the deviations of motifs."""


def base_rate(key: str) -> str:
    """Return the column of ``.var`` with the base rates of the peaks, for a cell embedding under ``key``."""
    return f"{key}_rate"


SEQUENCE = "sequence"
"""Column of ``.var`` with the DNA of each peak."""
CELL_EMBEDDING = "X_scllmda"
"""Slot of ``.obsm`` with the cell embedding."""
UNASSIGNED = "Unassigned"
"""Label of rejected cells."""
FOOTPRINT = "footprint"
"""Slot of ``.uns`` with footprints."""
REFERENCE_CHECK = "reference_check"
"""Prefix of the slots of a check of a reference."""


DIVISION_SLASH = "\u2215"
"""Replaces the "/" of class names in column names, where zarr cannot hold it; it looks the same."""


def class_column(name: str) -> str:
    """Return the column of a class in ``.obsm[f"{key}_proba"]``."""
    return name.replace("/", DIVISION_SLASH)


def peak_embedding(encoder: str) -> str:
    """Return the ``.varm`` key of an encoder's peak embeddings."""
    return f"X_{encoder}"
