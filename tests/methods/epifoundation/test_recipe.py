"""Constants, and the learning rate that follows from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scllmda.methods import make_recipe
from scllmda.methods.epifoundation import EpiFoundationRecipe

# Wu et al. 2025, bioRxiv 2025.02.05.636688, section 4.1 and table 5.
PUBLISHED = {
    "n_layers": 6,
    "n_heads": 8,
    "n_dims": 512,
    "dropout": 0.15,
    "max_peaks": 12_000,
    "n_genes": 8_000,
    "batch_size": 8,
    "accumulate": 20,
    "lr": 1e-4,
    "pretrain_epochs": 140,
    "n_bins": 10,
}


def test_constants_are_those_published() -> None:
    found = EpiFoundationRecipe()
    assert {name: getattr(found, name) for name in PUBLISHED} == PUBLISHED


def test_a_preset_sets_what_is_not_set() -> None:
    found = make_recipe("epifoundation", {"preset": "small", "n_layers": 3})
    assert (found.n_layers, found.n_dims, found.max_peaks) == (3, 64, 12_000)


def test_learning_rate_rises_then_falls_as_a_cosine() -> None:
    found = EpiFoundationRecipe(warmup=0.1)
    factors = np.array([found.factor(step, 100) for step in range(100)])
    np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 11)
    np.testing.assert_allclose(factors[10:], (1 + np.cos(np.pi * np.arange(90) / 90)) / 2)
    assert [EpiFoundationRecipe(warmup=0.0).factor(step, 1) for step in range(2)] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        ({"preset": "large"}, r"Unknown preset='large'; expected one of \['published', 'small'\]"),
        ({"precision": "int8"}, "Unknown precision='int8'"),
        ({"n_heads": 5}, "n_dims=512 and n_heads=5; expected heads that divide"),
        ({"n_bins": 1}, "n_bins=1; expected two levels"),
    ],
)
def test_refused(overrides: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make_recipe("epifoundation", overrides)
