from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.factorisation._dense import InBlocks, csr, expected_counts

from scllmda.factorisation import InMemory, Margins, margins, open_counts


def of(X: np.ndarray, domain: np.ndarray | None = None, **options: np.ndarray) -> Margins:
    return margins(InMemory(csr(X)), domain, **options)


def two_peak_sets(n_shared: int, *, depth: tuple[float, float], seed: int = 0) -> tuple[np.ndarray, ...]:
    """Return counts, domain and measured of two domains with ``n_shared`` of 60 peaks in common."""
    rng = np.random.default_rng(seed)
    domain = np.repeat([0, 1], [50, 30])
    own = (60 - n_shared) // 2
    measured = np.ones((2, 60), dtype=bool)
    measured[1, n_shared : n_shared + own] = False
    measured[0, n_shared + own :] = False
    X = rng.poisson(np.array(depth)[domain][:, None] * rng.gamma(2, 0.5, 60) * measured[domain])
    return X, domain, measured


def assert_margins_fit(X: np.ndarray, found: Margins, rtol: float = 1e-9) -> None:
    X, expected = np.where(found.rate > 0, X, 0), expected_counts(found)
    np.testing.assert_allclose(expected.sum(axis=1), X.sum(axis=1), rtol=rtol)
    np.testing.assert_allclose(expected.sum(axis=0), X.sum(axis=0), rtol=rtol, atol=1e-12)


class TestOneView:
    @given(hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.integers(0, 4)))
    @settings(max_examples=50, deadline=None)
    def test_is_the_outer_product_over_the_total(self, X: np.ndarray) -> None:
        found = of(X)
        total = max(X.sum(), 1)
        np.testing.assert_allclose(expected_counts(found), np.outer(X.sum(axis=1), X.sum(axis=0)) / total, atol=1e-12)
        np.testing.assert_allclose(found.exposure, X.sum(axis=1), rtol=1e-12)
        np.testing.assert_allclose(found.rate, X.sum(axis=0) / total, rtol=1e-12)
        np.testing.assert_array_equal(found.evident, np.flatnonzero(X.sum(axis=0)))
        assert found.expected.shape == (1, X.shape[1])
        assert not found.view.any()

    def test_domains_that_measured_all_peaks_share_it(self) -> None:
        X = np.random.default_rng(0).integers(1, 4, (9, 5))
        plain, divided = of(X), of(X, np.repeat([0, 1, 2], 3), measured=np.ones((3, 5), dtype=bool))
        np.testing.assert_array_equal(plain.expected, divided.expected)
        np.testing.assert_array_equal(plain.exposure, divided.exposure)

    def test_peaks_that_happen_to_be_closed_in_a_few_cells_are_evidence(self) -> None:
        X = np.array([[1, 1, 0, 2], [1, 3, 0, 0], [1, 0, 0, 1], [0, 0, 0, 1]])
        found = of(X, np.array([0, 0, 1, 1]))
        np.testing.assert_array_equal(found.evident, [0, 1, 3])
        np.testing.assert_allclose(expected_counts(found), expected_counts(of(X)))

    def test_peaks_that_should_be_open_in_a_domain_are_no_evidence_nor_depth(self) -> None:
        X, domain = np.full((80, 5), 2), np.repeat([0, 1], 40)
        X[domain == 1, 3] = 0
        # As many as 80 in the other domain, whose cells are as deep.
        found = of(X, domain)
        np.testing.assert_array_equal(found.evident, [0, 1, 2, 4])
        np.testing.assert_array_equal(found.exposure, 8)
        np.testing.assert_allclose(expected_counts(found)[:, found.evident], expected_counts(of(X[:, [0, 1, 2, 4]])))
        # Of half as deep cells there would be less than 50.
        X[domain == 1] //= 2
        np.testing.assert_array_equal(of(X, domain).evident, np.arange(5))

    def test_closed_peaks_of_a_domain_that_misses_most_are_no_evidence(self) -> None:
        X, domain = np.ones((40, 10), dtype=int), np.repeat([0, 1], 20)
        X[domain == 1, 6:] = 0
        np.testing.assert_array_equal(of(X, domain).evident, np.arange(10))
        X[domain == 1, 4:] = 0
        np.testing.assert_array_equal(of(X, domain).evident, np.arange(4))

    def test_nothing_shared_is_no_evidence(self) -> None:
        found = of(np.array([[1, 0], [0, 1]]), np.array([0, 1]))
        assert len(found.evident) == 0
        assert not found.exposure.any()
        assert np.isfinite(found.expected).all()


