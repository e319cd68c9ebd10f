"""The summary of labels that a command ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._results import as_table

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


def summary(data: AnnData | MuData, key: str, mod: str) -> dict[str, Any]:
    """Return the numbers of cells by label, the most frequent label first and the rejected cells last."""
    from .. import get
    from .._anndata import read
    from .._keys import UNASSIGNED
    from ..get import query_cells

    adata = read(data, mod=mod)
    table = get.annotation(adata, key)[query_cells(data, adata, key)]
    of_label = table.groupby(table["label"].astype(str))["score"].agg(["size", "median"])
    of_label = of_label.sort_values("size", ascending=False, kind="stable")
    names = [name for name in of_label.index if name != UNASSIGNED]
    rejected = int(of_label["size"].get(UNASSIGNED, 0))
    return {
        "n_cells": len(table),
        "n_types": len(names),
        "n_unassigned": rejected,
        "labels": [
            {
                "label": name,
                "n_cells": int(of_label.at[name, "size"]),
                "share": of_label.at[name, "size"] / len(table),
                "median_score": round(float(of_label.at[name, "median"]), 6),
            }
            for name in [*names, *([UNASSIGNED] if rejected else [])]
        ],
        "coverage": dict(adata.uns[key]["coverage"]),
    }


def as_text(found: dict[str, Any]) -> str:
    """Return a summary for people."""
    rows = [["label", "cells", "share", "median score"]]
    for row in found["labels"]:
        rows.append([row["label"], f"{row['n_cells']:,}", f"{row['share']:.1%}", f"{row['median_score']:.2f}"])
    n = found["n_cells"]
    total = f"{n:,} {'cell' if n == 1 else 'cells'}, {found['n_unassigned']:,} of them unassigned"
    return f"{as_table(rows)}\n{total}"
