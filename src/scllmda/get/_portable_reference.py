"""A fitted reference without its counts."""

from __future__ import annotations

from copy import deepcopy
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData

from .._anndata import read
from .._checks import checked
from .._keys import CELL_EMBEDDING, SEQUENCE

if TYPE_CHECKING:
    from mudata import MuData
    from numpy.typing import NDArray


@checked
def portable_reference(
    reference: AnnData | MuData | str | PathLike[str], *, use_rep: str = CELL_EMBEDDING, mod: str = "atac"
) -> AnnData:
    """Return what others need to annotate cells by a fitted reference: no counts, no sequences.

    An ordinary AnnData, to be written with ``.write_h5ad`` and passed on; ``sl.tl.annotate(query, "reference.h5ad")``
    and ``sl.tl.map_cells(query, "reference.h5ad")`` take it as it is.

    Parameters
    ----------
    reference
        Object or path that :func:`scllmda.tl.cell_embeddings` was run on. Not changed.
    use_rep
        Key under which it was fitted.
    mod
        Modality of a MuData that holds the peaks.

    Returns
    -------
    New AnnData with the cells' ``.obs``, the peaks' ``.var`` (without the column ``sequence``), ``.obsm[use_rep]`` and
    ``.varm[use_rep]`` (float16, without the dimensions that counts did not support), ``.uns[use_rep]`` and, if there,
    ``.uns["genome"]``. ``.X`` is None; no layers.

    Raises
    ------
    KeyError
        The reference is not fitted.

    See Also
    --------
    scllmda.tl.cell_embeddings : Fits the reference.
    scllmda.tl.map_cells : Places new cells by it.
    scllmda.tl.annotate : Labels new cells by it.

    Examples
    --------
    >>> import scllmda as sl
    >>> reference, query = sl.datasets.simulate()
    >>> sl.tl.cell_embeddings(reference, n_latent=64)
    >>> portable = sl.get.portable_reference(reference)
    >>> portable.X is None
    True
    >>> sl.tl.annotate(query, portable)
    """
    fitted = read(reference, mod=mod)
    missing = [f".{name}[{use_rep!r}]" for name in ("obsm", "varm", "uns") if use_rep not in getattr(fitted, name)]
    if missing:
        named = "" if use_rep == CELL_EMBEDDING else f", key_added={use_rep!r}"
        msg = (
            f"The reference is not fitted: no {', '.join(missing)}. Run sl.tl.cell_embeddings(reference{named}) first."
        )
        raise KeyError(msg)
    # The published recipe has no decoder, and supports all its dimensions.
    k = len(fitted.uns[use_rep].get("cell_gram", ())) or None
    return AnnData(
        obs=fitted.obs.copy(),
        var=fitted.var.drop(columns=SEQUENCE, errors="ignore"),
        obsm={use_rep: _in_half_precision(fitted.obsm[use_rep][:, :k])},
        varm={use_rep: _in_half_precision(fitted.varm[use_rep][:, :k])},
        uns={key: deepcopy(fitted.uns[key]) for key in (use_rep, "genome") if key in fitted.uns},
    )


def _in_half_precision(columns: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return them as float16 where nothing is lost, as it is for what the default recipe fitted."""
    half = columns.astype(np.float16)
    return half if (half == columns).all() else columns.copy()
