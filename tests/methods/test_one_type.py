"""A query of one type is labeled as one; a query of several types is left alone."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import scllmda as sl
from scllmda.methods import _robust
from scllmda.methods._one_type import go_together


def test_labels_go_with_axes_by_chance_as_often_as_said() -> None:
    rng = np.random.default_rng(0)
    kind = rng.random(300)
    proba = np.column_stack([kind, 1 - kind])
    noise = [rng.standard_normal((300, 5)) for _ in range(200)]
    assert sum(go_together(proba, axes) for axes in noise) <= 4
    noise[0][:, 0] += 2 * kind
    assert go_together(proba, noise[0])
    noise[1][:, 4] += 2 * kind
    assert go_together(proba, noise[1])


def test_where_nothing_is_known_nothing_goes_together() -> None:
    proba = np.random.default_rng(0).dirichlet([1, 1], size=30)
    for axes in (np.zeros((30, 5)), np.full((30, 5), np.nan)):
        assert not go_together(proba, axes)
    assert not go_together(np.full((30, 2), 0.5), np.random.default_rng(1).standard_normal((30, 5)))


def test_cells_that_were_not_looked_at_do_not_count() -> None:
    rng = np.random.default_rng(0)
    kind, axes = rng.random(100), rng.standard_normal((100, 5))
    axes[:50, 0] += 3 * kind[:50]
    proba = np.column_stack([kind, 1 - kind])
    axes[50:] = np.nan
    assert go_together(proba, axes) == go_together(proba[:50], axes[:50])


@cache
def annotated(query_types: tuple[int, ...] | None, *, by_the_rule: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities of a query that shares a twentieth of its peaks, and which labels are right."""
    reference, query = sl.datasets.simulate(shared_peaks=0.05, depth=0.05, n_query=300, query_types=query_types, rng=1)
    del reference.var["sequence"], query.var["sequence"]
    truth = query.obs.pop("cell_type").astype(str).to_numpy()
    with pytest.MonkeyPatch.context() as patch:
        if not by_the_rule:
            patch.setattr(_robust, "go_together", lambda proba, axes: True)
        sl.tl.annotate(query, reference)
    right = query.obs["scllmda_raw"].astype(str).to_numpy() == truth
    return query.obsm["scllmda_proba"].to_numpy(), right


@pytest.mark.parametrize("of_type", [1, 4])
def test_a_query_of_one_type_is_labeled_as_one(of_type: int) -> None:
    proba, right = annotated((of_type,), by_the_rule=True)
    before, right_before = annotated((of_type,), by_the_rule=False)
    assert right.mean() > 0.97
    assert right.mean() >= right_before.mean()
    assert abs(proba.max(axis=1).mean() - right.mean()) < 0.05
    assert proba.max(axis=1).mean() > before.max(axis=1).mean()


@pytest.mark.parametrize("types", [(0, 1), None])
def test_a_query_of_several_types_is_left_alone(types: tuple[int, ...] | None) -> None:
    proba, _ = annotated(types, by_the_rule=True)
    before, _ = annotated(types, by_the_rule=False)
    np.testing.assert_array_equal(proba, before)
