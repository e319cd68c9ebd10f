"""How open a query's own peaks are, on the scale of the reference's base rates."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

from scllmda._counts import count_blocks
from scllmda._peak_pairs import JointPeaks, PeakPairs
from scllmda.factorisation import CellMapper, Decoder, InMemory, fit, margins
from scllmda.tl._map_query import extend_decoder

N_CELLS, N_PEAKS = 200, 90
OWN = np.arange(60, 90)
"""Peaks that the reference of these tests lacks."""


@pytest.fixture(scope="module")
def embeddings() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N_PEAKS, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def X(embeddings: np.ndarray) -> sp.csr_matrix:
    """Return counts of cells on all peaks, some of which are far more open than others; one is closed."""
    rng = np.random.default_rng(1)
    logits = rng.standard_normal((N_CELLS, 5)) @ embeddings.T * 0.6 + rng.normal(-1.5, 0.8, N_PEAKS)
    found = rng.random(logits.shape) < 1 / (1 + np.exp(-logits))
    found[:, 5] = False
    return sp.csr_matrix(found, dtype=np.float32)


@pytest.fixture(scope="module")
def decoder(X: sp.csr_matrix, embeddings: np.ndarray) -> Decoder:
    """Return the space of a reference that has the first 60 peaks."""
    counts = InMemory(sp.csr_matrix(X[:, :60]))
    return fit(counts, margins(counts), 6, embeddings=embeddings[:60], rng=np.random.default_rng(0)).decoder


def extended(X: sp.csr_matrix, target: np.ndarray, decoder: Decoder, embeddings: np.ndarray) -> tuple[Decoder, float]:
    """Return the decoder of the joint peaks, given the reference peak of each query peak, and the share in common."""
    peaks = JointPeaks(PeakPairs(target, 60, {}), np.flatnonzero(target < 0))
    found, shared = extend_decoder(decoder, count_blocks(AnnData(X), None).onto(peaks.assignment), peaks, embeddings)
    return found, shared["fraction_of_counts_shared"]


def everything(n_shared: int = 60) -> np.ndarray:
    """Return that the query has the first peaks of the reference, and that the rest are its own."""
    return np.where(np.arange(N_PEAKS) < n_shared, np.arange(N_PEAKS), -1)


@pytest.mark.parametrize("n_shared", [60, 20, 1])
@pytest.mark.parametrize("times", [1, 3])
def test_are_to_those_of_shared_peaks_as_the_counts_are(
    X: sp.csr_matrix, decoder: Decoder, embeddings: np.ndarray, n_shared: int, times: int
) -> None:
    kept = np.concatenate([np.arange(n_shared), OWN])
    query = sp.csr_matrix(sp.vstack([X[:, kept]] * times))
    found, shared = extended(query, everything()[kept], decoder, embeddings[kept])
    counts = np.asarray(query.sum(axis=0)).ravel()
    on_shared, rate_of_shared = counts[:n_shared].sum(), decoder.rate[:n_shared].sum()
    np.testing.assert_allclose(found.rate[60:], counts[n_shared:] * rate_of_shared / on_shared, rtol=1e-5)
    np.testing.assert_array_equal(found.rate[:60], decoder.rate)
    assert shared == pytest.approx(on_shared / counts.sum())


def test_are_those_of_a_reference_that_has_them(X: sp.csr_matrix, decoder: Decoder, embeddings: np.ndarray) -> None:
    """The query's cells are the reference's: had it been fitted to all peaks, it would have these base rates."""
    rate = margins(InMemory(X)).rate
    found, _ = extended(X, everything(), decoder, embeddings)
    np.testing.assert_allclose(found.rate / found.rate.sum(), rate, rtol=0.02, atol=1e-6)


def test_an_own_peak_as_open_as_a_shared_one_has_its_base_rate(
    X: sp.csr_matrix, decoder: Decoder, embeddings: np.ndarray
) -> None:
    twins = sp.csr_matrix(sp.hstack([X[:, :60], X[:, [7, 20, 33]]]))
    target = np.concatenate([np.arange(60), [-1, -1, -1]])
    found, _ = extended(twins, target, decoder, embeddings[[*range(60), 7, 20, 33]])
    np.testing.assert_allclose(found.rate[60:], decoder.rate[[7, 20, 33]], rtol=0.02)


def test_counts_on_peaks_that_were_closed_in_the_reference_tell_nothing(
    X: sp.csr_matrix, decoder: Decoder, embeddings: np.ndarray
) -> None:
    assert decoder.rate[5] == 0
    opened = X.tolil()
    opened[:, 5] = 1
    found, expected = (extended(sp.csr_matrix(x), everything(), decoder, embeddings)[0].rate for x in (opened, X))
    np.testing.assert_array_equal(found, expected)


def test_without_a_shared_peak_they_sum_to_one(X: sp.csr_matrix, decoder: Decoder, embeddings: np.ndarray) -> None:
    found, shared = extended(sp.csr_matrix(X[:, OWN]), np.full(30, -1), decoder, embeddings[OWN])
    counts = np.asarray(X[:, OWN].sum(axis=0)).ravel()
    np.testing.assert_allclose(found.rate[60:], counts / counts.sum(), rtol=1e-5)
    assert shared == 0


def test_cells_are_not_moved_as_a_whole(X: sp.csr_matrix, decoder: Decoder, embeddings: np.ndarray) -> None:
    """Own peaks that seemed more or less open than shared ones are would draw all cells to one side."""
    found, _ = extended(X, everything(), decoder, embeddings)
    cells = CellMapper(found, found.rate)(X)
    assert np.linalg.norm(cells.mean(axis=0)) < 0.05 * np.linalg.norm(cells, axis=1).mean()
