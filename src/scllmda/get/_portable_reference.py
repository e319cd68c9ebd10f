"""A fitted reference without its counts."""

from __future__ import annotations

from copy import deepcopy
from os import PathLike
from typing import TYPE_CHECKING

from anndata import AnnData

from .._anndata import read
from .._keys import CELL_EMBEDDING, SEQUENCE

if TYPE_CHECKING:
    from mudata import MuData


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
    New AnnData with the cells' ``.obs``, the peaks' ``.var`` (without the column ``sequence``), ``.obsm[use_rep]``,
    ``.varm[use_rep]``, ``.uns[use_rep]`` and, if there, ``.uns["genome"]``. ``.X`` is None; no layers.

    Raises
    ------
    KeyError
        The reference is not fitted.

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
        msg = f"The reference is not fitted: no {', '.join(missing)}. Run sl.tl.cell_embeddings(reference) first."
        raise KeyError(msg)
    # Dimensions that the counts did not support are zero.
    k = len(fitted.uns[use_rep]["cell_gram"]) if "cell_gram" in fitted.uns[use_rep] else None
    return AnnData(
        obs=fitted.obs.copy(),
        var=fitted.var.drop(columns=SEQUENCE, errors="ignore"),
        obsm={use_rep: fitted.obsm[use_rep][:, :k].copy()},
        varm={use_rep: fitted.varm[use_rep][:, :k].copy()},
        uns={key: deepcopy(fitted.uns[key]) for key in (use_rep, "genome") if key in fitted.uns},
    )
