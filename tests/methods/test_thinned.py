from __future__ import annotations

import numpy as np
import pytest
from tests._objects import annotated, pair, together
from tests.methods._tasks import make_task

from scllmda.methods import _thinned
from scllmda.methods._thinned import thinned


def test_types_keep_their_shares_and_rare_ones_their_cells() -> None:
    labels = np.repeat([-1, 0, 1, 2, -1], [30, 6000, 3000, 40, 20])
    X = np.random.default_rng(0).normal(size=(len(labels), 4))
    task, key = make_task(X, labels, 3), np.random.default_rng(1).permutation(len(labels)).astype(np.uint64)
    found = thinned(task, 904, key)
    assert np.bincount(found.labels[found.labels >= 0]).tolist() == [600, 300, 40]
    np.testing.assert_array_equal(found.at[found.query], np.flatnonzero(labels < 0))
    np.testing.assert_array_equal(found.labels, labels[found.at])
    np.testing.assert_array_equal(found.X, task.X[found.at])
    left_out = np.setdiff1d(np.arange(len(labels)), found.at)
    for c in (0, 1):
        assert key[found.at[found.labels == c]].max() < key[left_out[labels[left_out] == c]].min()
    assert thinned(task, 9040, key) is task


def test_cells_are_the_same_in_any_order() -> None:
    labels = np.repeat([0, -1, 1], [500, 20, 400])
    X, key = np.random.default_rng(0).normal(size=(len(labels), 4)), np.arange(len(labels), dtype=np.uint64)[::-1]
    order = np.random.default_rng(1).permutation(len(labels))
    found = thinned(make_task(X, labels, 2), 400, key)
    again = thinned(make_task(X[order], labels[order], 2), 400, key[order])
    np.testing.assert_array_equal(np.sort(order[again.at]), found.at)


def test_what_is_written_of_a_thinned_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr("scllmda._logging.result", said.append)
    monkeypatch.setattr(_thinned, "FEWEST", 20)
    reference, query = pair()
    whole = annotated(query, reference)
    assert "looked at" not in said.pop()
    assert "n_looked_at" not in whole.uns["scllmda"]["reference"]
    found = annotated(query, reference, recipe={"most_reference": 60})
    uns = found.uns["scllmda"]["reference"]
    assert 60 <= uns["n_looked_at"] < uns["n_cells"] == reference.n_obs
    assert f"{uns['n_looked_at']} of {reference.n_obs} reference cells looked at" in said.pop()
    # What is kept of the reference is kept of these cells.
    assert len(uns["X_da"]) == len(uns["codes"]) == uns["n_looked_at"]
    assert uns["X_da"].any(axis=1).all()
    sizes = reference.obs["cell_type"].value_counts()[found.uns["scllmda"]["classes"]]
    assert (np.bincount(uns["codes"]) >= np.minimum(sizes, 20)).all()
    assert (np.bincount(uns["codes"]) < sizes).any()
    assert set(uns["contradicted"]) <= set(reference.obs_names)
    assert (found.obs["scllmda_raw"] == whole.obs["scllmda_raw"]).mean() > 0.9


def test_of_one_object_all_cells_are_looked_at() -> None:
    adata = annotated(together(), recipe={"most_reference": 30})
    known = (adata.obs["cell_type"] != "unknown").to_numpy()
    assert "n_looked_at" not in adata.uns["scllmda"]["reference"]
    assert adata.obsm["X_scllmda_da"][known].any(axis=1).all()
