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
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import scllmda as sl
    >>> folder = Path(tempfile.mkdtemp())
    >>> genome, fragments = folder / "genome.fa", folder / "fragments.tsv"
    >>> reference, query = sl.datasets.simulate(fasta=genome, fragments=fragments)
    >>> motifs = {"TATA box": 20 * np.eye(4)[:, [3, 0, 3, 0, 0, 0]]}
    >>> sl.tl.footprint(query, fragments, "TATA box", genome=genome, groupby="cell_type", motifs=motifs)
    >>> sl.get.footprint(query)["position"].agg(["min", "max"]).tolist()
    [-250, 250]
    """
    atac = read(adata, mod=mod)
    found = atac.uns.get(key)
    if not isinstance(found, Mapping) or "profile" not in found:
        msg = f"Did not find a footprint {key!r} (.uns[{key!r}]). Run sl.tl.footprint first."
        raise KeyError(msg)
    return found["profile"].copy()
