"""EpiFoundation, from sets of open peaks to labels, cell embeddings and expression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ... import _logging as logg
from .._both_sides import require_both
from .._expression import ExpressionMethod, Predicted
from .._method import Method
from .._pretraining import Expression, Unlabeled
from .._pretraining_state import require_build
from .._task import Result, Task
from ._recipe import EpiFoundationRecipe

if TYPE_CHECKING:
    from ._cells import PeakCells
    from ._network import ExpressionPredictor, PeakSetEncoder, Sizes
    from ._pretrain import Weights

CITATION = "Wu et al. 2025, bioRxiv 2025.02.05.636688"


def label(task: Task, recipe: EpiFoundationRecipe) -> Result:
    """Annotate with EpiFoundation: sets of open peaks, encoder, and a classifier trained on the reference's labels.

    The encoder begins with the weights of a pre-training, if they are given, and reads the peaks that these know; else
    at random, on the reference's peaks. The aligned representation is the state of [CLS]. Batches are not read. Cells
    without an open peak that reference and query both have, and the encoder knows, have no place in it.

    Raises
    ------
    ValueError
        No peak is left; no reference cell, or no query cell, opens one.
    """
    import torch

    from ...nn import pick_device
    from ._cost import warn_of_cost
    from ._finetune import predict_labels, train_classifier
    from ._network import CellClassifier

    device, rng, seed = pick_device(task.device), task.rng, task.seed
    cells, weights, history = _read(task, recipe)
    seen = _seen(cells, task.query)
    known = np.flatnonzero(seen & ~task.query)
    warn_of_cost(_sizes(weights, recipe), cells.take(known), device)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = CellClassifier(_encoder(cells, weights, recipe), task.n_classes).to(device)
        history |= train_classifier(network, cells.take(known), task.labels[known], recipe, rng=rng, device=device)
        found = predict_labels(network, cells.take(np.flatnonzero(seen)), recipe.batch_size, device)
    proba, aligned = (np.zeros((len(seen), rows.shape[1]), dtype=np.float32) for rows in found)
    proba[seen], aligned[seen] = found
    return Result(proba[task.query], aligned, history)


def pretrain(unlabeled: Unlabeled, recipe: EpiFoundationRecipe, **options: Any) -> list[float]:
    """Pre-train on cells × peaks with expression; see :func:`pretrain_on_pairs`."""
    from ._pretrain import pretrain_on_pairs

    return pretrain_on_pairs(unlabeled, recipe, **options)


def embed(
    unlabeled: Unlabeled, recipe: EpiFoundationRecipe, device: str
) -> tuple[NDArray[np.float32], Mapping[str, Any]]:
    """Return the states of [CLS] (n_cells, n_dims) by the weights of a pre-training, and numbers of known peaks.

    Cells without an open peak that the weights know are zero. No batch is read, of whichever the cells are.

    Raises
    ------
    ValueError
        The cells are of another genome than the weights, or none opens a peak that they know.
    """
    from ...nn import pick_device
    from . import _finetune

    device = pick_device(device)
    weights, cells, history, seen = _by_weights(unlabeled, recipe)
    encoder = weights.encoder(recipe).to(device)
    found = _finetune.embed(encoder, cells.take(seen), recipe.batch_size, device)
    vectors = np.zeros((len(cells), found.shape[1]), dtype=np.float32)
    vectors[seen] = found
    return vectors, history


def predict(task: Task, expression: Expression, recipe: EpiFoundationRecipe) -> Predicted:
    """Foretell expression by a network that is trained on the reference's, in levels (eq. 13-14).

    The encoder, and the embeddings of genes that both know, begin with the weights of a pre-training if they are given.

    Raises
    ------
    ValueError
        As of :func:`label`; weights that know none of the reference's genes.
    """
    import torch

    from ...nn import pick_device
    from ._cost import warn_of_cost
    from ._finetune import Bins, predict_levels, train_predictor
    from ._network import ExpressionPredictor

    device, rng, seed = pick_device(task.device), task.rng, task.seed
    cells, weights, history = _read(task, recipe)
    if weights is not None:
        history["n_genes_known"] = len(_require_genes(weights, expression.genes))
    seen = _seen(cells, task.query)
    known, of_reference = np.flatnonzero(seen & ~task.query), seen[~task.query]
    values = sp.csr_matrix(expression.values[np.flatnonzero(of_reference)])
    bins = Bins.of(values, recipe.n_bins)
    new = np.flatnonzero(seen & task.query)
    warn_of_cost(_sizes(weights, recipe), cells.take(known), device)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = ExpressionPredictor(_encoder(cells, weights, recipe), len(expression.genes))
        _begin_genes(network, weights, expression.genes, bins.mean_levels(values))
        network.to(device)
        history |= train_predictor(
            network, cells.take(known), lambda some: bins.levels(values[some]), recipe, rng=rng, device=device
        )
        levels = predict_levels(network, cells.take(new), recipe.batch_size, device)
    mean = np.asarray(values.mean(axis=0), dtype=np.float32).reshape(1, -1)
    found = np.repeat(mean, int(task.query.sum()), axis=0)
    found[seen[task.query]] = bins.expression(levels)
    return Predicted(found, expression.genes, history=history)


def predict_by_weights(unlabeled: Unlabeled, recipe: EpiFoundationRecipe, device: str) -> Predicted:
    """Foretell which genes cells express, by a pre-trained network as it is (eq. 9).

    Cells are in a batch like the mean of those that the network knows. Of cells without an open peak that it knows
    all probabilities are the mean over the others.

    Raises
    ------
    ValueError
        As of :func:`embed`.
    """
    from ...nn import pick_device
    from ._finetune import predict_probability

    device = pick_device(device)
    weights, cells, history, seen = _by_weights(unlabeled, recipe)
    network = weights.network(recipe).to(device)
    found = predict_probability(network, cells.take(seen), recipe.batch_size, device)
    values = np.repeat(found.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32), len(cells), axis=0)
    values[seen] = found
    return Predicted(values, weights.genes, is_probability=True, history=history)


def _read(task: Task, recipe: EpiFoundationRecipe) -> tuple[PeakCells, Weights | None, dict[str, Any]]:
    """Return the cells of a task on the peaks that the encoder is to read, its weights if any, and numbers of peaks."""
    from ._cells import peak_cells
    from ._pretrain import Weights

    weights = None if recipe.weights is None else Weights.read(recipe.weights)
    if weights is not None:
        for side, what in zip(task.sides, ("reference", "query"), strict=True):
            require_build(weights.build, weights.source, side.build, what)
    cells, history = peak_cells(
        task,
        None if weights is None else weights.vocabulary,
        min_overlap=recipe.min_overlap,
        max_peaks=recipe.max_peaks,
        source="the reference" if weights is None else weights.name,
    )
    found: dict[str, Any] = dict(history)
    if weights is not None:
        found["pretraining_loss"] = list(weights.losses)
    return cells, weights, found


def _sizes(weights: Weights | None, recipe: EpiFoundationRecipe) -> Sizes:
    from ._network import Sizes

    return Sizes.of(recipe) if weights is None else weights.sizes


def _encoder(cells: PeakCells, weights: Weights | None, recipe: EpiFoundationRecipe) -> PeakSetEncoder:
    from ._pretrain import make_encoder

    return make_encoder(cells.vocabulary, _sizes(None, recipe), recipe) if weights is None else weights.encoder(recipe)


def _seen(cells: PeakCells, query: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (n_cells,) whether a cell has an open peak to be read; raise ValueError if none of a side has."""
    seen = cells.n_open > 0
    known = f"the {len(cells.vocabulary):,} peaks that the encoder knows and that reference and query both have"
    require_both(seen, query, f"opens one of {known}")
    return seen


