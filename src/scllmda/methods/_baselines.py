"""Plain annotators, each on the representation that it is known with."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from ..calibration import fit_temperature
from ._held_out_parts import held_out_parts
from ._logistic import logistic_posteriors, quiet_newton
from ._method import Method
from ._principal_axes import rotate_to_principal_axes
from ._representations import lsi, spectral, tfidf_on_means
from ._task import Represented, Result, Task

Float = NDArray[np.floating]
Codes = NDArray[np.integer]


@dataclass(frozen=True)
class LsiRecipe:
    """Constants of LSI, of unit length per cell."""

    n_components: int = 30
    """Signac's vignettes use components 2 to 30."""
    max_depth_correlation: float = 0.75
    """ArchR's ``corCutOff``; above it the first component is depth, and dropped as in Signac's vignettes."""


@dataclass(frozen=True)
class LsiKnnRecipe(LsiRecipe):
    """Constants of the kNN vote on LSI."""

    n_neighbors: int = 15
    """scanpy's default."""


@dataclass(frozen=True)
class LsiLrRecipe(LsiRecipe):
    """Constants of logistic regression on LSI."""

    C: float = 1.0
    """scikit-learn's default; inverse ridge penalty."""


@dataclass(frozen=True)
class HarmonyLrRecipe(LsiLrRecipe):
    """Constants of logistic regression on LSI after Harmony."""

    theta: float = 2.0
    """Harmony's default (Korsunsky et al. 2019); how much mixing counts."""
    n_iterations: int = 10
    """Harmony's default, at most."""


@dataclass(frozen=True)
class SpectralLrRecipe:
    """Constants of logistic regression on the spectral embedding."""

    n_components: int = 30
    """SnapATAC2's default."""
    C: float = 1.0
    """scikit-learn's default; inverse ridge penalty."""


@dataclass(frozen=True)
class NearestCentroidRecipe:
    """Constants of the nearest centroid."""

    n_folds: int = 3
    """Held-out parts of the reference for calibration, unless it has batches; as of ``robust``."""


def by_lsi(task: Task, recipe: LsiRecipe) -> Represented:
    """Embed cells (n_cells, k) by LSI, see :func:`lsi`."""
    return Represented(
        lsi(
            task.counts,
            n_components=recipe.n_components,
            max_depth_correlation=recipe.max_depth_correlation,
            rng=task.rng,
        )
    )


def by_lsi_for_harmony(task: Task, recipe: LsiRecipe) -> Represented:
    """Embed cells (n_cells, k) by LSI, if there is a Harmony to run on it."""
    _import_harmony()
    return by_lsi(task, recipe)


def by_spectrum(task: Task, recipe: SpectralLrRecipe) -> Represented:
    """Embed cells (n_cells, k) by the spectral embedding, see :func:`spectral`."""
    return Represented(spectral(task.counts, n_components=recipe.n_components, rng=task.rng))


def by_means(task: Task, recipe: NearestCentroidRecipe) -> Represented:
    """Return cells (n_cells, k): TF-IDF as far as the centroids of :func:`nearest_centroid` read it."""
    part = held_out_parts(task.labels, task.batch, recipe.n_folds)
    return Represented(tfidf_on_means(task.counts, np.where(part >= 0, part * task.n_classes + task.labels, -1)))


def nearest_neighbors(task: Task, recipe: LsiKnnRecipe) -> Result:
    """Annotate by vote of the nearest reference cells.

    Distances are those of cells scaled to unit length, so that depth does not count; probabilities are shares of votes,
    not calibrated.
    """
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import normalize

    X, known = normalize(task.X), ~task.query
    model = KNeighborsClassifier(min(recipe.n_neighbors, int(known.sum()))).fit(X[known], task.labels[known])
    proba = np.zeros((int(task.query.sum()), task.n_classes))
    proba[:, model.classes_] = model.predict_proba(X[task.query])
    return Result(proba, task.X.astype(np.float32))


def logistic_regression(task: Task, recipe: LsiLrRecipe | SpectralLrRecipe) -> Result:
    """Annotate by multinomial logistic regression; probabilities are its posteriors, not calibrated."""
    return Result(_posteriors(task, task.X, recipe.C), task.X.astype(np.float32))


def harmony_lr(task: Task, recipe: HarmonyLrRecipe) -> Result:
    """Annotate by logistic regression, after Harmony has mixed reference and query.

    Harmony (Korsunsky et al. 2019, Nat Methods 16:1289) does not read labels. The aligned representation is what it
    returns; probabilities are posteriors, not calibrated.

    Raises
    ------
    ImportError
        Harmony is not installed.
    """
    n_cells = len(task.X)
    run = _import_harmony().run_harmony(
        # Cells are columns: of a square matrix it could not tell.
        np.ascontiguousarray(task.X.T, dtype=np.float64),
        {"domain": task.query.astype(int)},
        "domain",
        theta=recipe.theta,
        max_iter_harmony=recipe.n_iterations,
        # Its own rule, which leaves fewer than 15 cells without any cluster.
        nclust=int(np.clip(round(n_cells / 30), 1, 100)),
        random_state=task.seed,
        verbose=False,
    )
    X = np.asarray(run.Z_corr)
    return Result(_posteriors(task, X, recipe.C), X.astype(np.float32))


