from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from scllmda.methods._mixture import fit_mixture, mix


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, 300)


def posteriors(labels: np.ndarray, strength: float, seed: int) -> np.ndarray:
    """Return log posteriors that know the labels to some degree."""
    noise = np.random.default_rng(seed).standard_normal((len(labels), 4))
    return log_softmax(strength * np.eye(4)[labels] + noise, axis=1)


def log_loss(log_proba: np.ndarray, labels: np.ndarray) -> float:
    return float(-log_proba[np.arange(len(labels)), labels].mean())


def test_weights_are_those_of_least_log_loss(labels: np.ndarray) -> None:
    members = {name: posteriors(labels, s, i) for i, (name, s) in enumerate([("a", 0.8), ("b", 0.7), ("c", 0.4)])}
    weights = fit_mixture(members, labels, worth=0.0)
    logs = np.stack(list(members.values()))
    found = minimize(
        lambda w: log_loss(log_softmax(np.tensordot(np.clip(w, 0, 1), logs, 1), axis=1), labels),
        np.full(3, 0.5),
        method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-10, "maxiter": 4000},
    )
    np.testing.assert_allclose(list(weights.values()), np.clip(found.x, 0, 1), atol=1e-3)


def test_mixture_is_a_weighted_product(labels: np.ndarray) -> None:
    members = {"a": posteriors(labels, 1, 0), "b": posteriors(labels, 1, 1)}
    expected = np.exp(members["a"]) ** 0.3 * np.exp(members["b"]) ** 0.9
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(mix(members, {"a": 0.3, "b": 0.9}), expected)


@pytest.mark.parametrize("worth", [0.02, 0.08, 0.3])
def test_others_take_part_if_the_second_is_worth_it(labels: np.ndarray, worth: float) -> None:
    members = {"a": posteriors(labels, 1.0, 0), "b": posteriors(labels, 0.9, 1), "c": posteriors(labels, 2.0, 2)}
    alone, both = (fit_mixture({n: members[n] for n in names}, labels, worth=0.0) for names in ("a", "ab"))
    assert alone == {"a": 1.0}
    # Even one member is compared at its best weight: a temperature is fitted afterwards.
    at_best = min(log_loss(log_softmax(w * members["a"], axis=1), labels) for w in np.linspace(0, 1, 1001))
    gain = 1 - log_loss(np.log(mix({n: members[n] for n in "ab"}, both)), labels) / at_best
    found = fit_mixture(members, labels, worth=worth)
    assert set(found) == (set("abc") if gain > worth else {"a"})


def test_what_tells_nothing_gets_no_weight(labels: np.ndarray) -> None:
    members = {"a": posteriors(labels, 0.2, 0), "b": posteriors(labels, 3.0, 1), "c": np.full((300, 4), np.log(0.25))}
    weights = fit_mixture(members, labels, worth=0.08)
    assert weights["b"] > 0.8
    without = fit_mixture({n: members[n] for n in "ab"}, labels, worth=0.08)
    assert weights["b"] == pytest.approx(without["b"], abs=1e-3)
