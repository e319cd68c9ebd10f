from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from tqdm import tqdm

from ._blocks import Blocks, with_rows
from ._decoder import CellMapper, Decoder, half_precision
from ._held_out import hold_out
from ._margins import Margins
from ._peaks import Peaks, update_peaks
from ._sequence_prior import SequencePrior, SequencePriorFitter, tells_peaks_apart
from ._shrinkage import Shrinkage
from ._start import svd
from ._sweep import Sweep, sweep
from ._threads import in_order
from ._tiles import weighted_gram

Float = NDArray[np.floating]


MOST_ALTERNATIONS = 30
NEGLIGIBLE = 0.01
"""Precision that a dimension adds to that of the prior of the deepest cell, below which it is dropped."""


@dataclass(frozen=True)
class Factorisation:
    """Log fold changes of openness over the base rates (n_cells, n_peaks) ≈ ``cells @ decoder.loadings.T``."""

    cells: NDArray[np.float32]
    """(n_cells, k): cell embedding, the dimensions that matter most first; k as the counts support."""
    decoder: Decoder


def fit(
    counts: Blocks,
    margins: Margins,
    n_components: int,
    *,
    embeddings: Float | None = None,
    rng: np.random.Generator,
) -> Factorisation:
    r"""Factorise cells × peaks with sequence as the prior of the peaks' loadings.

    The model is logit P(peak i open in cell j) = w_j · (g(seq_i) + v_i) + a_i + b_j, with w_j ~ N(0, V) and v_i ~
    N(0, T). To second order around the base rates (where openness is rare, Bernoulli and Poisson likelihoods agree) it
    is weighted least squares on counts − expected counts, a sparse matrix minus a term of low rank, solved by
    alternating posterior means (variational Bayes, Bishop 1999; Lim & Teh 2007) from a truncated SVD of Pearson
    residuals. V and T are those with most evidence (empirical Bayes), T around g as fitted to other peaks: sequence
    counts for as much as it predicts, and rare peaks and shallow cells are shrunk most.

    Alternations go on while each makes counts that were held out likelier by more than a standard error (the rule of
    Breiman et al. 1984): longer runs switch off whole dimensions, and rare types with them. What all counts say under
    the priors so found is the result. Dimensions that the evidence does not support are dropped on the way, but for the
    last ones: of counts as few as that, something is made all the same.

    g takes part in the last alternation alone: cells that were shaped by an earlier g give it back as if they were
    evidence, on held-out peaks too. Where cells are seen through different peaks, g is what connects them, and takes
    part in all.

    Each alternation is one pass over the counts. Cost grows with non-zeros × k + (cells + peaks) × k².

    Parameters
    ----------
    counts
        (n_cells, n_peaks), binary or counts.
    margins
        Their independence model.
    n_components
        Most dimensions k.
    embeddings
        (n_peaks, d) peak embeddings; rows of NaN are peaks without a sequence. None for counts alone, as are
        embeddings that do not tell peaks apart.
    rng
        Starts the SVD and draws the folds of g.
    """
    decoder = _learn(counts, margins, n_components, embeddings, rng)
    return Factorisation(_map(counts, margins, decoder), decoder)


def _learn(
    counts: Blocks, margins: Margins, n_components: int, embeddings: Float | None, rng: np.random.Generator
) -> Decoder:
    rate, evident = margins.rate, margins.rate > 0
    if embeddings is not None and not tells_peaks_apart(embeddings[evident]):
        embeddings = None
    fitter = None
    if embeddings is not None:
        fitter = SequencePriorFitter(embeddings, rate * margins.exposure.sum(), rng)
    rest = hold_out(counts, margins)
    step = svd(rest, rest.margins_of_rest, n_components, rng)
    # Shallow cells are noise before they have been shrunk: the first prior is from deep ones.
    from_deep_cells = step.grams.sum(axis=0) / (rest.margins_of_rest.exposure.sum() or 1)
    priors = _Priors(from_deep_cells, np.eye(len(from_deep_cells)))
    best, before = None, -np.inf
    for _ in tqdm(range(MOST_ALTERNATIONS), desc="cell embeddings", unit="pass", disable=None):
        expected = None
        if fitter is not None and len(margins.expected) > 1:
            _, expected = _fit_prior(fitter, step, rate)
        peaks, used, step, priors = _alternate(rest, rest.margins_of_rest, step, priors, expected, rest.asked)
        gain, standard_error = rest.gain(step.cells, peaks.loadings)
        if best is not None and (gain - before <= standard_error or step.cells.shape[1] == 0):
            break
        best, before = (peaks, used), gain
    assert best is not None

    # What all counts say under the priors of the last alternation that paid.
    peaks, used = best
    step = sweep(counts, margins, peaks.loadings, _rules(peaks))
    prior, expected = (None, None) if fitter is None else _fit_prior(fitter, step, rate)
    loadings = update_peaks(step, margins, used, expected).loadings
    gauge, inverse = _canonical_gauge(step.weighted_squares, loadings, rate)
    return Decoder(
        loadings=half_precision(loadings @ gauge.astype(np.float32)),
        rate=rate.astype(np.float32),
        evidence=rate.astype(np.float32),
        cell_covariance=inverse @ inverse.T,
        peak_covariance=gauge.T @ used @ gauge,
        cell_gram=inverse @ step.grams.sum(axis=0) @ inverse.T,
        prior=None if prior is None else prior.rotate(gauge),
    )


