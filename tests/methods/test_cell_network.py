"""The first stage that published systems share, on tasks of counts and peaks' DNA."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from tests.methods._tasks import task_of_counts

from scllmda.methods import METHODS, make_recipe
from scllmda.methods._cell_network import CellNetworkRecipe, cells_by_network
from scllmda.nn import train_cell_network

RECIPE = CellNetworkRecipe(cell_hidden=(12, 6), cell_epochs=2, cell_batch_size=32, min_open=0.0)


def made(n_cells: int = 40, n_peaks: int = 90) -> tuple[sp.csr_matrix, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = sp.csr_matrix((rng.random((n_cells, n_peaks)) < 0.2).astype(np.float32))
    return X, rng.standard_normal((n_peaks, 7)).astype(np.float32), np.where(np.arange(n_cells) < 25, 0, -1)


def test_is_the_network_on_reference_and_query_together() -> None:
    X, Z, labels = made()
    task = task_of_counts(X, labels, 1, peak_embeddings=Z, seed=3)
    seed = int(np.random.default_rng(3).integers(2**31))
    cells, peaks, losses = train_cell_network(X, Z, RECIPE, seed=seed, device="cpu")
    found = cells_by_network(task, RECIPE)
    np.testing.assert_array_equal(found.cells, cells)
    np.testing.assert_array_equal(found.peaks, peaks)
    assert found.history == {"cell_loss": losses}


def test_peaks_without_a_known_base_take_no_part() -> None:
    X, Z, labels = made()
    Z[::9] = np.nan
    known = np.isfinite(Z).all(axis=1)
    whole = cells_by_network(task_of_counts(X, labels, 1, peak_embeddings=Z), RECIPE)
    alone = cells_by_network(task_of_counts(X[:, known], labels, 1, peak_embeddings=Z[known]), RECIPE)
    np.testing.assert_array_equal(whole.cells, alone.cells)
    np.testing.assert_array_equal(whole.peaks[known], alone.peaks)
    assert not whole.peaks[~known].any()


def test_a_cell_that_opens_none_of_the_known_peaks_has_no_place() -> None:
    X, Z, labels = made()
    Z[:45] = np.nan
    dense = X.toarray()
    dense[3, 45:] = 0
    found = cells_by_network(task_of_counts(sp.csr_matrix(dense), labels, 1, peak_embeddings=Z), RECIPE).cells
    assert not found[3].any()
    assert np.delete(found, 3, axis=0).any(axis=1).all()


@pytest.mark.parametrize("method", ["scllmda", "seqalignatac"])
def test_systems_read_dna_unless_told_otherwise(method: str) -> None:
    system = METHODS[method]
    assert system.represent is cells_by_network
    assert system.parts(make_recipe(method, None)) == {"counts", "peak_embeddings"}
    assert system.parts(make_recipe(method, {"cells": "factorisation"})) == {"embedding"}
    assert make_recipe(method, system.without_sequence) == replace(make_recipe(method, None), cells="factorisation")
    with pytest.raises(ValueError, match=r"Unknown cells 'lsi' in the recipe; expected one of \['network', 'fac"):
        make_recipe(method, {"cells": "lsi"})
