from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import scipy.sparse as sp

from scllmda.factorisation import _blocks as blocks
from scllmda.factorisation._blocks import ByPeak


class Read:
    """Counts in three blocks, which note how often they are read."""

    def __init__(self) -> None:
        self.X = sp.random(30, 20, 0.2, format="csr", dtype=np.float32, random_state=0)
        self.n_passes = 0

    @property
    def shape(self) -> tuple[int, int]:
        return self.X.shape

    def __iter__(self) -> Iterator[sp.csr_matrix]:
        self.n_passes += 1
        for first in (0, 10, 20):
            yield self.X[first : first + 10]


@pytest.mark.parametrize("most", [10**6, 0], ids=["kept", "too many to keep"])
def test_by_peak_holds_the_same_counts_on_every_pass(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MOST_KEPT", most)
    read = Read()
    by_peak = ByPeak(read)
    next(iter(by_peak))  # a pass that is not gone through to its end leaves nothing behind
    for _ in range(3):
        passed = list(by_peak)
        assert [block.format for block in passed] == ["csc"] * 3
        np.testing.assert_array_equal(sp.vstack(passed).toarray(), read.X.toarray())
    assert by_peak.shape == read.shape
    assert read.n_passes == (2 if most else 4)
