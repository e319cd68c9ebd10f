"""When a query is said to lie far from its reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from tests._objects import pair

import scllmda as sl
from scllmda import _logging
from scllmda.tl._annotation_report import warn_of_shift
from scllmda.tl._choices import Choices


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(_logging, "warning", told.append)
    return told


def cells(spread: float) -> AnnData:
    """Return labeled cells, and unlabeled ones of the same types, which are spread more."""
    rng = np.random.default_rng(0)
    truth = np.arange(400) % 3
    noise = np.where(np.arange(400) < 250, 1.0, spread)[:, None] * rng.standard_normal((400, 8))
    obs = pd.DataFrame({"cell_type": np.array(["a", "b", "c"], dtype=object)[truth]}, index=map(str, range(400)))
    obs.iloc[250:, 0] = "unknown"
    return AnnData(obs=obs, obsm={"X": 12 * np.eye(3, 8)[truth] + noise})


def shift_of(adata: AnnData, **options: Any) -> float:
    sl.tl.graph_da_annotate(adata, "cell_type", use_rep="X", **options)
    return adata.uns["scllmda"]["history"]["novelty_shift"]


@pytest.mark.parametrize(("spread", "least", "most"), [(1.0, 1.0, 1.2), (1.6, 1.3, 1.95)])
def test_a_query_that_is_near_is_not_warned_of(warned: list[str], spread: float, least: float, most: float) -> None:
    assert least <= shift_of(cells(spread)) <= most
    assert warned == []


@pytest.mark.parametrize(("spread", "least", "most"), [(2.6, 2.05, 3.0), (8.0, 5.0, 20.0)])
def test_a_query_that_is_far_is_warned_of(warned: list[str], spread: float, least: float, most: float) -> None:
    shift = shift_of(cells(spread))
    assert least <= shift <= most
    assert len(warned) == 1
    assert f"Most predicted types lie {shift:.1f} times as far from the reference's cells" in warned[0]


def test_a_user_may_say_what_is_far(warned: list[str]) -> None:
    shift = shift_of(cells(1.6))
    assert warned == []
    shift_of(cells(1.6), novelty_recipe={"large_shift": 0.95 * shift})
    assert len(warned) == 1
    warned.clear()
    shift_of(cells(2.6), novelty_recipe={"large_shift": 4.0})
    assert warned == []


@pytest.mark.parametrize("rejects", [True, False])
@pytest.mark.parametrize(
    ("shift", "is_warned_of"), [(1.0, False), (1.9, False), (2.0, False), (2.1, True), (3.0, True), (150.0, True)]
)
def test_twice_as_far_is_far(warned: list[str], shift: float, *, is_warned_of: bool, rejects: bool) -> None:
    choices = Choices.checked(
        "robust",
        None,
        None,
        n_neighbors=15,
        max_false_rejection=0.01 if rejects else None,
        min_probability=0.5,
        majority_voting=None,
        key_added="scllmda",
        device="cpu",
        rng=0,
    )
    warn_of_shift(shift, 100, choices)
    assert bool(warned) == is_warned_of
    if is_warned_of:
        told = "more than 100" if shift > 100 else f"{shift:.1f}"
        assert f"{told} times as far" in warned[0]


def test_counts_of_two_objects(warned: list[str]) -> None:
    reference, query = pair()
    options: dict[str, Any] = {"n_latent": 16, "copy": True}
    shift = sl.tl.annotate(query, reference, **options).uns["scllmda"]["history"]["novelty_shift"]
    assert 1 <= shift < 2
    assert warned == []
    far = {"novelty_recipe": {"large_shift": shift - 0.01}}
    sl.tl.annotate(query, reference, **far, **options)
    assert len(warned) == 1
    assert "times as far from the reference's cells" in warned[0]
