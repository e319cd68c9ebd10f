from __future__ import annotations

import numpy as np

from scllmda.methods._held_out_parts import held_out_parts


def test_parts_are_stratified_and_leave_the_query_out() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3, -1], [40, 31, 2, 1, 9]))
    part = held_out_parts(labels, None, 3)
    np.testing.assert_array_equal(part < 0, labels < 0)
    for c in range(4):
        held_out = np.bincount(part[labels == c], minlength=3)
        assert held_out.max() - held_out.min() <= 1


def test_classes_of_one_cell_are_spread() -> None:
    assert len(set(held_out_parts(np.arange(6), None, 3))) == 3


def test_batches_are_the_parts_when_there_are_several() -> None:
    labels = np.array([0, -1, 0, 0, 1, 2, -1, 0, 0, 0])
    # Those of the query are not read.
    batch = np.array([4, 9, 4, 8, 8, 4, 7, 4, 8, 4])
    np.testing.assert_array_equal(held_out_parts(labels, batch, 3), [0, -1, 0, 1, 1, 0, -1, 0, 1, 0])
    np.testing.assert_array_equal(held_out_parts(labels, np.full(10, 4), 3), held_out_parts(labels, None, 3))


def test_a_single_cell_is_a_part_of_its_own() -> None:
    np.testing.assert_array_equal(held_out_parts(np.array([0, -1]), None, 3), [0, -1])
