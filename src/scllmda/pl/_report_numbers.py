"""Numbers of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import _cautions
from .._counts import count_blocks, has_counts
from .._keys import UNASSIGNED
from ..get import annotation, query_cells
from ..methods import make_novelty_recipe
from ._both_domains import both_domains, known_labels

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@dataclass(frozen=True)
class ReportNumbers:
    """What a report says of one annotation."""

    key: str
    uns: Mapping[str, Any]
    """``.uns[key]``."""
    cells: pd.DataFrame
    """Of the query, in its order: ``label``, ``raw`` (text), ``score``, ``novelty``, ``truth`` (missing where there is
    none), ``depth`` (open peaks; missing if they are not known)."""
    proba: pd.DataFrame
    """(n_query, n_classes)."""
    of_reference: pd.Series
    """Labels of the reference's cells."""
    no_depth: str | None
    """Why depth is not known."""

    @classmethod
    def of(cls, data: AnnData | MuData, adata: AnnData, key: str, truth: str | None) -> ReportNumbers:
        """Return those of an annotation.

        Raises
        ------
        KeyError
            There is no such annotation, or no column ``truth``.
        ValueError
            No query cell has a label in ``truth``.
        """
        table, query = annotation(adata, key), query_cells(data, adata, key)
        cells = table.astype({"label": str, "raw": str})
        cells["truth"] = None if truth is None else known_labels(data, adata, key, truth).to_numpy()
        if truth is not None and cells.loc[query, "truth"].isna().all():
            msg = f"No query cell has a label in .obs[{truth!r}]; expected some. Pass truth= a column that has."
            raise ValueError(msg)
        cells["depth"], no_depth = _depth(adata, adata.uns[key]["params"].get("layer"))
        proba = annotation(adata, key, proba=True).iloc[:, len(table.columns) :]
        known = both_domains(data, adata, key, None)["reference"].dropna()
        return cls(key, adata.uns[key], cells[query], proba[query], known, no_depth)

    @property
    def types(self) -> pd.DataFrame:
        """A row per label: classes that occur, further labels, "Unassigned".

        ``reference`` and ``cells`` with this label, ``share`` of the query; ``raw`` cells whose likeliest label it is,
        and of these ``rejected`` (share), median ``score`` and ``novelty``; median ``depth`` of cells with this label.
        """
        classes = [str(label) for label in self.uns["classes"]]
        found = {*self.cells["label"], *self.cells["raw"], *self.of_reference}
        rows = [*(label for label in classes if label in found), *sorted(found - {*classes, UNASSIGNED})]
        rows += [UNASSIGNED] if UNASSIGNED in found and UNASSIGNED not in classes else []
        by_label, by_raw = self.cells.groupby("label"), self.cells.groupby("raw")
        return pd.DataFrame(
            {
                "reference": self.of_reference.value_counts().reindex(rows, fill_value=0),
                "cells": by_label.size().reindex(rows, fill_value=0),
                "share": by_label.size().reindex(rows, fill_value=0) / len(self.cells),
                "raw": by_raw.size().reindex(rows, fill_value=0),
                "rejected": (self.cells["label"] == UNASSIGNED).groupby(self.cells["raw"]).mean().reindex(rows),
                "score": by_raw["score"].median().reindex(rows),
                "novelty": by_raw["novelty"].median().reindex(rows),
                "depth": by_label["depth"].median().reindex(rows),
            },
            index=rows,
        )

    @property
    def threshold(self) -> float | None:
        """Novelty above which cells were rejected; None if none were to be, or could be."""
        return self.uns["history"].get("novelty_threshold")

    @property
    def decisions(self) -> dict[str, pd.DataFrame]:
        """Cells by what became of them, and why; they add up to all."""
        cells, threshold = self.cells, np.inf if self.threshold is None else self.threshold
        unassigned, closed = cells["label"] == UNASSIGNED, cells["score"] == 0
        novel = (cells["novelty"] > threshold) & ~closed
        return {
            "labeled": cells[~unassigned & ~novel],
            "labeled by the vote of their cluster, although too novel": cells[~unassigned & novel],
            "unassigned: no open peak that tells cells apart": cells[unassigned & closed],
            "unassigned: more novel than the threshold": cells[unassigned & novel],
            "unassigned: by the vote of their cluster, or like reference cells of that name": cells[
                unassigned & ~closed & ~novel
            ],
        }

    @property
    def n_changed(self) -> int:
        """Number of cells that got another label than their likeliest one, and were not rejected."""
        cells = self.cells
        return int(((cells["label"] != cells["raw"]) & (cells["label"] != UNASSIGNED)).sum())

    @property
    def shared(self) -> str | None:
        """How many peaks query and reference share, in a word; None if that is not known."""
        coverage = self.uns["coverage"]
        if "n_query" not in coverage:
            return None
        return f"{coverage['n_matched_query'] / max(coverage['n_query'], 1):.1%}"

    @property
    def cautions(self) -> list[str]:
        """What the package said, or would say, of this annotation."""
        params, history = self.uns["params"], self.uns["history"]
        recipe = make_novelty_recipe(params.get("novelty_recipe"))
        found = [
            _cautions.of_few_peaks(self.uns["coverage"]),
            _cautions.of_shift(
                history.get("novelty_shift"),
                len(self.cells),
                key=self.key,
                rejects="max_false_rejection" in params,
                large_shift=recipe.large_shift,
            ),
            _cautions.of_contradicted(len(self.uns["reference"].get("contradicted", ())), self.key),
        ]
        return [text.rstrip(".") + "." for text in found if text is not None]


def _depth(adata: AnnData, layer: str | None) -> tuple[Any, str | None]:
    """Return the number of open peaks of each cell, or why it is not known."""
    if not has_counts(adata, layer):
        return np.nan, "the object has no counts."
    try:
        return np.concatenate([np.diff(block.indptr) for block in count_blocks(adata, layer)]), None
    except ValueError as error:
        return np.nan, str(error)
