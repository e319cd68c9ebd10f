"""Masks of pre-training: open islands alone, as many of each class."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from scllmda.methods import make_recipe
from scllmda.methods.annatac._masking import mask, masks_per_class
from scllmda.methods.annatac._pretrain import MaskedCells
from scllmda.methods.annatac._tokens import IslandCells, Tokens, canonical


def cells(n_cells: int = 30, n_islands: int = 200) -> IslandCells:
    rng = np.random.default_rng(0)
    X = rng.choice([0, 1, 2, 3, 4, 5], (n_cells, n_islands), p=[0.5, 0.3, 0.1, 0.05, 0.03, 0.02]).astype(np.uint8)
    names = tuple(map(str, range(n_islands)))
    return IslandCells(canonical(sp.csr_matrix(X)), names, np.ones(n_islands, dtype=bool))


@pytest.mark.parametrize("n_open", [[60, 20, 10, 6, 4], [100], [1], [3, 50], [1, 1, 1, 97], [5, 5, 5]])
def test_as_many_masks_of_each_class_as_there_are(n_open: list[int]) -> None:
    rng, n_open = np.random.default_rng(0), np.array(n_open)
    masks = masks_per_class(n_open, 0.15, rng)
    assert masks.sum() == max(round(0.15 * n_open.sum()), 1)
    assert (masks <= n_open).all()
    free = masks < n_open
    # Classes that are not used up have the same number but for one, and none that is used up has more.
    if free.any():
        assert np.ptp(masks[free]) <= 1
        assert masks.max() == masks[free].max()


def test_masks_by_a_plain_computation() -> None:
    # 15 % of 100 are 15: classes with 4 and 2 are used up, the others share what is left.
    masks = masks_per_class(np.array([60, 34, 4, 2]), 0.15, np.random.default_rng(1))
    assert masks.tolist() in ([5, 4, 4, 2], [4, 5, 4, 2])


def test_a_share_of_the_masks_shows_what_is_there() -> None:
    values = np.repeat([1, 2], 5000)
    chosen, replaced = mask(values, 0.15, 0.9, np.random.default_rng(0))
    assert len(np.unique(chosen)) == len(chosen) == 1500
    assert (np.diff(chosen) > 0).all()
    assert np.bincount(values[chosen]).tolist() == [0, 750, 750]
    assert abs(replaced.mean() - 0.9) < 0.03


def test_a_batch_is_the_cells_with_masks_at_open_islands() -> None:
    data, recipe, tokens = cells(), make_recipe("annatac", {"preset": "small"}), Tokens(5)
    corpus = MaskedCells(data, recipe, 5, seed=3)
    chosen = np.array([4, 9, 2])
    batch = corpus.batch(chosen, epoch=1)
    ids, at, classes = (tensor.numpy() for tensor in batch.tensors)
    dense = data.values.toarray()[chosen]
    changed = ids != dense
    assert (ids[changed] == tokens.mask).all()
    assert (dense[at[:, 0], at[:, 1]] == classes).all()
    assert (classes > 0).all(), "closed islands are never masked"
    assert len(classes) == batch.n_targets == sum(round(0.15 * n) for n in (dense > 0).sum(axis=1))
    masked = np.zeros_like(changed)
    masked[at[:, 0], at[:, 1]] = True
    assert not (changed & ~masked).any()


def test_masks_of_a_cell_do_not_depend_on_the_batch_and_differ_between_epochs() -> None:
    corpus = MaskedCells(cells(), make_recipe("annatac", {"preset": "small"}), 5, seed=3)
    together, alone = corpus.batch(np.array([7, 5]), 0).tensors[0], corpus.batch(np.array([5]), 0).tensors[0]
    np.testing.assert_array_equal(together[1], alone[0])
    assert (corpus.batch(np.array([5]), 1).tensors[0] != alone).any()
