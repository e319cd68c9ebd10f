"""A cell's finest label is a part of its coarser ones, whatever its parts are worth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scllmda as sl
from scllmda.methods import finest_label

TWO = np.array([["T", "T", "B"], ["CD4 T", "CD8 T", "Plasma"]], dtype=object)
THREE = np.array(
    [
        ["blood", "blood", "blood", "skin", "skin"],
        ["T", "T", "B", "wound", "hair"],
        ["CD4 T", "CD8 T", "Plasma", "scab", "root"],
    ],
    dtype=object,
)


@pytest.mark.parametrize(
    ("proba", "least", "label"),
    [
        # Plasma is the likeliest of all, and no T cell.
        ([0.35, 0.25, 0.4], 0.3, "CD4 T"),
        ([0.25, 0.35, 0.4], 0.3, "CD8 T"),
        ([0.25, 0.35, 0.4], 0.0, "CD8 T"),
        # It is likely enough, the likeliest T cell is not.
        ([0.31, 0.29, 0.4], 0.35, "T"),
        ([0.2, 0.1, 0.7], 0.5, "Plasma"),
    ],
)
def test_of_two_levels(proba: list[float], least: float, label: str) -> None:
    assert finest_label(np.array([proba]), TWO, least).tolist() == [label]


@pytest.mark.parametrize(
    ("proba", "least", "label"),
    [
        # Of the blood, T is likelier than B; of all, a wound is likeliest, and a scab.
        ([0.14, 0.16, 0.25, 0.4, 0.05], 0.1, "CD8 T"),
        ([0.14, 0.16, 0.25, 0.4, 0.05], 0.2, "T"),
        ([0.14, 0.16, 0.25, 0.4, 0.05], 0.35, "blood"),
        # Plasma is likelier than either T cell, and no T cell.
        ([0.2, 0.2, 0.3, 0.15, 0.15], 0.1, "CD4 T"),
        ([0.2, 0.2, 0.3, 0.15, 0.15], 0.25, "T"),
        ([0.2, 0.2, 0.3, 0.15, 0.15], 0.5, "blood"),
    ],
)
def test_of_three_levels(proba: list[float], least: float, label: str) -> None:
    assert finest_label(np.array([proba]), THREE, least).tolist() == [label]


def test_cells_of_an_annotation() -> None:
    """Half of the T cells are called one thing and half another: where B cells are near, those are likelier."""
    rng = np.random.default_rng(0)
    is_t = rng.random(300) < 0.6
    fine = np.where(is_t, rng.choice(["CD4 T", "CD8 T"], 300), "Plasma").astype(object)
    fine[200:] = "unknown"
    obs = pd.DataFrame({"coarse": np.where(is_t, "T", "B"), "fine": fine}, index=map(str, range(300)))
    X = np.where(is_t, 0.5, -0.5)[:, None] * np.eye(1, 8) + rng.standard_normal((300, 8))
    adata = AnnData(obs=obs, obsm={"X": X})
    options = {"use_rep": "X", "min_probability": 0.1, "max_false_rejection": None}
    sl.tl.graph_da_annotate(adata, ["coarse", "fine"], **options)
    asked = adata[200:]
    proba = asked.obsm["scllmda_proba"]
    assert (proba.max(axis=1) >= 0.1).all()
    of_t = proba["CD4 T"] + proba["CD8 T"] > proba["Plasma"]
    likeliest_t = proba[["CD4 T", "CD8 T"]].idxmax(axis=1)
    expected = likeliest_t.where(of_t, "Plasma")
    assert asked.obs["scllmda"].tolist() == expected.tolist()
    # There are cells for which it matters.
    assert (of_t & (asked.obs["scllmda_raw"].astype(str) == "Plasma")).sum() >= 5
