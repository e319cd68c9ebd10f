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
    means = shrinkage.scores(pull, shrinkage.variance(exposure)) @ shrinkage.axes.T
    exact = np.array([C @ p for C, p in zip(covariances, pull, strict=True)])
    np.testing.assert_allclose(means, exact, atol=1e-9 * max(np.abs(exact).max(), 1))
    total = shrinkage.covariance(shrinkage.summed_variance(exposure, weights))
    np.testing.assert_allclose(total, np.einsum("n,nkl->kl", weights, covariances), atol=1e-9)
    np.testing.assert_allclose(shrinkage.covariance(shrinkage.variance(exposure[[4]])[0]), S, atol=1e-9)


def test_null_space_of_the_prior_stays_at_its_mean(rng: np.random.Generator) -> None:
    S = semidefinite(4, 2, rng)
    null = np.linalg.svd(S)[0][:, 2:]
    shrinkage = Shrinkage(semidefinite(4, 4, rng), S)
    means = shrinkage.scores(rng.standard_normal((10, 4)), shrinkage.variance(np.ones(10))) @ shrinkage.axes.T
    assert np.abs(means).max() > 0.01
    np.testing.assert_allclose(means @ null, 0, atol=1e-5)


def test_negative_rounding_errors_are_none(rng: np.random.Generator) -> None:
    S = np.diag([1, 1, -1e-17])
    shrinkage = Shrinkage(np.diag([1, -1e-17, 1]), S)
    means = shrinkage.scores(np.ones((1, 3)), shrinkage.variance(np.full(1, 1e17))) @ shrinkage.axes.T
    np.testing.assert_allclose(means, [[0, 1, 0]], atol=1e-12)


def test_the_prior_with_most_evidence_is_found(rng: np.random.Generator) -> None:
    """From any start, by steps on effects that were drawn from a known prior and seen through noise."""
    G, S = semidefinite(3, 3, rng), semidefinite(3, 3, rng)
    exposure = rng.gamma(1, 2, 20_000) + 0.1
    effects = rng.multivariate_normal(np.zeros(3), S, len(exposure))
    noise = rng.multivariate_normal(np.zeros(3), G, len(exposure))
    pull = exposure[:, None] * (effects @ G) + np.sqrt(exposure)[:, None] * noise
    prior = np.eye(3)
    for _ in range(200):
        shrinkage = Shrinkage(G, prior)
        variance = shrinkage.variance(exposure)
        scores = shrinkage.scores(pull, variance)
        determined = shrinkage.determined(variance.sum(axis=0), len(exposure))
        prior = shrinkage.prior(shrinkage.squares(scores.T @ scores), determined)
    np.testing.assert_allclose(prior, S, atol=0.05 * np.abs(S).max())
    # Where it no longer moves, it is the mean posterior second moment.
    effects = scores @ shrinkage.axes.T
    moment = effects.T @ effects + shrinkage.covariance(variance.sum(axis=0))
    np.testing.assert_allclose(prior, moment / len(exposure), rtol=1e-4)


def test_no_rows(rng: np.random.Generator) -> None:
    shrinkage = Shrinkage(semidefinite(3, 3, rng), np.eye(3))
    assert shrinkage.scores(np.zeros((0, 3)), shrinkage.variance(np.zeros(0))).shape == (0, 3)
    summed = shrinkage.summed_variance(np.zeros(0), np.zeros(0))
    np.testing.assert_array_equal(shrinkage.covariance(summed), np.zeros((3, 3)))
