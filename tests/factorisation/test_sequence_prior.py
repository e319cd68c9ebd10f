from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from scllmda.factorisation import tells_peaks_apart
from scllmda.factorisation._sequence_prior import N_FOLDS, RIDGE_GRID, SequencePriorFitter

N_PEAKS, N_DIMS = 150, 7


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def embeddings(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((N_PEAKS, N_DIMS)) * rng.uniform(0.1, 10, N_DIMS) + 3


@pytest.fixture
def weights(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(1, 40, N_PEAKS).astype(float)


@pytest.fixture
def loadings(embeddings: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One dimension that sequence predicts, one with much noise, one that is noise."""
    standardized = (embeddings - embeddings.mean(axis=0)) / embeddings.std(axis=0)
    signal = standardized @ rng.standard_normal((N_DIMS, 3))
    return signal * [1, 1, 0] + rng.standard_normal(signal.shape) * [0.05, 3, 1]


def by_sklearn(
    embeddings: np.ndarray, weights: np.ndarray, loadings: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, held-out predictions and R² of ridge regressions, each fitted from scratch."""
    Z = (embeddings - embeddings.mean(axis=0)) / embeddings.std(axis=0)
    w = weights / weights.mean()
    rank = np.argsort(np.argsort(Z @ rng.standard_normal(Z.shape[1])))
    fold = rank % N_FOLDS
    strengths = RIDGE_GRID * np.einsum("p,pd->", w, Z**2) / Z.shape[1]
    coefficients, held_out, r2 = [], [], []
    for target in loadings.T:
        predictions = np.zeros((len(strengths), len(Z)))
        for i, strength in enumerate(strengths):
            for f in range(N_FOLDS):
                model = Ridge(alpha=strength, fit_intercept=False).fit(Z[fold != f], target[fold != f], w[fold != f])
                predictions[i, fold == f] = model.predict(Z[fold == f])
        share = 1 - (w * (predictions - target) ** 2).sum(axis=1) / (w @ target**2)
        best = share.argmax()
        used = share[best] > 0
        coefficients.append(Ridge(alpha=strengths[best], fit_intercept=False).fit(Z, target, w).coef_ * used)
        held_out.append(predictions[best] * used)
        r2.append(max(share[best], 0))
    return np.transpose(coefficients), np.transpose(held_out), np.array(r2)


def test_equals_ridge_regressions_fitted_on_the_other_folds(
    embeddings: np.ndarray, weights: np.ndarray, loadings: np.ndarray
) -> None:
    prior, held_out = SequencePriorFitter(embeddings, weights, np.random.default_rng(1))(loadings)
    coefficients, predictions, r2 = by_sklearn(embeddings, weights, loadings, np.random.default_rng(1))
    np.testing.assert_allclose(prior.weights, coefficients, atol=1e-4)
    np.testing.assert_allclose(held_out, predictions, atol=1e-3)
    null = weights @ loadings**2
    assert prior.held_out_r2 == pytest.approx((null * r2).sum() / null.sum(), abs=1e-4)
    assert r2[0] > 0.95
    assert 0 < r2[1] < 0.8
    assert r2[2] < 0.05


def test_a_peak_has_no_say_in_its_own_held_out_prediction(
    embeddings: np.ndarray, weights: np.ndarray, loadings: np.ndarray
) -> None:
    fitter = SequencePriorFitter(embeddings, weights, np.random.default_rng(1))
    changed = loadings.copy()
    changed[10] += 0.1
    before, after = fitter(loadings), fitter(changed)
    np.testing.assert_allclose(before[1][10], after[1][10], rtol=1e-5)
    assert before[0](embeddings)[10, 0] != after[0](embeddings)[10, 0]


def test_dimensions_that_sequence_does_not_predict_get_no_weights(embeddings: np.ndarray, weights: np.ndarray) -> None:
    noise = np.random.default_rng(9).standard_normal((N_PEAKS, 30))
    prior, held_out = SequencePriorFitter(embeddings, weights, np.random.default_rng(1))(noise)
    unused = ~prior.weights.any(axis=0)
    assert 3 < unused.sum() < 30
    np.testing.assert_array_equal(held_out.any(axis=0), ~unused)
    assert 0 <= prior.held_out_r2 < 0.05
    w = weights / weights.mean()
    assert (w @ (held_out - noise) ** 2 <= w @ noise**2 * (1 + 1e-6)).all()


def test_peaks_without_sequence_or_counts(embeddings: np.ndarray, weights: np.ndarray, loadings: np.ndarray) -> None:
    embeddings[3], weights[5] = np.nan, 0
    loadings[[3, 5]] = 1e6
    prior, held_out = SequencePriorFitter(embeddings, weights, np.random.default_rng(1))(loadings)
    kept = np.delete(np.arange(N_PEAKS), [3, 5])
    alone, _ = SequencePriorFitter(embeddings[kept], weights[kept], np.random.default_rng(1))(loadings[kept])
    np.testing.assert_allclose(prior.weights, alone.weights, atol=1e-5)
    assert not held_out[[3, 5]].any()
    assert prior(embeddings)[5].any()
    assert not prior(np.full((2, N_DIMS), np.nan)).any()


def test_units_of_the_embedding_do_not_matter(
    embeddings: np.ndarray, weights: np.ndarray, loadings: np.ndarray
) -> None:
    scaled = embeddings * np.arange(1, N_DIMS + 1) - 4
    first = SequencePriorFitter(embeddings, weights, np.random.default_rng(1))(loadings)
    second = SequencePriorFitter(scaled, weights, np.random.default_rng(1))(loadings)
    np.testing.assert_allclose(first[1], second[1], atol=1e-3)
    np.testing.assert_allclose(first[0](embeddings), second[0](scaled), atol=1e-3)


def test_rotated_loadings_have_the_rotated_prior(
    embeddings: np.ndarray, weights: np.ndarray, loadings: np.ndarray
) -> None:
    prior, _ = SequencePriorFitter(embeddings, weights, np.random.default_rng(1))(loadings)
    rotation = np.linalg.qr(np.random.default_rng(2).standard_normal((3, 3)))[0]
    np.testing.assert_allclose(prior.rotate(rotation)(embeddings), prior(embeddings) @ rotation, atol=1e-5)


def test_order_of_peaks_does_not_matter(embeddings: np.ndarray, weights: np.ndarray, loadings: np.ndarray) -> None:
    order = np.random.default_rng(3).permutation(N_PEAKS)
    prior, held_out = SequencePriorFitter(embeddings, weights, np.random.default_rng(1))(loadings)
    fitter = SequencePriorFitter(embeddings[order], weights[order], np.random.default_rng(1))
    permuted, of_permuted = fitter(loadings[order])
    np.testing.assert_allclose(permuted.weights, prior.weights, atol=1e-4)
    np.testing.assert_allclose(of_permuted, held_out[order], atol=1e-3)


def test_tells_peaks_apart() -> None:
    assert tells_peaks_apart(np.array([[1, 2], [1, 3], [np.nan, 0]]))
    assert not tells_peaks_apart(np.array([[1, 2], [1, 2], [np.nan, 0]]))
    assert not tells_peaks_apart(np.array([[1, 2]]))
    assert not tells_peaks_apart(np.full((3, 2), np.nan))
    assert not tells_peaks_apart(np.zeros((0, 2)))
    assert not tells_peaks_apart(np.zeros((3, 0)))


@pytest.mark.parametrize("n_known", [1, 2, 4])
def test_fewer_peaks_than_folds(n_known: int) -> None:
    rng = np.random.default_rng(4)
    embeddings = rng.standard_normal((6, 3))
    embeddings[n_known:] = np.nan
    prior, held_out = SequencePriorFitter(embeddings, np.ones(6), rng)(rng.standard_normal((6, 2)))
    assert np.isfinite(prior.weights).all()
    assert not held_out[n_known:].any()
