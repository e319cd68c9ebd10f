"""Train a published language model on cells without labels."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _logging as logg
from .._anndata import read, require_peaks
from .._checks import checked
from .._counts import counts
from ..genomics import ACCEPTED_FORMS, peak_positions
from ..methods import Unlabeled, make_recipe, pretrained_models
from ..methods import get as get_method

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
    layer: str | None = None,
    rng: int | np.random.Generator = 0,
    device: str = "auto",
    mod: str = "atac",
) -> list[float]:
    """Train a published language model on cells without labels, and write it as a folder.

    ``"annatac"`` learns to foretell how open masked islands are from a cell's other islands (Cui et al. 2025, eq. 3).
    The folder is what ``recipe={"weights": folder}`` of :func:`scllmda.tl.annotate` begins with, on these or other
    data. It is written after each epoch; if the training is killed, the same call goes on after the last whole epoch,
    on a CPU with the same bytes as if nothing had happened.

    On several GPUs, or processes, put the call in a script and start it by ``torchrun --nproc-per-node=8 script.py``:
    each step's cells are shared among them, and the first process writes. ``batch_size`` in ``recipe`` is that of each
    process, ``accumulate`` the number of its batches per step.

    Parameters
    ----------
    data
        Cells to learn from, as object or path; not changed. For ``"annatac"`` cells × islands, as
        :func:`scllmda.pp.peak_islands` makes them from counts; where peaks are only open or closed, all islands are
        alike and there is nothing to foretell.
    model
        ``"annatac"``.
    output
        Folder to write, in one that is there: ``config.json`` (constants, names of the islands, loss of each epoch) and
        ``model.safetensors`` (network and optimizer).
    recipe
        Constants to replace, as ``{"preset": "small", "pretrain_epochs": 50}``; ``sl.get.methods()`` shows them. More
        epochs than a folder has go on where it ends.
    resume
        Go on with the training that the folder holds. False begins anew and replaces it.
    layer
        Layer with the counts, ``.X`` if None.
    rng
        Seed or generator; the same gives the same bytes on a CPU.
    device
        Torch device; "auto" takes a GPU when there is one, and bfloat16 on it.
    mod
        Modality of a MuData that holds the islands.

    Returns
    -------
    The mean loss per masked island of each epoch, also of those before a resumption. Nothing but the folder is written.

    Raises
    ------
    ValueError
        Unknown model or constant; features that are no islands; no open island; a folder with a training on other data
        or by other constants, with ``resume``; the training diverged; a damaged folder.
    FileExistsError
        The folder holds something else.
    FileNotFoundError
        There is no folder to write to, or no file ``data``.
    TypeError
        Neither AnnData nor MuData.
    KeyError
        No such layer or modality.

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
    adata = read(data, mod=mod)
    require_peaks(adata)
    where = peak_positions(adata.var)
    if not len(where.rows):
        msg = (
            f"None of the {adata.n_vars} features is an interval (first: {adata.var_names[0]!r}); expected "
            f"{ACCEPTED_FORMS}. Pass sl.pp.peak_islands(adata, tss)."
        )
        raise ValueError(msg)
    unlabeled = Unlabeled(counts(adata, layer)[:, where.rows], where.intervals)
    seed = int(np.random.default_rng(rng).integers(2**31))
    assert method.pretrain is not None
    start = logg.info(f"pre-training {model!r} on {adata.n_obs} cells")
    losses = method.pretrain(
        unlabeled, settings, output=Path(output).expanduser(), resume=resume, device=device, seed=seed
    )
    logg.info("    finished", time=start, deep=f"wrote {str(output)!r}")
    return losses
