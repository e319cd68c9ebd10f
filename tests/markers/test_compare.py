"""Scores, p-values and fold changes against dense and exact computations, one label and peak at a time."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats
from scipy.stats import false_discovery_control, hypergeom
from statsmodels.stats.contingency_tables import StratifiedTable

from scllmda.markers import Comparison, OpenCells, compare, count_open_cells, depth_strata


@pytest.fixture(scope="module")
def cells() -> tuple[sp.csr_matrix, np.ndarray, np.ndarray]:
    """Return counts of cells of four labels, some without, in five strata."""
    rng = np.random.default_rng(0)
    n = 400
    group = rng.choice([-1, 0, 1, 2, 3], n, p=[0.05, 0.05, 0.3, 0.4, 0.2])
    depth = rng.lognormal(0, 0.5, n) * (1 + 0.3 * group)
    rates = np.outer(np.maximum(depth, 0.2), rng.uniform(0.005, 0.4, 60))
    rates[group == 1, :3] *= 3
    X = rng.poisson(rates)
    X[:, 59] = 0
    return sp.csr_matrix(X, dtype=np.float32), group, rng.integers(0, 5, n)


@pytest.fixture(scope="module")
def sums(cells: tuple[sp.csr_matrix, np.ndarray, np.ndarray]) -> OpenCells:
    X, group, stratum = cells
    return count_open_cells([X[:150], X[150:151], X[151:]], group, stratum, X.shape[1])


@pytest.fixture(scope="module")
def found(sums: OpenCells) -> Comparison:
    return compare(sums)


def tables(X: sp.csr_matrix, group: np.ndarray, stratum: np.ndarray, g: int, peak: int) -> np.ndarray:
    """Return (n_strata, 2, 2) cells of the label and others, open and closed."""
    is_open, known = X[:, [peak]].toarray().ravel() > 0, group >= 0
    return np.array(
        [
            [[(((group == g) == m) & known & (stratum == s) & (is_open == o)).sum() for o in (1, 0)] for m in (1, 0)]
            for s in range(5)
        ]
    )


@pytest.mark.parametrize(("g", "peak"), [(0, 5), (1, 0), (2, 7), (3, 30), (1, 44)])
def test_score_is_that_of_cochran_mantel_and_haenszel(cells: tuple, found: Comparison, g: int, peak: int) -> None:
    expected = StratifiedTable(list(tables(*cells, g, peak))).test_null_odds(correction=False)
    assert found.score[peak, g] ** 2 == pytest.approx(expected.statistic, rel=1e-5)


@pytest.mark.parametrize("g", range(4))
def test_pvalues_are_those_of_the_exact_test(cells: tuple, found: Comparison, g: int) -> None:
    for peak in range(0, 59, 4):
        of_strata = tables(*cells, g, peak)
        exact = np.ones(1)
        for t in of_strata:
            # The sum over strata has the convolution of their distributions.
            exact = np.convolve(exact, hypergeom(t.sum(), t[:, 0].sum(), t[0].sum()).pmf(np.arange(t[0].sum() + 1)))
        a = of_strata[:, 0, 0].sum()
        expected = min(1, 2 * min(exact[a:].sum(), exact[: a + 1].sum()))
        # Of two tails the one with fewer cells than the mean is taken, which near the mean is not always the smaller.
        if expected < 0.5:
            assert np.log(found.pvalue[peak, g]) == pytest.approx(np.log(expected), rel=0.03)


@pytest.mark.parametrize(
    ("N", "m", "n"), [(1000, 30, 20), (1000, 100, 100), (1000, 500, 500), (14_000, 50, 96), (14_000, 4000, 3000)]
)
def test_tails_are_exact_where_the_normal_approximation_is_not(N: int, m: int, n: int) -> None:
    exact = hypergeom(N, m, n)
    some = np.arange(max(0, int(exact.mean() - 6 * exact.std())), int(exact.mean() + 8 * exact.std()))
    p = exact.sf(some - 1)
    some, p = some[(p > 1e-7) & (p < 0.25)], p[(p > 1e-7) & (p < 0.25)]
    assert len(some) > 2
    mine = np.array([some, m - some], dtype=float)
    cells = np.array([[n], [N - n]])
    sums = OpenCells(cells, mine, mine * np.array([[n / (N - n)], [(N - n) / n]]), np.full((1, len(some)), float(m)))
    found = compare(sums)
    np.testing.assert_allclose(np.log(found.pvalue[:, 0]), np.log(2 * p), rtol=0.02)
    # Of two labels, one has what the other lacks.
    np.testing.assert_allclose(found.pvalue[:, 1], found.pvalue[:, 0], rtol=1e-6)
    np.testing.assert_allclose(found.log2fc[:, 1], -found.log2fc[:, 0], rtol=1e-5)
    np.testing.assert_allclose(found.score[:, 1], -found.score[:, 0], rtol=1e-5)


def test_shares_and_fold_changes(cells: tuple, found: Comparison) -> None:
    X, group, stratum = cells
    is_open = X.toarray() > 0
    for g in range(4):
        n_g = (group == g).sum()
        np.testing.assert_allclose(found.fraction[:, g], is_open[group == g].mean(axis=0), rtol=1e-6)
        expected, n_others = np.zeros(60), 0
        for s in range(5):
            mine, others = (group == g) & (stratum == s), (group != g) & (group >= 0) & (stratum == s)
            expected += is_open[others].mean(axis=0) * mine.sum()
            n_others += others.sum()
        np.testing.assert_allclose(found.background[:, g], expected / n_g, rtol=1e-5)
        half = 0.5 / min(n_g, n_others)
        fold = (is_open[group == g].mean(axis=0) + half) / (expected / n_g + half)
        np.testing.assert_allclose(found.log2fc[:, g], np.log2(fold), rtol=1e-4, atol=1e-6)


def test_fdrs(found: Comparison) -> None:
    within = np.stack([false_discovery_control(found.pvalue[:, g]) for g in range(4)], axis=1)
    n = len(found.pvalue)
    best = (np.sort(found.pvalue, axis=0) * n / np.arange(1, n + 1)[:, None]).min(axis=0) * (
        1 / np.arange(1, n + 1)
    ).sum()
    of_groups = false_discovery_control(np.minimum(best, 1))
    np.testing.assert_allclose(found.fdr, np.maximum(within, of_groups))


def test_a_peak_that_is_closed_everywhere(found: Comparison) -> None:
    assert found.pvalue[59].tolist() == [1] * 4
    for name in ("log2fc", "fraction", "background", "score"):
        assert getattr(found, name)[59].tolist() == [0] * 4


def test_peaks_in_pieces(sums: OpenCells, found: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scllmda.markers._compare._PEAKS_AT_ONCE", 7)
    np.testing.assert_array_equal(compare(sums).pvalue, found.pvalue)
    np.testing.assert_array_equal(compare(sums).log2fc, found.log2fc)


def test_cells_alone_at_their_depth_are_not_compared() -> None:
    """In the first stratum all cells are of one label: the peaks open there say nothing of labels."""
    group, stratum = np.repeat([0, 0, 1], [20, 10, 10]), np.repeat([0, 1], [20, 20])
    X = np.zeros((40, 2), dtype=np.float32)
    X[:20, 0] = 1
    X[20:25, 1] = 1
    found = compare(count_open_cells([sp.csr_matrix(X)], group, stratum, 2))
    assert found.pvalue[0].tolist() == [1, 1]
    assert found.log2fc[0].tolist() == [0, 0]
    assert found.fraction[0].tolist() == pytest.approx([2 / 3, 0])
    expected = stats.fisher_exact([[5, 5], [0, 10]], alternative="greater").pvalue
    # As few cells as here are beyond what the binomial reaches; there, p is an upper bound.
    assert 2 * expected <= found.pvalue[1, 0] == pytest.approx(2 * 0.5**5)


class TestStrata:
    def test_as_many_cells_in_each(self) -> None:
        depth = np.random.default_rng(0).permutation(1000)
        strata = depth_strata(depth)
        assert np.bincount(strata).tolist() == [100] * 10
        assert (np.diff(strata[np.argsort(depth)]) >= 0).all()
        assert np.bincount(depth_strata(np.arange(10_000))).tolist() == [200] * 50

    def test_cells_of_a_depth_are_together(self) -> None:
        depth = np.random.default_rng(0).integers(0, 5, 1000)
        strata = depth_strata(depth)
        assert len({*zip(depth, strata, strict=True)}) == len(set(depth))
        assert set(strata) == set(range(strata.max() + 1))

    def test_batches_are_apart(self) -> None:
        batch = np.repeat([3, 7, 8], [500, 300, 20])
        strata = depth_strata(np.arange(820) % 500, batch)
        assert [len(set(strata[batch == b])) for b in (3, 7, 8)] == [5, 3, 1]
        assert strata.max() == 8
