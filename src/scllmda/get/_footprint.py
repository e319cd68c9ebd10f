"""A footprint as a table."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING

from .._anndata import read
from .._checks import checked
from .._keys import FOOTPRINT

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData


@checked
def footprint(
    adata: AnnData | MuData | str | PathLike[str], *, key: str = FOOTPRINT, mod: str = "atac"
) -> pd.DataFrame:
    """Return how cuts lie around the sites of a motif, as a table.

    Parameters
    ----------
    adata
        Object or path that :func:`scllmda.tl.footprint` wrote to.
    key
        Its ``key_added``.
    mod
        Modality of a MuData that holds the peaks.

    Returns
    -------
    A row per label and position: ``label``; ``position``, base pairs from the center of the site, in its direction;
    ``n_insertions``, cuts there; ``expected``, cuts that Tn5's preference alone would spread there, of as many in all;
    ``profile``, the former over the latter, 1 at the ends on average; ``uncorrected``, the same of cuts alone.

    Raises
    ------
    KeyError
        There is no such footprint.

    See Also
    --------
    scllmda.tl.footprint : Writes what is read here.
    scllmda.pl.footprint : The same as a figure.

    Examples
    --------
    After ``sl.tl.footprint(adata, "fragments.tsv.gz", "SPI1", genome="hg38.fa")``:

    >>> table = sl.get.footprint(adata)  # doctest: +SKIP
    """
    atac = read(adata, mod=mod)
    found = atac.uns.get(key)
    if not isinstance(found, Mapping) or "profile" not in found:
        msg = f"Did not find a footprint {key!r} (.uns[{key!r}]). Run sl.tl.footprint first."
        raise KeyError(msg)
    return found["profile"].copy()