def nearest_centroid(task: Task, recipe: NearestCentroidRecipe) -> Result:
    """Annotate by the class whose mean cell points most nearly the same way.

    Rocchio's rule. Cells count with their length, those of unit length by their cosine. The probabilities are a softmax
    of the similarities, at the temperature of least log loss on reference cells whose batch, or part of the classes,
    was held out of the centroids. The aligned representation is the similarities, rotated to principal axes; reference
    cells are compared with the centroids that they were held out of.
    """
    X, labels = np.asarray(task.X, dtype=np.float64), task.labels
    part = held_out_parts(labels, task.batch, recipe.n_folds)
    similarity = _similarity(X, X, labels, task.n_classes)
    parts = np.unique(part[part >= 0])
    for p in parts if len(parts) > 1 else ():
        held_out, kept = part == p, (part >= 0) & (part != p)
        similarity[held_out] = _similarity(X[held_out], X[kept], labels[kept], task.n_classes)
    reference = np.flatnonzero(~task.query)
    # In units of the differences between classes, the temperature does not depend on the scale of the cells.
    spread = np.nanstd(similarity[reference] - np.nanmean(similarity[reference], axis=1, keepdims=True))
    similarity /= spread if spread > 0 else 1.0
    logits = np.where(np.isnan(similarity), -np.inf, similarity)
    # A class of one cell has no centroid without it, and says nothing of the temperature.
    fair = reference[np.isfinite(logits[reference, labels[reference]])]
    temperature = fit_temperature(softmax(logits[fair], axis=1), labels[fair]) if len(fair) else 1.0
    proba = softmax(logits[task.query] / temperature, axis=1)
    aligned = rotate_to_principal_axes(np.nan_to_num(similarity))
    return Result(proba, aligned.astype(np.float32), {"temperature": temperature})


def _similarity(X: Float, known: Float, labels: Codes, n_classes: int) -> Float:
    """Return (n_cells, n_classes) products of cells with class means of unit length, NaN for classes without cells."""
    centroids = np.full((n_classes, X.shape[1]), np.nan)
    for c in np.unique(labels[labels >= 0]):
        mean = known[labels == c].mean(axis=0)
        centroids[c] = mean / (np.linalg.norm(mean) or 1.0)
    return X @ centroids.T


def _posteriors(task: Task, X: Float, C: float) -> Float:
    """Return (n_query, n_classes) posteriors of a logistic regression on X (n_cells, k)."""
    known = ~task.query
    with quiet_newton():
        return logistic_posteriors(X[known], task.labels[known], X[task.query], task.n_classes, C=C)


def _import_harmony() -> ModuleType:
    try:
        import harmonypy
    except ImportError as error:
        msg = "method='harmony_lr' needs Harmony. Install it: pip install 'scllmda[harmony]' (or harmonypy>=2)."
        raise ImportError(msg) from error
    return harmonypy


READS = frozenset({"counts"})
OF_LSI = frozenset(LsiRecipe.__dataclass_fields__)

LSI_KNN = Method(
    "lsi_knn",
    nearest_neighbors,
    LsiKnnRecipe,
    "Baseline: vote of nearest neighbors in LSI",
    "Cusanovich et al. 2015, Science 348:910",
    READS,
    by_lsi,
    OF_LSI,
)
LSI_LR = Method(
    "lsi_lr",
    logistic_regression,
    LsiLrRecipe,
    "Baseline: logistic regression on LSI",
    "Cusanovich et al. 2015, Science 348:910",
    READS,
    by_lsi,
    OF_LSI,
)
HARMONY_LR = Method(
    "harmony_lr",
    harmony_lr,
    HarmonyLrRecipe,
    "Baseline: logistic regression on LSI after Harmony (needs harmonypy)",
    "Korsunsky et al. 2019, Nat Methods 16:1289",
    READS,
    by_lsi_for_harmony,
    OF_LSI,
)
SPECTRAL_LR = Method(
    "spectral_lr",
    logistic_regression,
    SpectralLrRecipe,
    "Baseline: logistic regression on SnapATAC2's spectral embedding",
    "Zhang et al. 2024, Nat Methods 21:217",
    READS,
    by_spectrum,
    frozenset({"n_components"}),
)
NEAREST_CENTROID = Method(
    "nearest_centroid",
    nearest_centroid,
    NearestCentroidRecipe,
    "Baseline: nearest class mean by cosine, on TF-IDF of all peaks, calibrated",
    "Manning et al. 2008, Introduction to Information Retrieval, ch. 14",
    READS,
    by_means,
)
