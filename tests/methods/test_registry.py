from __future__ import annotations

from dataclasses import FrozenInstanceError, is_dataclass

import pytest

from scllmda.methods import METHODS, RobustRecipe, get, make_recipe, table
from scllmda.methods.scllmda import ScllmdaRecipe

# Liu et al. 2026, PLoS Comput Biol 22(4):e1014226.
PUBLISHED = [
    ("cells", "network", "paper, first stage"),
    ("cell_hidden", (512, 256, 128), "paper, first stage"),
    ("cell_dropout", 0.3, "released code"),
    ("cell_lr", 1e-3, "paper, first stage"),
    ("cell_batch_size", 1024, "released code"),
    ("cell_epochs", 400, "paper, first stage"),
    ("min_open", 0.01, "released code"),
    ("n_hidden", 100, "paper, GCN architecture 100-16"),
    ("n_out", 16, "paper, GCN architecture 100-16"),
    ("n_discriminator", 40, "released code"),
    ("dropout", 0.1, "released code"),
    ("lr", 3e-3, "paper, second stage"),
    ("domain_weight", 1.0, "paper, λ recommended between 0.9 and 1.1"),
    ("max_rate", 0.05, "released code, min((epoch + 1) / 200, 0.05)"),
    ("rate_epochs", 200, "released code, min((epoch + 1) / 200, 0.05)"),
    ("n_epochs", 55, "paper, for MosP1, MosA1 and MosM1"),
]


@pytest.mark.parametrize(("name", "value", "source"), PUBLISHED, ids=[row[0] for row in PUBLISHED])
def test_constants_of_scllmda_are_those_published(name: str, value: float, source: str) -> None:
    assert getattr(ScllmdaRecipe(), name) == value, source


def test_no_constant_of_scllmda_is_without_a_source() -> None:
    assert sorted(ScllmdaRecipe.__dataclass_fields__) == sorted(name for name, _, _ in PUBLISHED)


def test_constants_of_robust() -> None:
    assert RobustRecipe() == RobustRecipe(n_dims=64, C=1.0, balance=0.4, restart=0.45, rare=0.2, alone=0.1, n_folds=3)


def test_unknown_method_is_told_the_known_and_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"Unknown method 'scllmad'.*'robust', 'scllmda'.*Did you mean 'scllmda'"):
        get("scllmad")
    with pytest.raises(ValueError, match=r"expected one of \[.*\]\.$"):
        get("zzz")


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_has_frozen_constants_and_a_citation(name: str) -> None:
    method = get(name)
    assert method is METHODS[name]
    assert method.description
    assert method.citation
    assert is_dataclass(method.recipe)
    recipe = make_recipe(name, None)
    assert recipe == method.recipe()
    field = next(iter(method.recipe.__dataclass_fields__))
    with pytest.raises(FrozenInstanceError):
        setattr(recipe, field, 0)


def test_make_recipe_replaces_what_is_named() -> None:
    assert make_recipe("scllmda", {"n_epochs": 7}) == ScllmdaRecipe(n_epochs=7)
    assert make_recipe("robust", {}) == RobustRecipe()


def test_make_recipe_refuses_what_the_method_does_not_have() -> None:
    with pytest.raises(ValueError, match=r"method='robust' has no \['epochs', 'n_epochs'\] in its recipe; .*'n_dims'"):
        make_recipe("robust", {"n_epochs": 7, "epochs": 7, "C": 2})
    with pytest.raises(ValueError, match="Unknown method"):
        make_recipe("nothing", {})


def test_table_has_a_row_per_method() -> None:
    methods = table()
    assert list(methods.index) == list(METHODS)
    assert methods.index.name == "method"
    assert list(methods.columns) == ["description", "reads", "citation", "recipe"]
    for name, value, _ in PUBLISHED:
        assert f"{name}={value}" in methods.loc["scllmda", "recipe"]
