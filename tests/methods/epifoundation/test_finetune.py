"""Training on labels and on expression, and predictions that no batch changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from tests.methods.epifoundation._cells import cells, encoder, recipe

from scllmda.methods.epifoundation._cells import PeakCells
from scllmda.methods.epifoundation._finetune import (
    Bins,
    embed,
    predict_labels,
    predict_levels,
    train_classifier,
    train_predictor,
)
from scllmda.methods.epifoundation._network import CellClassifier, ExpressionPredictor


def classifier(data: PeakCells, settings: Any) -> CellClassifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CellClassifier(encoder(data, settings), 3)


def test_learns_types() -> None:
    data, labels = cells()
    settings = recipe(n_epochs=12)
    network = classifier(data, settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        history = train_classifier(network, data, labels, settings, rng=np.random.default_rng(0), device="cpu")
    proba, states = predict_labels(network, data, 16, "cpu")
    assert (proba.argmax(axis=1) == labels).mean() > 0.9
    assert states.shape == (90, 16)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
    assert history["loss"][-1] < history["loss"][0]
    assert len(history["held_out_accuracy"]) == len(history["loss"])


@pytest.mark.parametrize("max_peaks", [12_000, 6])
def test_predictions_do_not_depend_on_the_batch(max_peaks: int) -> None:
    data, _ = cells(max_peaks=max_peaks)
    network = classifier(data, recipe(dropout=0.5))
    whole = predict_labels(network, data, 90, "cpu")
    for size in (1, 7, 64):
        for one, expected in zip(predict_labels(network, data, size, "cpu"), whole, strict=True):
            np.testing.assert_allclose(one, expected, atol=1e-5)
    order = np.random.default_rng(0).permutation(90)
    mixed = predict_labels(network, data.take(order), 16, "cpu")[0]
    np.testing.assert_allclose(mixed, whole[0][order], atol=1e-5)
    np.testing.assert_allclose(embed(network.encoder, data, 32, "cpu"), whole[1], atol=1e-5)


def test_levels_of_expression() -> None:
    values = np.zeros((3, 4), dtype=np.float32)
    values[0], values[1, 0] = [1, 2, 3, 4], 5
    X = sp.csr_matrix(values)
    bins = Bins.of(X, 4)
    # Thirds of what is expressed begin at 7/3 and 11/3.
    np.testing.assert_allclose(bins.edges, [7 / 3, 11 / 3])
    np.testing.assert_array_equal(bins.levels(X), [[1, 1, 2, 3], [3, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(bins.mean_levels(X), bins.levels(X).mean(axis=0))
    found = bins.expression(bins.levels(X))
    np.testing.assert_allclose(found.mean(axis=0), values.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found[:, 0], [6 / 4, 3 * 6 / 4, 0])


def test_levels_where_there_is_one_value_or_none() -> None:
    X = sp.csr_matrix(np.array([[2.0, 0.0], [2.0, 0.0]], dtype=np.float32))
    bins = Bins.of(X, 10)
    assert set(np.unique(bins.levels(X))) == {0, bins.levels(X).max()}
    np.testing.assert_allclose(bins.expression(bins.levels(X)), X.toarray())
    nothing = sp.csr_matrix((2, 2), dtype=np.float32)
    assert not Bins.of(nothing, 10).expression(np.ones((2, 2))).any()


def test_learns_expression() -> None:
    data, labels = cells()
    rates = np.where(np.arange(12) % 3 == labels[:, None], 6.0, 0.2)
    values = sp.csr_matrix(np.log1p(np.random.default_rng(0).poisson(rates)).astype(np.float32))
    bins, settings = Bins.of(values, 10), recipe(n_epochs=25, lr=0.01, batch_size=8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ExpressionPredictor(encoder(data, settings), 12)
        history = train_predictor(
            network,
            data,
            lambda some: bins.levels(values[some]),
            settings,
            rng=np.random.default_rng(0),
            device="cpu",
        )
    assert history["held_out_error"][-1] < 0.8 * history["held_out_error"][0]
    assert history["best_epoch"] == 1 + int(np.argmin(history["held_out_error"]))
    levels = predict_levels(network, data, 16, "cpu")
    own = np.arange(12) % 3 == labels[:, None]
    assert levels[own].mean() > 2 * levels[~own].mean()
    np.testing.assert_allclose(predict_levels(network, data, 7, "cpu"), levels, atol=1e-4)
