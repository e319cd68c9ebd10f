from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from tqdm import tqdm

from ._blocks import Blocks, ByPeak, Converted, with_rows
from ._decoder import CellMapper, Decoder, half_precision
from ._gpu import OnGpu, gpu_for
from ._held_out import hold_out
from ._margins import Margins
from ._peaks import update_peaks
from ._sequence_prior import SequencePrior, SequencePriorFitter, tells_peaks_apart
from ._shrinkage import Shrinkage
from ._start import svd
from ._sweep import Sweep, sweep
from ._tiles import weighted_gram
from ._workers import each_block

Float = NDArray[np.floating]


MOST_ALTERNATIONS = 30
"""Largest number of alternations. The rule of held-out counts stopped after 7 on cell lines and simulated cells, 8 on
bone marrow and 10 on cortex."""
NEGLIGIBLE = 0.01
"""A dimension is dropped if the counts of the deepest cell add less than this to the precision of its prior, 1. From 0
to 0.1 accuracies of robust are the same to .002 (bone marrow both ways .792 and .766, cortex .606, simulated cells
.958); with 1 they differ by up to .006, up and down."""


@dataclass(frozen=True)
class Factorisation:
    """A fit: ``cells @ decoder.loadings.T`` are log fold changes of openness over the base rates."""

    cells: NDArray[np.float32]
    """(n_cells, k): cell embedding, dimensions by the variance that they explain, the largest first; k is the number of
    dimensions that the counts support."""
    decoder: Decoder
    """Loadings and priors, to place new cells."""


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
    computing posterior means of peaks and cells in turn (variational Bayes, Bishop 1999; Lim & Teh 2007), from a
    truncated SVD of Pearson residuals on. V and T are those under which the counts are likeliest (empirical Bayes). T
    is the covariance around g as fitted to other peaks, so that sequence counts for as much as it predicts; rare peaks
    and shallow cells, of which counts say least, are shrunk most.

    A small part of the counts is held out. Alternations stop at the first that does not make these likelier by more
    than a standard error (the rule of Breiman et al. 1984): empirical Bayes run to convergence shrinks whole dimensions
    to zero, among them those that tell rare types apart. The priors found that way are then applied to all counts.
    Dimensions of which the counts say next to nothing are dropped on the way; where none would be left, those of the
    alternation before are the result.

    g takes part in the last alternation alone. If it took part earlier, the cells would be shaped by its predictions,
    and loadings fitted to these cells would agree with g on held-out peaks too, whether sequence tells anything or not.
    Where cells of different experiments have different peaks, only g connects them, and it takes part in all.

    Each alternation is one pass over the counts. Time grows with non-zeros × k + (cells + peaks) × k².

    Parameters
    ----------
    counts
        (n_cells, n_peaks), binary or counts.
    margins
        Expected counts, which the model describes the deviations from.
    n_components
        Largest number of dimensions k.
    embeddings
        (n_peaks, d) peak embeddings; rows of NaN are peaks without a sequence. With None, and if all embeddings are the
        same, the fit is of counts alone.
    rng
        Draws the start of the SVD and the folds of g.
    """
    decoder = _learn(counts, margins, n_components, embeddings, rng)
    return Factorisation(_map(counts, margins, decoder), decoder)


def _learn(
    counts: Blocks, margins: Margins, n_components: int, embeddings: Float | None, rng: np.random.Generator
) -> Decoder:
    """Fit loadings and priors: alternate on counts of which some are held out, then update the peaks by all counts."""
    rate, evident = margins.rate, margins.rate > 0
    if embeddings is not None and not tells_peaks_apart(embeddings[evident]):
        embeddings = None
    fitter = None
    if embeddings is not None:
        fitter = SequencePriorFitter(embeddings, rate * margins.exposure.sum(), rng)
    rest = hold_out(counts, margins)
    gpu = gpu_for(margins.exposure.sum())
    left = ByPeak(rest) if gpu is None else OnGpu(rest, gpu)
    step = svd(left, rest.margins_of_rest, n_components, rng)
    # First priors: V = Σ c_j w_j w_jᵀ / Σ c_j, where c_j is the exposure and w_j are least squares. Weighing by depth
    # matters, because shallow cells are little but noise before they are shrunk. T = I.
    from_deep_cells = step.grams.sum(axis=0) / (rest.margins_of_rest.exposure.sum() or 1)
    priors = _Priors(from_deep_cells, np.eye(len(from_deep_cells)))
    best, before = None, -np.inf
    for _ in tqdm(range(MOST_ALTERNATIONS), desc="cell embeddings", unit="pass", disable=None):
        expected = None
        # Views of different peaks are connected by g alone: only then do alternations use it as the prior mean.
        if fitter is not None and len(margins.expected) > 1:
            _, expected = _fit_prior(fitter, step, rate)
        # Peaks given cells, (r_i G + T⁻¹) l_i = Σ_j (x_ij − c_j r_i) w_j + T⁻¹ g_i; cells given peaks,
        # (c_j D + V⁻¹) w_j = Σ_i (x_ij − c_j r_i) l_i; then V and T by a step of MacKay's fixed point.
        model, step, priors = _alternate(left, rest.margins_of_rest, step, priors, expected, rest.sampled)
        # Stop where log P(held-out counts) − log P(under independence) rises by no more than its standard error.
        gain, standard_error = rest.gain(step.cells, model.loadings)
        if best is not None and (gain - before <= standard_error or step.cells.shape[1] == 0):
            break
        best, before = model, gain
    assert best is not None

    # The same two updates with all counts, under the priors of the last alternation that paid: w_j given its loadings,
    # g by ridge regression on least-squares loadings, and l_i given w_j and g_i.
    T = best.peak_covariance
    every = counts if gpu is None else OnGpu(counts, gpu)
    step = sweep(every, margins, best.loadings, _cell_updates(best.designs))
    prior, expected = (None, None) if fitter is None else _fit_prior(fitter, step, rate)
    loadings = update_peaks(step, margins, T, expected).loadings(np.eye(len(T)))
    # l_i → Aᵀ l_i and w_j → A⁻¹ w_j leave all w_j · l_i as they are. With them go V → A⁻¹ V A⁻ᵀ (V is I here),
    # T → Aᵀ T A and G → A⁻¹ G A⁻ᵀ.
    gauge, inverse = _canonical_gauge(step.weighted_squares, loadings, rate)
    return Decoder(
        loadings=half_precision(loadings @ gauge.astype(np.float32)),
        rate=rate.astype(np.float32),
        evidence=rate.astype(np.float32),
        cell_covariance=inverse @ inverse.T,
        peak_covariance=gauge.T @ T @ gauge,
        cell_gram=inverse @ step.grams.sum(axis=0) @ inverse.T,
        prior=None if prior is None else prior.rotate(gauge),
    )


@dataclass(frozen=True)
class _Priors:
    """The covariances of the normal priors that the next alternation uses."""

    cells: Float
    """V (k, k), of the cells."""
    peaks: Float
    """T (k, k), of the loadings around g."""


@dataclass(frozen=True)
class _Model:
    """The peaks after an alternation, in axes in which V, the covariance of the cells, is I."""

    loadings: NDArray[np.float32]
    """(n_peaks, k)."""
    designs: Float
    """(n_views, k, k): D of each view, as in :class:`Peaks`."""
    peak_covariance: Float
    """(k, k): the T that the loadings were shrunk by."""


def _alternate(
    counts: Converted,
    margins: Margins,
    step: Sweep,
    priors: _Priors,
    expected: Float | None,
    keep: NDArray[np.bool_],
) -> tuple[_Model, Sweep, _Priors]:
    """Update the peaks given the cells, then the cells given the peaks, and drop dimensions that say next to nothing.

    Returns
    -------
    The peaks, in axes in which V is I; the cells; and V and T for the next alternation.
    """
    peaks = update_peaks(step, margins, priors.peaks, expected)
    # Axes P with Pᵀ D P = diag(e) and V = P Pᵀ: a cell of exposure c is known e c times as precisely as by V alone.
    of_cells = Shrinkage(peaks.designs.sum(axis=0), priors.cells)
    axes = of_cells.axes[:, of_cells.evidence * margins.exposure.max(initial=0) > NEGLIGIBLE]
    loadings, designs = peaks.loadings(axes), axes.T @ peaks.designs @ axes
    updates = _cell_updates(designs)
    step = sweep(counts, margins, loadings, updates, keep)
    determined = np.zeros_like(designs[0])
    for view, update in enumerate(updates):
        exposure = margins.exposure[margins.view == view]
        determined += update.determined(update.summed_variance(exposure, np.ones(len(exposure))), len(exposure))
    V, T = updates[0].prior(step.squares, determined), axes.T @ peaks.prior @ axes
    return _Model(loadings, designs, axes.T @ priors.peaks @ axes), step, _Priors(V, T)


def _cell_updates(designs: Float) -> list[Shrinkage]:
    """Return the shrinkage of the cells of each view given the peaks, in axes in which V is I."""
    return [Shrinkage(design, np.eye(len(design))) for design in designs]


def _fit_prior(fitter: SequencePriorFitter, step: Sweep, rate: Float) -> tuple[SequencePrior, Float]:
    """Fit g to the least-squares loadings (r_i G)⁻¹ Σ_j (x_ij − c_j r_i) w_j, in the eigenvectors of G.

    In these axes the errors of a peak's loadings are independent, so that each axis has a ridge regression of its own.

    Returns
    -------
    g, and its value (n_peaks, k) for each peak as fitted to other peaks.
    """
    evidence, axes = np.linalg.eigh(step.grams.sum(axis=0))
    # Directions below this share of the largest are rounding. In fits of four data sets the smallest was .4 of it.
    solvable = evidence > 1e-9 * max(evidence.max(initial=0), 1e-300)
    scale = np.divide(1.0, evidence, out=np.zeros_like(evidence), where=solvable)
    per_rate = np.divide(1.0, rate, out=np.zeros_like(rate), where=rate > 0)
    prior, held_out = fitter(per_rate[:, None] * (step.pull @ axes) * scale)
    return prior.rotate(axes.T), held_out @ axes.T


def _canonical_gauge(squares: Float, loadings: Float, rate: Float) -> tuple[Float, Float]:
    """Return A and its (pseudo-)inverse, so that ``loadings @ A`` and ``cells @ inverse.T`` are in canonical form.

    The model fixes products w_j · l_i alone; any invertible A gives the same ones. The canonical form is that of an SVD
    of the fitted residuals: loadings orthonormal under the base rates, cells orthogonal under the exposures
    (``squares`` are Σ exposure × w wᵀ), the dimension of largest variance first, and the largest loading of each
    dimension positive.
    """
    # L = Σ_i r_i l_i l_iᵀ = U diag(s) Uᵀ. With B = U diag(s)^−½, loadings l_i B are orthonormal: Bᵀ L B = I.
    values, vectors = np.linalg.eigh(weighted_gram(loadings, rate))
    # Directions below this share of the largest are rounding. In fits of four data sets the smallest was 4e-11 of it.
    solvable = values > 1e-12 * values.max(initial=0)
    vectors, root = vectors[:, solvable], np.sqrt(values[solvable])
    to_basis, from_basis = vectors / root, (vectors * root).T
    # In that basis cells are B⁻¹ w_j. Rotated by the eigenvectors R of Σ_j c_j B⁻¹ w_j w_jᵀ B⁻ᵀ they are orthogonal.
    _, rotation = np.linalg.eigh(from_basis @ squares @ from_basis.T)
    rotation = rotation[:, ::-1]
    # An eigenvector has no sign: it gets the one that makes √r_i l_i positive where it is largest. A = B R.
    axes = loadings @ (to_basis @ rotation).astype(np.float32) * np.sqrt(rate).astype(np.float32)[:, None]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    rotation = rotation * np.where(largest < 0, -1.0, 1.0)
    return to_basis @ rotation, rotation.T @ from_basis


def _map(counts: Blocks, margins: Margins, decoder: Decoder) -> NDArray[np.float32]:
    """Return the embedding (n_cells, k) of all cells by the fitted loadings, block by block."""
    mappers = [CellMapper(decoder, expected) for expected in margins.expected]
    # What the function below refers to is sent to every worker: no loadings beside those of the mappers.
    k, views = decoder.loadings.shape[1], margins.view

    def embed(block: tuple[slice, sp.csr_matrix]) -> tuple[slice, NDArray[np.float32]]:
        rows, X = block
        cells = np.zeros((X.shape[0], k), dtype=np.float32)
        for view in np.unique(views[rows]):
            here = np.flatnonzero(views[rows] == view)
            cells[here] = mappers[view](X[here])
        return rows, cells

    cells = np.zeros((counts.shape[0], k), dtype=np.float32)
    for rows, part in each_block(embed, with_rows(counts)):
        cells[rows] = part
    return cells