def _by_weights(
    unlabeled: Unlabeled, recipe: EpiFoundationRecipe
) -> tuple[Weights, PeakCells, dict[str, Any], NDArray[np.intp]]:
    """Return weights, cells on their peaks, numbers of peaks, and the positions of cells that open one."""
    from ._pretrain import Weights

    if recipe.weights is None:
        msg = (
            "There are no weights to embed cells by; expected those of a pre-training. Pass recipe={'weights': folder} "
            "with a folder that sl.tl.pretrain(…, 'epifoundation', output=folder) wrote."
        )
        raise ValueError(msg)
    weights = Weights.read(recipe.weights)
    cells, history = weights.place(unlabeled, recipe)
    seen = np.flatnonzero(cells.n_open > 0)
    if not len(seen):
        msg = f"None of the {len(cells)} cells opens a peak that {weights.name} knows; expected some."
        raise ValueError(msg)
    if len(seen) < len(cells):
        logg.info(f"    {len(cells) - len(seen):,} of {len(cells):,} cells open none of these peaks")
    return weights, cells, dict(history), seen


def _require_genes(weights: Weights, genes: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return the positions, in the weights and among these genes, of those that both have.

    Raises
    ------
    ValueError
        There is none.
    """
    at = {name: i for i, name in enumerate(weights.genes)}
    both = [(at[name], i) for i, name in enumerate(genes) if name in at]
    if not both:
        msg = (
            f"None of the {len(genes):,} genes of the reference (such as {genes[0]!r}) is among the "
            f"{len(weights.genes):,} that {weights.name} knows (such as {weights.genes[0]!r}); expected names of the "
            "same kind. Rename the genes, or leave out the weights."
        )
        raise ValueError(msg)
    return both


def _begin_genes(
    network: ExpressionPredictor, weights: Weights | None, genes: tuple[str, ...], means: NDArray[np.floating]
) -> None:
    """Begin with the mean level of each gene, and with the pre-trained embeddings of those that weights know."""
    import torch

    with torch.no_grad():
        network.decoder.bias.copy_(torch.from_numpy(means))
        if weights is not None:
            known, mine = map(list, zip(*_require_genes(weights, genes), strict=True))
            network.decoder.genes.weight[mine] = weights.of_genes[known]


EPIFOUNDATION = Method(
    "epifoundation",
    label,
    EpiFoundationRecipe,
    "Published system: a transformer over the set of a cell's open peaks, from weights of tl.pretrain on paired "
    "expression if they are given, trained on the reference's labels; peaks are compared by where they lie",
    CITATION,
    reads=frozenset({"sides"}),
    pretrain=pretrain,
    pretrains_on_expression=True,
    embed=embed,
)
EPIFOUNDATION_EXPRESSION = ExpressionMethod(
    "epifoundation",
    predict,
    EpiFoundationRecipe,
    "Published system: the same transformer, trained on the reference's expression in ten levels",
    CITATION,
    reads=frozenset({"sides"}),
    predict_by_weights=predict_by_weights,
)
