"""What counts say of cells, with and without the cells' own part in the loadings, and thinned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from tests.factorisation._dense import csr

from scllmda.factorisation import (
    CellMapper,
    Factorisation,
    InMemory,
    Thinned,
    chance_to_match,
    evidence,
    fit,
    margins,
    open_counts,
)

N_CELLS, N_PEAKS = 80, 120


@pytest.fixture(scope="module")
def X() -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((N_CELLS, 3)) @ rng.standard_normal((3, N_PEAKS)) - 2
    return csr(rng.random((N_CELLS, N_PEAKS)) < 1 / (1 + np.exp(-logits)))


@pytest.fixture(scope="module")
def fitted(X: sp.csr_matrix) -> Factorisation:
    return fit(InMemory(X), margins(InMemory(X)), 6, rng=np.random.default_rng(0))


def test_own_pull_by_a_linear_system_per_peak(X: sp.csr_matrix, fitted: Factorisation) -> None:
    decoder = fitted.decoder
    expected = np.zeros((N_CELLS, decoder.loadings.shape[1]))
    prior = np.linalg.pinv(decoder.peak_covariance)
    for peak in range(N_PEAKS):
        precision = decoder.evidence[peak] * decoder.cell_gram + prior
        cells = X[:, peak].nonzero()[0]
        expected[cells] += np.linalg.solve(precision, fitted.cells[cells].T).T
    np.testing.assert_allclose(decoder.pull_of_own_counts(X, fitted.cells), expected, rtol=1e-3, atol=1e-3)


def test_without_its_own_pull_a_cell_is_where_it_would_be_as_a_new_one() -> None:
    """Compared with a peak update that leaves the cell out."""
    # As sparse as cells are: expected counts are far below one.
    rng = np.random.default_rng(1)
    logits = rng.standard_normal((N_CELLS, 3)) @ rng.standard_normal((3, N_PEAKS)) - 4
    X = csr(rng.random((N_CELLS, N_PEAKS)) < 1 / (1 + np.exp(-logits)))
    m = margins(InMemory(X))
    whole = fit(InMemory(X), m, 4, rng=np.random.default_rng(0))
    decoder = whole.decoder
    j = int(np.argsort(np.asarray(X.sum(axis=1)).ravel())[N_CELLS // 2])
    expected = m.exposure[:, None] * m.rate
    residual = X.toarray() - expected
    prior = np.linalg.pinv(decoder.peak_covariance)
    without = np.zeros_like(decoder.loadings, dtype=float)
    for peak in range(N_PEAKS):
        precision = decoder.evidence[peak] * decoder.cell_gram + prior
        others = np.delete(np.arange(N_CELLS), j)
        all_cells, rest = (residual[c, peak] @ whole.cells[c] for c in (np.arange(N_CELLS), others))
        without[peak] = decoder.loadings[peak] + np.linalg.solve(precision, rest - all_cells)
    pull_of_a_new_cell = residual[j] @ without
    found = evidence(InMemory(X), decoder, whole.cells).pull[j]
    in_sample = residual[j] @ decoder.loadings
    assert np.linalg.norm(found - pull_of_a_new_cell) < 0.2 * np.linalg.norm(in_sample - pull_of_a_new_cell)


def test_evidence_adds_up(X: sp.csr_matrix, fitted: Factorisation) -> None:
    found = evidence(InMemory(X), fitted.decoder, fitted.cells)
    graph = sp.csr_matrix(np.eye(N_CELLS, k=1) + np.eye(N_CELLS, k=-3), dtype=np.float32)
    pooled = found.pooled(graph)
    np.testing.assert_allclose(pooled.pull[5], found.pull[[5, 6, 2]].sum(axis=0), rtol=1e-5)
    np.testing.assert_allclose(pooled.exposure[5], found.exposure[[5, 6, 2]].sum())
    some = np.array([1, 4, 7])
    np.testing.assert_array_equal(found.take(some).cells, found.cells[some])
    np.testing.assert_allclose(found.scores(np.eye(N_PEAKS)[:, :4]), X[:, :4].toarray())
    codes = np.arange(N_CELLS) % 3
    np.testing.assert_allclose(found.totals(codes), open_counts(InMemory(X), codes)[0])


def test_unfitted_peaks_pull_no_cell_to_themselves(X: sp.csr_matrix, fitted: Factorisation) -> None:
    decoder = replace(fitted.decoder, evidence=np.zeros(N_PEAKS, dtype=np.float32))
    assert not decoder.pull_of_own_counts(X, fitted.cells).any()
    found = evidence(InMemory(X), decoder, fitted.cells)
    np.testing.assert_allclose(found.pull, CellMapper(decoder, decoder.rate).evidence(X)[0], rtol=1e-5, atol=1e-5)


def test_thinned_counts_are_a_part_of_all_and_the_same_on_each_pass(X: sp.csr_matrix) -> None:
    chance = np.linspace(0, 1, N_CELLS)
    thinned = Thinned.to(InMemory(X), chance)
    (first,), (again,) = list(thinned), list(thinned)
    assert (first != again).nnz == 0
    assert (first > X).nnz == 0
    assert first[0].nnz == 0
    assert (first[-1] != X[-1]).nnz == 0
    kept = first.sum() / X.sum()
    assert kept == pytest.approx((np.asarray(X.sum(axis=1)).ravel() @ chance) / X.sum(), abs=0.05)
    some = np.array([3, 40, 70])
    (part,) = list(thinned.take(some))
    assert (part != first[some]).nnz == 0


def test_chance_matches_depths_rank_by_rank() -> None:
    deep, shallow = np.array([10.0, 40.0, 20.0]), np.array([3.0, 9.0, 6.0])
    chance = chance_to_match(deep, shallow)
    np.testing.assert_allclose(chance * deep, np.quantile(shallow, [1 / 6, 5 / 6, 3 / 6]))
    # Nothing can be added.
    np.testing.assert_array_equal(chance_to_match(shallow, deep), 1)
    np.testing.assert_array_equal(chance_to_match(np.zeros(2), deep), 1)
