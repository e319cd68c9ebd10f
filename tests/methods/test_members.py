"""Each member of the default's mixture, against scikit-learn or sums by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import log_softmax
from sklearn.naive_bayes import MultinomialNB

from scllmda.factorisation import InMemory, evidence, fit, margins
from scllmda.graphs import nearest_graph
from scllmda.methods import _members
from scllmda.methods._members import DomainCells, by_cells_alone, by_pooled_cells, by_profiles

N_CELLS, N_PEAKS = 90, 60


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return np.arange(N_CELLS) % 3


@pytest.fixture(scope="module")
def X(truth: np.ndarray) -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    open_share = rng.uniform(0.02, 0.4, (3, N_PEAKS))
    return sp.csr_matrix(rng.random((N_CELLS, N_PEAKS)) < open_share[truth], dtype=np.float32)


@pytest.fixture(scope="module")
def seen(X: sp.csr_matrix) -> DomainCells:
    counts = InMemory(X)
    fitted = fit(counts, margins(counts), 8, rng=np.random.default_rng(0))
    found = evidence(counts, fitted.decoder, fitted.cells)
    axes = np.eye(found.cells.shape[1])
    return DomainCells(found.cells, found, 5, axes, found.cells, (5, 12))


def part(seen: DomainCells, cells: np.ndarray) -> DomainCells:
    assert seen.evidence is not None
    return DomainCells(seen.alone[cells], seen.evidence.take(cells), 5, seen.axes, seen.around[cells], seen.pool_sizes)


def test_graph_is_the_same_whether_it_is_searched_for_alone_or_with_pools(seen: DomainCells) -> None:
    around = np.random.default_rng(0).normal(size=(N_CELLS, 4)).astype(np.float32)
    alone, with_pools = replace(seen, around=around), replace(seen, around=around)
    pools = with_pools.pools
    assert (alone.graph != with_pools.graph).nnz == 0
    assert [np.unique(np.diff(pool.indptr)).tolist() for pool in pools] == [[5], [12]]
    assert np.unique(np.diff(with_pools.graph.indptr)).tolist() == [5]


def test_a_regression_ends_alike_wherever_it_begins(seen: DomainCells, truth: np.ndarray) -> None:
    """Newton's method goes on to the optimum; of other classes, what was learned before is left aside."""
    first, cells = np.arange(0, 80), np.arange(20, N_CELLS)
    how = {"C": 1.0, "balance": 0.4}
    # Cells of three types that overlap.
    at = (np.random.default_rng(0).normal(size=(N_CELLS, 3)) + np.eye(3)[truth]).astype(np.float32)
    seen = replace(seen, alone=at)
    before = by_cells_alone(part(seen, first), truth[first], 3, **how)
    known = part(seen, cells)
    from_zero, from_there = (by_cells_alone(known, truth[cells], 3, start, **how) for start in (None, before))
    np.testing.assert_allclose(np.exp(from_there(seen)), np.exp(from_zero(seen)), atol=1e-3)
    two = np.minimum(truth[cells], 1)
    of_two = by_cells_alone(known, two, 3, before, **how)
    np.testing.assert_array_equal(of_two(seen), by_cells_alone(known, two, 3, **how)(seen))
    again = by_cells_alone(known, two, 3, of_two, **how)
    np.testing.assert_allclose(np.exp(again(seen)), np.exp(of_two(seen)), atol=1e-3)


def test_pooled_cells_are_sums_with_their_neighbors(seen: DomainCells, X: sp.csr_matrix) -> None:
    assert seen.evidence is not None
    mapper = seen.evidence.mapper
    for found, size in zip(seen.pooled, seen.pool_sizes, strict=True):
        graph = nearest_graph(seen.around, size)
        for cell in (0, 17):
            group = [cell, *graph[cell].indices]
            assert len(group) == size + 1
            pull, exposure = seen.evidence.pull[group].sum(axis=0), seen.evidence.exposure[group].sum()
            expected = mapper.embed(pull[None], np.array([exposure]))[0]
            np.testing.assert_allclose(found[cell], expected, rtol=2e-3, atol=1e-3)
    # But for what a cell pulls its own loadings to, that is the embedding of the summed counts.
    pooled = mapper.evidence(sp.csr_matrix(X + seen.graph @ X))
    whole = mapper.evidence(X)
    np.testing.assert_allclose(pooled[1], whole[1] + seen.graph @ whole[1], rtol=1e-5)
    np.testing.assert_allclose(pooled[0], whole[0] + seen.graph @ whole[0], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("prior_weight", [1.0, 0.6, 0.0])
def test_profiles_are_naive_bayes_on_summed_counts(
    seen: DomainCells, X: sp.csr_matrix, truth: np.ndarray, prior_weight: float
) -> None:
    known, new = np.arange(0, 60), np.arange(60, N_CELLS)
    labels = np.where(np.arange(60) < 50, truth[:60], 0)
    of_new = part(seen, new)
    found = by_profiles(part(seen, known), labels, 3, prior_weight=prior_weight)(of_new)
    share = np.asarray(X[known].sum(axis=0)).ravel() / X[known].sum()
    # As many counts more as there are peaks, in the shares of all.
    model = MultinomialNB(alpha=N_PEAKS * share, force_alpha=True, fit_prior=True)
    model.fit(X[known].toarray(), labels)
    summed = X[new] + of_new.graph @ X[new]
    # scikit-learn's scores differ by what all classes have in common.
    scores = summed @ model.feature_log_prob_.T + prior_weight * model.class_log_prior_
    np.testing.assert_allclose(found, log_softmax(scores, axis=1), atol=1e-4)


def test_pooled_regressions_learn_at_all_resolutions(seen: DomainCells, truth: np.ndarray) -> None:
    known, new = part(seen, np.arange(0, 60)), part(seen, np.arange(60, N_CELLS))
    labels = truth[:60]
    found = by_pooled_cells(known, labels, 3, C=0.25, balance=0.4)(new)
    rows = replace(known, alone=np.concatenate([known.alone, *known.pooled]))
    fitted = by_cells_alone(rows, np.tile(labels, 3), 3, C=0.25, balance=0.4)
    views = [fitted(replace(new, alone=view)) for view in new.pooled]
    np.testing.assert_allclose(found, log_softmax(np.mean(views, axis=0), axis=1), atol=1e-5)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1)


def test_of_many_rows_a_part_is_looked_at(
    seen: DomainCells, truth: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, new = part(seen, np.arange(0, 60)), part(seen, np.arange(60, N_CELLS))
    looked_at = []
    regress = _members.fit_logistic
    monkeypatch.setattr(_members, "fit_logistic", lambda X, *a, **k: looked_at.append(len(X)) or regress(X, *a, **k))
    for most, expected in ((6_000, 180), (100, 100), (10, 60)):
        monkeypatch.setattr(_members, "MOST_ROWS", most)
        found = by_pooled_cells(known, truth[:60], 3, C=0.25, balance=0.4)(new)
        assert looked_at[-2:] == [expected, expected]
        np.testing.assert_allclose(np.exp(found).sum(axis=1), 1)
        again = by_pooled_cells(known, truth[:60], 3, C=0.25, balance=0.4)(new)
        np.testing.assert_array_equal(found, again)


def test_a_class_without_cells_is_next_to_impossible(seen: DomainCells, truth: np.ndarray) -> None:
    known, new = part(seen, np.arange(0, 60)), part(seen, np.arange(60, N_CELLS))
    assert np.exp(by_profiles(known, truth[:60], 5, prior_weight=0.6)(new))[:, 3:].max() < 1e-3