@dataclass(frozen=True)
class _Priors:
    """Covariances that the next alternation shrinks by."""

    cells: Float
    """V (k, k)."""
    peaks: Float
    """T (k, k)."""


def _alternate(
    counts: Blocks,
    margins: Margins,
    step: Sweep,
    priors: _Priors,
    expected: Float | None,
    keep: NDArray[np.bool_],
) -> tuple[Peaks, Float, Sweep, _Priors]:
    """Update the peaks by the cells, then the cells by the peaks, without the dimensions that died.

    Returns
    -------
    The peaks and T, along axes in which V is I; the cells; and the priors that have most evidence now.
    """
    peaks = update_peaks(step, margins, priors.peaks, expected)
    of_cells = Shrinkage(peaks.designs.sum(axis=0), priors.cells)
    axes = of_cells.axes[:, of_cells.evidence * margins.exposure.max(initial=0) > NEGLIGIBLE]
    peaks = peaks.rotate(axes)
    rules = _rules(peaks)
    step = sweep(counts, margins, peaks.loadings, rules, keep)
    determined = [rule.determined(margins.exposure[margins.view == view]) for view, rule in enumerate(rules)]
    V = rules[0].prior(step.squares, np.sum(determined, axis=0))
    return peaks, axes.T @ priors.peaks @ axes, step, _Priors(V, peaks.prior)


def _rules(peaks: Peaks) -> list[Shrinkage]:
    """Return how the cells of each view follow from the peaks, along axes in which V is I."""
    return [Shrinkage(design, np.eye(len(design))) for design in peaks.designs]


def _fit_prior(fitter: SequencePriorFitter, step: Sweep, rate: Float) -> tuple[SequencePrior, Float]:
    """Fit g to the least-squares loadings, in the axes in which they are independent.

    Returns
    -------
    g, and its value (n_peaks, k) for each peak as fitted to other peaks.
    """
    evidence, axes = np.linalg.eigh(step.grams.sum(axis=0))
    solvable = evidence > 1e-9 * max(evidence.max(initial=0), 1e-300)
    scale = np.divide(1.0, evidence, out=np.zeros_like(evidence), where=solvable)
    per_rate = np.divide(1.0, rate, out=np.zeros_like(rate), where=rate > 0)
    prior, held_out = fitter(per_rate[:, None] * (step.pull @ axes) * scale)
    return prior.rotate(axes.T), held_out @ axes.T


def _canonical_gauge(squares: Float, loadings: Float, rate: Float) -> tuple[Float, Float]:
    """Return A and its (pseudo-)inverse, so that ``loadings @ A`` and ``cells @ inverse.T`` are in canonical form.

    That of an SVD of the fitted residuals: loadings orthonormal under the base rates, cells orthogonal under the
    exposures (``squares`` are Σ exposure × w wᵀ), largest first, the largest loading of each dimension positive.
    """
    values, vectors = np.linalg.eigh(weighted_gram(loadings, rate))
    solvable = values > 1e-12 * values.max(initial=0)
    vectors, root = vectors[:, solvable], np.sqrt(values[solvable])
    to_basis, from_basis = vectors / root, (vectors * root).T
    _, rotation = np.linalg.eigh(from_basis @ squares @ from_basis.T)
    rotation = rotation[:, ::-1]
    axes = loadings @ (to_basis @ rotation).astype(np.float32) * np.sqrt(rate).astype(np.float32)[:, None]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    rotation = rotation * np.where(largest < 0, -1.0, 1.0)
    return to_basis @ rotation, rotation.T @ from_basis


def _map(counts: Blocks, margins: Margins, decoder: Decoder) -> NDArray[np.float32]:
    mappers = [CellMapper(decoder, expected) for expected in margins.expected]

    def embed(block: tuple[slice, sp.csr_matrix]) -> tuple[slice, NDArray[np.float32]]:
        rows, X = block
        cells = np.zeros((X.shape[0], decoder.loadings.shape[1]), dtype=np.float32)
        for view in np.unique(margins.view[rows]):
            here = np.flatnonzero(margins.view[rows] == view)
            cells[here] = mappers[view](X[here])
        return rows, cells

    cells = np.zeros((counts.shape[0], decoder.loadings.shape[1]), dtype=np.float32)
    for rows, part in in_order(embed, with_rows(counts)):
        cells[rows] = part
    return cells