class TestViews:
    @pytest.mark.parametrize("n_shared", [60, 40, 20])
    @pytest.mark.parametrize("depth", [(0.5, 0.5), (2, 0.3)], ids=["alike", "unlike"])
    def test_both_margins_fit(self, n_shared: int, depth: tuple[float, float]) -> None:
        X, domain, measured = two_peak_sets(n_shared, depth=depth)
        found = of(X, domain, measured=measured)
        assert_margins_fit(X, found, rtol=1e-6)
        assert found.rate.sum() == pytest.approx(1)
        np.testing.assert_array_equal(found.expected[found.view] > 0, (measured & (found.rate > 0))[domain])
        np.testing.assert_allclose(found.expected, (found.expected > 0) * found.rate)

    @pytest.mark.parametrize("totals", [(9, 1), (90, 10), (450, 50)], ids=["few", "some", "many"])
    def test_both_margins_fit_however_few_peaks_are_shared(self, totals: tuple[int, int]) -> None:
        X = np.array([[1000, 0, totals[0]], [0, 1000, totals[1]]])
        found = of(X, np.array([0, 1]), measured=np.array([[True, False, True], [False, True, True]]))
        assert_margins_fit(X, found, rtol=1e-6)

    def test_three_overlapping_peak_sets(self) -> None:
        rng = np.random.default_rng(1)
        domain = np.arange(45) % 3
        measured = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]], dtype=bool).repeat(10, axis=1)
        X = rng.poisson(1.5 * (1 + domain[:, None]) * measured[domain])
        assert_margins_fit(X, of(X, domain, measured=measured), rtol=1e-6)

    def test_no_peak_in_common(self) -> None:
        X, domain, measured = two_peak_sets(0, depth=(0.5, 2))
        found = of(X, domain, measured=measured)
        assert_margins_fit(X, found)
        assert found.rate.sum() == pytest.approx(1)

    def test_exposure_is_what_all_peaks_would_have_given(self) -> None:
        # The second domain sees half of the peaks, which are half of the counts.
        X = np.vstack([np.full((4, 6), 2), np.repeat([[2, 2, 2, 0, 0, 0]], 4, axis=0)])
        measured = np.array([[True] * 6, [True] * 3 + [False] * 3])
        found = of(X, np.repeat([0, 1], 4), measured=measured)
        np.testing.assert_allclose(found.exposure, 12)
        np.testing.assert_allclose(found.rate, 1 / 6)

    def test_a_measured_peak_must_be_open_in_its_own_domains_only(self) -> None:
        X, domain, measured = two_peak_sets(20, depth=(2, 2))
        X += measured[domain]
        X[domain == 1, 3] = 0  # measured by both, closed in one
        found = of(X, domain, measured=measured)
        assert found.rate[3] == 0
        assert not found.expected[:, 3].any()
        assert (np.delete(found.rate, 3) > 0).all()
        assert_margins_fit(X, found, rtol=1e-6)

    def test_a_peak_that_no_domain_measured_is_no_evidence(self) -> None:
        X, domain, measured = two_peak_sets(20, depth=(2, 2))
        measured[:, 5] = False
        found = of(X, domain, measured=measured)
        assert found.rate[5] == 0
        assert_margins_fit(X, found, rtol=1e-6)

    def test_empty_cells_and_domains(self) -> None:
        X, domain, measured = two_peak_sets(20, depth=(2, 2))
        X[0] = 0
        found = of(X, domain, measured=measured)
        assert found.exposure[0] == 0
        assert_margins_fit(X, found, rtol=1e-6)


class TestBatches:
    def test_each_batch_has_its_own_outer_product(self) -> None:
        rng = np.random.default_rng(2)
        X, batch = rng.poisson(1, (30, 8)), np.arange(30) % 3
        found = of(X, batch=batch)
        np.testing.assert_array_equal(found.view, batch)
        for b in range(3):
            mine = X[batch == b]
            outer = np.outer(mine.sum(axis=1), mine.sum(axis=0)) / mine.sum()
            np.testing.assert_allclose(expected_counts(found)[batch == b], outer)
        np.testing.assert_allclose(found.rate, X.sum(axis=0) / X.sum())

    def test_peaks_closed_in_a_batch_are_evidence_in_the_others(self) -> None:
        X, batch = np.array([[2, 1], [1, 1], [3, 0]]), np.array([0, 0, 1])
        found = of(X, batch=batch)
        np.testing.assert_array_equal(found.evident, [0, 1])
        np.testing.assert_allclose(found.expected, [[0.6, 0.4], [1, 0]])
        np.testing.assert_allclose(expected_counts(found)[2], [3, 0])

    def test_within_domains(self) -> None:
        rng = np.random.default_rng(3)
        X, domain, batch = rng.poisson(2, (24, 6)), np.repeat([0, 1], 12), np.arange(24) % 2
        X[:, 4] = np.where(domain == 1, 0, 9)
        found = of(X, domain, batch=batch)
        assert found.rate[4] == 0
        assert not found.expected[:, 4].any()
        np.testing.assert_array_equal(found.exposure, np.delete(X, 4, axis=1).sum(axis=1))
        assert_margins_fit(X, found)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_blocks_of_any_size_give_the_same(size: int) -> None:
    X, domain, measured = two_peak_sets(20, depth=(2, 0.3))
    X[domain == 1, 2] = 0
    whole = of(X, domain, measured=measured)
    found = margins(InBlocks(csr(X), size), domain, measured=measured)
    for name in ("exposure", "rate", "view", "expected"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("size", [1, 4, 100])
def test_open_counts(size: int) -> None:
    X, codes = np.random.default_rng(4).poisson(1, (11, 5)), np.arange(11) % 3
    per_group, depth = open_counts(InBlocks(csr(X), size), codes)
    np.testing.assert_array_equal(per_group, [X[codes == g].sum(axis=0) for g in range(3)])
    np.testing.assert_array_equal(depth, X.sum(axis=1))


def test_depth_is_exact_beyond_single_precision() -> None:
    X = sp.csr_matrix(np.array([[2**24, 1, 1]], dtype=np.float32))
    np.testing.assert_array_equal(open_counts(InMemory(X), np.zeros(1, dtype=int))[1], [2**24 + 2])
