"""Train a published language model on cells without labels."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _logging as logg
from .._anndata import obs_column, read
from .._checks import checked
from ..methods import get as get_method
from ..methods import make_recipe, pretrained_models
from ._labels import encode_batches
from ._pairs import read_pairs
from ._params import require_effect
from ._unlabeled import unlabeled_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData
    from mudata import MuData


@checked
def pretrain(
    data: AnnData | MuData | str | PathLike[str],
    model: str,
    *,
    output: str | PathLike[str],
    recipe: Mapping[str, Any] | None = None,
    resume: bool = True,
    batch_key: str | None = None,
    layer: str | None = None,
    rna_layer: str | None = None,
    rng: int | np.random.Generator = 0,
    device: str = "auto",
    mod: str = "atac",
    rna_mod: str = "rna",
) -> list[float]:
    """Train a published language model on cells without labels, and write it as a folder.

    ``"annatac"`` learns to foretell how open masked islands are from a cell's other islands (Cui et al. 2025, eq. 3).
    ``"epifoundation"`` learns to foretell from a cell's open peaks which genes it expresses (Wu et al. 2025, eq. 10),
    and is trained on cells of which both were measured. The folder is what ``recipe={"weights": folder}`` of
    :func:`scllmda.tl.annotate` begins with, on these or other data; of ``"epifoundation"`` also
    :func:`scllmda.tl.cell_embeddings` and :func:`scllmda.tl.predict_expression` read it. It is written after each
    epoch; if the training is killed, the same call goes on after the last whole epoch, on a CPU with the same bytes as
    if nothing had happened.

    On several GPUs, or processes, put the call in a script and start it by ``torchrun --nproc-per-node=8 script.py``:
    each step's cells are shared among them, and the first process writes. ``batch_size`` in ``recipe`` is that of each
    process, ``accumulate`` the number of its batches per step.

    Parameters
    ----------
    data
        Cells to learn from, as object or path; not changed. For ``"annatac"`` cells × islands, as
        :func:`scllmda.pp.peak_islands` makes them from counts; where peaks are only open or closed, all islands are
        alike and there is nothing to foretell. For ``"epifoundation"`` a MuData with open peaks and expression of the
        same cells, paired by their names; its peaks become the vocabulary of the model, its genes what it foretells.
    model
        ``"annatac"`` or ``"epifoundation"``.
    output
        Folder to write, in one that is there: ``config.json`` (constants, names of the islands, or peaks and genes,
        loss of each epoch) and ``model.safetensors`` (network and optimizer).
    recipe
        Constants to replace, as ``{"preset": "small", "pretrain_epochs": 50}``; ``sl.get.methods()`` shows them. More
        epochs than a folder has go on where it ends; not of ``"epifoundation"``, whose learning rates follow from the
        number of epochs.
    resume
        Go on with the training that the folder holds. False begins anew and replaces it.
    batch_key
        Column of ``.obs`` with batches or donors, for ``"epifoundation"``: each gets an embedding beside the cell's
        vector, so that the vector need not tell what is a batch's. It is used in pre-training alone.
    layer
        Layer with the counts, ``.X`` if None.
    rna_layer
        Layer of the expression, ``.X`` if None: whole numbers are counts, others have to be log-normalized.
    rng
        Seed or generator; the same gives the same bytes on a CPU with as many threads.
    device
        Torch device; "auto" takes a GPU when there is one, and bfloat16 on it.
    mod
        Modality of a MuData that holds the islands or peaks.
    rna_mod
        Modality that holds the expression.

    Returns
    -------
    The mean loss of each epoch, per masked island or per gene that was asked for, also of those before a resumption.
    Nothing but the folder is written.

    Raises
    ------
    ValueError
        Unknown model or constant; features that are no islands, or no intervals; no open island or peak; cells of
        which one of both is not known; names that repeat; expression that is neither counts nor log-normalized; a
        folder with a training on other data or by other constants, with ``resume``; the training diverged; a damaged
        folder; a parameter that has no effect with the model.
    FileExistsError
        The folder holds something else.
    FileNotFoundError
        There is no folder to write to, or no file ``data``.
    TypeError
        Neither AnnData nor MuData; an AnnData where expression is to be foretold.
    KeyError
        No such layer, column or modality.

    See Also
    --------
    scllmda.pp.peak_islands : Makes what ``"annatac"`` learns from.
    scllmda.tl.annotate : Begins with the weights.
    scllmda.pl.training_history : Plots the losses.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate(n_reference=60, n_query=40, n_peaks=300, n_types=3)
    >>> folder = getfixture("tmp_path") / "annatac"
    >>> recipe = {"preset": "small", "n_layers": 1, "pretrain_epochs": 2, "n_epochs": 2}
    >>> losses = sl.tl.pretrain(sl.pp.peak_islands(query), "annatac", output=folder, recipe=recipe)
    >>> len(losses)
    2
    >>> sl.tl.annotate(query, reference, method="annatac", recipe={**recipe, "weights": str(folder)})
    """
    if model not in (known := pretrained_models()):
        msg = f"Unknown model={model!r}; expected one of {known}."
        raise ValueError(msg)
    method, settings = get_method(model), make_recipe(model, recipe)
    of_pairs = {"batch_key": batch_key, "rna_layer": rna_layer}
    require_effect(f"with model={model!r}", of_pairs, possible=method.pretrains_on_expression)
    batch = None
    if method.pretrains_on_expression:
        pairs = read_pairs(data, mod=mod, rna_mod=rna_mod, rna_layer=rna_layer, what="data")
        adata, expression = pairs.atac, pairs.expression
        if batch_key is not None:
            batch = encode_batches(obs_column(pairs.data, adata, batch_key, parameter="batch_key"))
    else:
        adata, expression = read(data, mod=mod), None
    unlabeled = unlabeled_cells(adata, layer, expression=expression, batch=batch)
    seed = int(np.random.default_rng(rng).integers(2**31))
    assert method.pretrain is not None
    start = logg.info(f"pre-training {model!r} on {adata.n_obs} cells")
    losses = method.pretrain(
        unlabeled, settings, output=Path(output).expanduser(), resume=resume, device=device, seed=seed
    )
    logg.info("    finished", time=start, deep=f"wrote {str(output)!r}")
    return losses
