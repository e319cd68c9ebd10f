"""annATAC, from peak islands to labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _logging as logg
from ...genomics import TranscriptionStarts, read_tss
from .._both_sides import require_both
from .._method import Method
from .._pretraining import Unlabeled
from .._task import Result, Task
from .._training_time import warn_of_long_epochs
from ._recipe import AnnAtacRecipe


def label(task: Task, recipe: AnnAtacRecipe) -> Result:
    """Annotate with annATAC: islands, encoder, and a classifier trained on the reference's labels.

    Reference and query are compared by islands, so that no peak need be the same. The encoder begins with the weights
    of a pre-training, if they are given; else at random, or (``pretrain``) with a pre-training on these cells. The
    aligned representation is the classifier's second hidden layer. Cells without an open island have no place in it.

    Raises
    ------
    ValueError
        No island is left, or none that the weights know; no reference cell, or no query cell, opens one.
    """
    import torch

    from ...nn import pick_device
    from ._finetune import begin_with_openness, predict, train_classifier
    from ._network import CellClassifier, Sizes
    from ._pretrain import Weights, load_network, make_network, train_network
    from ._tokens import Tokens, island_cells

    device, rng, seed = pick_device(task.device), task.rng, task.seed
    weights = None if recipe.weights is None else Weights.read(recipe.weights, recipe)
    sizes = Sizes.of(recipe) if weights is None else weights.sizes
    cells = island_cells(task, bin_size=recipe.bin_size, tss=_starts(recipe), n_values=sizes.n_values)
    if weights is None:
        cells = cells.most_open(recipe.n_islands)
    else:
        builds = {what: side.build for what, side in zip(("reference", "query"), task.sides, strict=True)}
        cells = weights.place(cells, builds)
    seen = np.diff(cells.values.indptr) > 0
    require_both(seen, task.query, f"opens one of the {cells.n_there:,} islands")
    logg.info(f"    {cells.n_there:,} islands of {recipe.bin_size:,} bp hold a peak of reference and query")

    n_cells, n_islands = int(np.sum(seen & ~task.query)), len(cells.names)
    what = f"{n_cells:,} cells on {n_islands:,} islands"
    warn_of_long_epochs(sizes.multiplications_per_token * n_islands * n_cells, what, device)

    history: dict[str, Any] = {"n_islands": cells.n_there}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        everyone, tokens = cells.take(np.flatnonzero(seen)), Tokens(sizes.n_values)
        if weights is not None:
            masked = load_network(weights, recipe)
            history |= {"n_islands_of_weights": len(weights.vocabulary), "pretraining_loss": list(weights.losses)}
        else:
            masked = make_network(everyone.values, sizes, recipe)
            if recipe.pretrain:
                losses = train_network(masked, everyone, sizes, recipe, seed=seed, device=device)
                history["pretraining_loss"] = losses
        torch.manual_seed(seed)
        network = CellClassifier(masked.encoder, sizes.n_dims, len(cells.names), task.n_classes).to(device)
        if "pretraining_loss" in history:
            begin_with_openness(network, masked.predict.weight, everyone, tokens, recipe.batch_size, device)
        known = np.flatnonzero(seen & ~task.query)
        history |= train_classifier(
            network, cells.take(known), task.labels[known], task.n_classes, tokens, recipe, rng=rng, device=device
        )
        found = predict(network, everyone, tokens, recipe.batch_size, device)
    proba, aligned = (np.zeros((len(seen), rows.shape[1]), dtype=np.float32) for rows in found)
    proba[seen], aligned[seen] = found
    return Result(proba[task.query], aligned, history)


def pretrain(unlabeled: Unlabeled, recipe: AnnAtacRecipe, **options: Any) -> list[float]:
    """Pre-train on cells × islands; see :func:`pretrain_on_islands`."""
    from ._pretrain import pretrain_on_islands

    return pretrain_on_islands(unlabeled, recipe, **options)


def _starts(recipe: AnnAtacRecipe) -> TranscriptionStarts | None:
    """Return where transcription starts, if it is known."""
    if recipe.tss is None:
        logg.info(
            "    islands are all bins that hold a peak of reference and query; recipe={'tss': a BED or GTF} keeps "
            "those with a transcription start, as published"
        )
        return None
    found = read_tss(recipe.tss)
    for remark in found.remarks:
        logg.warning(remark)
    return found


ANNATAC = Method(
    "annatac",
    label,
    AnnAtacRecipe,
    "Published system: a language model over peak islands (Linformer), from weights of tl.pretrain if they are given, "
    "trained on the reference's labels; reference and query need not share peaks",
    "Cui et al. 2025, BMC Biol 23:145",
    reads=frozenset({"sides"}),
    pretrain=pretrain,
)
