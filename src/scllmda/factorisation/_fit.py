from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ._blocks import Blocks
from ._decoder import CellMapper, Decoder
from ._margins import Margins
from ._sequence_prior import SequencePrior, SequencePriorFitter, tells_peaks_apart
from ._shrinkage import Shrinkage
from ._start import svd
from ._sweep import sweep

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Factorisation:
    """Log fold changes of openness over the base rates (n_cells, n_peaks) ≈ ``cells @ decoder.loadings.T``."""

    cells: NDArray[np.float32]
    """(n_cells, k): cell embedding, the dimensions that matter most first."""
    decoder: Decoder


def fit(
    counts: Blocks,
    margins: Margins,
    n_components: int,
    *,
    embeddings: Float | None = None,
    n_iterations: int = 15,
    rng: np.random.Generator,
) -> Factorisation:
    r"""Factorise cells × peaks with sequence as the prior of the peaks' loadings.

    The model is logit P(peak i open in cell j) = w_j · (g(seq_i) + v_i) + a_i + b_j, with w_j ~ N(0, V) and v_i ~
    N(0, T). To second order around the base rates (where openness is rare, Bernoulli and Poisson likelihoods agree) it
    is weighted least squares on counts − expected counts, a sparse matrix minus a term of low rank, solved by
    alternating posterior means (variational Bayes, Bishop 1999; Lim & Teh 2007) from a truncated SVD of Pearson
    residuals. V and T are mean posterior second moments (empirical Bayes), T around g as fitted to other peaks:
    sequence counts for as much as it predicts, and rare peaks and shallow cells are shrunk most.

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
        k. Columns beyond the smaller dimension of ``counts`` are zero.
    embeddings
        (n_peaks, d) peak embeddings; rows of NaN are peaks without a sequence. None for counts alone, as are
        embeddings that do not tell peaks apart.
    n_iterations
        Alternations, at least 1. Fixed, without a look at any label: the likelihood of held-out counts rises to a
        plateau that does not fall, and is all but reached by 15; much longer runs switch off whole dimensions, and with
        them rare types.
    rng
        Starts the SVD and draws the folds of g.
    """
    rate, evident = margins.rate, margins.rate > 0
    if embeddings is not None and not tells_peaks_apart(embeddings[evident]):
        embeddings = None
    fitter = None
    if embeddings is not None:
        fitter = SequencePriorFitter(embeddings, rate * margins.exposure.sum(), rng)
    # Peaks that are seen from the same views share a posterior covariance, up to their rates.
    views_of_group, group = np.unique(margins.expected > 0, axis=1, return_inverse=True)
    groups = [(np.flatnonzero(evident & (group.ravel() == g)), v) for g, v in enumerate(views_of_group.T)]

    k = n_components
    step = svd(counts, margins, k, rng)
    # Shallow cells are noise before they have been shrunk: the first prior is from deep ones.
    step = replace(step, covariance=step.grams.sum(axis=0) / (margins.exposure.sum() or 1))
    peak_covariance: Float = np.eye(k)
    loadings, expected = np.zeros_like(step.pull), np.zeros_like(step.pull)
    for iteration in tqdm(range(n_iterations), desc="cell embeddings", unit="pass", disable=None):
        if fitter is not None and (iteration == n_iterations - 1 or len(margins.expected) > 1):
            _, expected = _fit_prior(fitter, step.pull, step.grams.sum(axis=0), rate)
        square, designs = np.zeros((k, k)), np.zeros((len(margins.expected), k, k))
        for peaks, views in groups:
            gram = step.grams[views].sum(axis=0)
            shrinkage = Shrinkage(gram, peak_covariance)
            ahead = rate[peaks, None] * (expected[peaks] @ gram)
            deviation = shrinkage.mean(step.pull[peaks] - ahead, rate[peaks])
            loadings[peaks] = expected[peaks] + deviation
            square += deviation.T @ deviation + shrinkage.covariance(rate[peaks], np.ones(len(peaks)))
            for view in np.flatnonzero(views):
                weights = margins.expected[view, peaks]
                designs[view] += (weights[:, None] * loadings[peaks]).T @ loadings[peaks]
                designs[view] += shrinkage.covariance(rate[peaks], weights)
        peak_covariance = square / evident.sum()
        rules = [Shrinkage(design, step.covariance) for design in designs]
        step = sweep(counts, margins, loadings, rules, k)

    gauge, inverse = _canonical_gauge(step.cells, margins.exposure, loadings, rate)
    gram = inverse @ step.grams.sum(axis=0) @ inverse.T
    decoder = Decoder(
        loadings=(loadings @ gauge).astype(np.float32),
        rate=rate.astype(np.float32),
        evidence=rate.astype(np.float32),
        cell_covariance=inverse @ step.covariance @ inverse.T,
        peak_covariance=gauge.T @ peak_covariance @ gauge,
        cell_gram=gram,
        prior=None if fitter is None else _fit_prior(fitter, step.pull @ inverse.T, gram, rate)[0],
    )
    return Factorisation(_map(counts, margins, decoder), decoder)


def _fit_prior(fitter: SequencePriorFitter, pull: Float, gram: Float, rate: Float) -> tuple[SequencePrior, Float]:
    """Fit g to the least-squares loadings, in the axes in which they are independent.

    Returns
    -------
    g, and its value (n_peaks, k) for each peak as fitted to other peaks.
    """
    evidence, axes = np.linalg.eigh(gram)
    solvable = evidence > 1e-9 * max(evidence.max(), 1e-300)
    scale = np.divide(1.0, evidence, out=np.zeros_like(evidence), where=solvable)
    per_rate = np.divide(1.0, rate, out=np.zeros_like(rate), where=rate > 0)
    prior, held_out = fitter(per_rate[:, None] * (pull @ axes) * scale)
    return prior.rotate(axes.T), held_out @ axes.T


def _canonical_gauge(cells: Float, exposure: Float, loadings: Float, rate: Float) -> tuple[Float, Float]:
    """Return A and its (pseudo-)inverse, so that ``loadings @ A`` and ``cells @ inverse.T`` are in canonical form.

    That of an SVD of the fitted residuals: loadings orthonormal under the base rates, cells orthogonal under the
    exposures, largest first, the largest loading of each dimension positive.
    """
    weighted = np.sqrt(rate)[:, None] * loadings
    values, vectors = np.linalg.eigh(weighted.T @ weighted)
    solvable = values > 1e-12 * values.max(initial=0)
    root = np.where(solvable, np.sqrt(np.abs(values)), 0)
    to_basis = vectors * np.divide(1.0, root, out=np.zeros_like(root), where=solvable)
    from_basis = (vectors * root).T
    _, rotation = np.linalg.eigh(from_basis @ ((exposure[:, None] * cells).T @ cells) @ from_basis.T)
    axes = weighted @ to_basis @ rotation[:, ::-1]
    rotation = rotation[:, ::-1] * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    return to_basis @ rotation, rotation.T @ from_basis


def _map(counts: Blocks, margins: Margins, decoder: Decoder) -> NDArray[np.float32]:
    mappers = [CellMapper(decoder, expected) for expected in margins.expected]
    cells = np.zeros((counts.shape[0], decoder.loadings.shape[1]), dtype=np.float32)
    first = 0
    for X in counts:
        view = margins.view[first : first + X.shape[0]]
        for v in np.unique(view):
            here = np.flatnonzero(view == v)
            cells[first + here] = mappers[v](X[here])
        first += X.shape[0]
    return cells
