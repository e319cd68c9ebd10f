from __future__ import annotations

import numpy as np
import pytest

from scllmda.factorisation._shrinkage import Shrinkage


def semidefinite(k: int, rank: int, rng: np.random.Generator) -> np.ndarray:
    root = rng.standard_normal((k, rank))
    return root @ root.T


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("rank", [5, 3, 0], ids=["regular", "singular", "zero"])
@pytest.mark.parametrize("evidence", [5, 2, 0], ids=["full", "partial", "none"])
def test_equals_a_linear_system_per_row(rank: int, evidence: int, rng: np.random.Generator) -> None:
    G, S = semidefinite(5, evidence, rng), semidefinite(5, rank, rng)
    pull, exposure, weights = rng.standard_normal((90, 5)), rng.gamma(1, 3, 90), rng.random(90)
    exposure[4] = 0
    # (c G + S⁻¹)⁻¹ = (I + c S G)⁻¹ S, which needs no inverse of S.
    covariances = [np.linalg.solve(np.eye(5) + c * S @ G, S) for c in exposure]
    shrinkage = Shrinkage(G, S)
    means = shrinkage.mean(pull, exposure)
    exact = np.array([C @ p for C, p in zip(covariances, pull, strict=True)])
    # Means are of single precision.
    np.testing.assert_allclose(means, exact, atol=1e-6 * max(np.abs(exact).max(), 1))
    total = shrinkage.covariance(exposure, weights)
    np.testing.assert_allclose(total, np.einsum("n,nkl->kl", weights, covariances), atol=1e-9)
    np.testing.assert_allclose(shrinkage.covariance(exposure[[4]], np.ones(1)), S, atol=1e-9)


def test_null_space_of_the_prior_stays_at_its_mean(rng: np.random.Generator) -> None:
    S = semidefinite(4, 2, rng)
    null = np.linalg.svd(S)[0][:, 2:]
    means = Shrinkage(semidefinite(4, 4, rng), S).mean(rng.standard_normal((10, 4)), np.ones(10))
    assert np.abs(means).max() > 0.01
    np.testing.assert_allclose(means @ null, 0, atol=1e-5)


def test_negative_rounding_errors_are_none(rng: np.random.Generator) -> None:
    S = np.diag([1, 1, -1e-17])
    shrinkage = Shrinkage(np.diag([1, -1e-17, 1]), S)
    np.testing.assert_allclose(shrinkage.mean(np.ones((1, 3)), np.full(1, 1e17)), [[0, 1, 0]], atol=1e-12)


@pytest.mark.parametrize("k", [1, 3, 17, 64, 128])
def test_bits_of_a_row_do_not_depend_on_its_neighbours(k: int, rng: np.random.Generator) -> None:
    shrinkage = Shrinkage(semidefinite(k, k, rng), semidefinite(k, k, rng))
    pull, exposure = rng.standard_normal((150, k)), rng.random(150)
    together = shrinkage.mean(pull, exposure)
    shuffled = rng.permutation(150)
    np.testing.assert_array_equal(shrinkage.mean(pull[shuffled], exposure[shuffled]), together[shuffled])
    for rows in (slice(0, 1), slice(63, 65), slice(1, 150), slice(140, 150)):
        np.testing.assert_array_equal(shrinkage.mean(pull[rows], exposure[rows]), together[rows])


def test_no_rows(rng: np.random.Generator) -> None:
    shrinkage = Shrinkage(semidefinite(3, 3, rng), np.eye(3))
    assert shrinkage.mean(np.zeros((0, 3)), np.zeros(0)).shape == (0, 3)
    np.testing.assert_array_equal(shrinkage.covariance(np.zeros(0), np.zeros(0)), np.zeros((3, 3)))
